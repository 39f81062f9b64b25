/**
 * Clients that say who they are, each in its own way, as people have it: skopeo with each copy, podman and docker by `login` before the
 * pull, ctr by `--user`. What comes back is the program's own verdict, and its words.
 */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { placePodman, startContainerd, startDockerd } from "./container-clients.ts";
import { runProcess, type RunResult } from "./processes.ts";
import { findProgram } from "./programs.ts";

export type Shown =
  | { readonly kind: "nothing" }
  | { readonly kind: "login"; readonly user: string; readonly password: string }
  /** A bearer token that somebody else gave. */
  | { readonly kind: "token"; readonly token: string };

/** Files for TLS: the authority that the server is to be of, and a certificate of one's own. */
export interface ClientTls {
  readonly authorityFile: string;
  readonly certificateFile?: string;
  readonly keyFile?: string;
}

export interface LoginClient extends AsyncDisposable {
  /** Pulls from nothing. Never rejects for what the server says. Without `tls`: in the clear. */
  pull(reference: string, shown: Shown, tls?: ClientTls): Promise<RunResult>;
}

export const loginClients = { skopeo, podman, ctr, docker } as const satisfies Record<string, (folder: string) => Promise<LoginClient>>;
export type LoginClientName = keyof typeof loginClients;
export const programsOf = {
  skopeo: ["skopeo"],
  podman: ["podman"],
  ctr: ["containerd", "ctr"],
  docker: ["dockerd", "docker"],
} as const satisfies Record<LoginClientName, readonly string[]>;

async function skopeo(folder: string): Promise<LoginClient> {
  return {
    async pull(reference, shown, tls) {
      const target = join(folder, "copied");
      await rm(target, { recursive: true, force: true });
      const secure = tls ? ["--src-cert-dir", await certificateFolder(folder, tls)] : ["--src-tls-verify=false"];
      return await run("skopeo", ["--insecure-policy", "copy", "--quiet", ...secure, ...skopeoWords(shown), `docker://${reference}`, `dir:${target}`]);
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

function skopeoWords(shown: Shown): readonly string[] {
  switch (shown.kind) {
    case "nothing":
      return ["--src-no-creds"];
    case "login":
      return ["--src-creds", `${shown.user}:${shown.password}`];
    case "token":
      return ["--src-registry-token", shown.token];
    default:
      return shown satisfies never;
  }
}

async function podman(folder: string): Promise<LoginClient> {
  const { env, common, policy } = await placePodman(folder);
  return {
    async pull(reference, shown, tls) {
      if (shown.kind === "token") throw new Error("podman takes no token");
      const authfile = join(folder, "auth.json");
      await writeFile(authfile, "{}");
      const more = ["--authfile", authfile, ...(tls ? ["--cert-dir", await certificateFolder(folder, tls)] : ["--tls-verify=false"])];
      await run("podman", [...common, "rmi", "--all", "--force"], env);
      if (shown.kind === "login") {
        const login = await run("podman", [...common, "login", ...more, "--username", shown.user, "--password", shown.password, hostOf(reference)], env);
        if (login.code !== 0) return login;
      }
      return await run("podman", [...common, "pull", "--quiet", ...more, "--signature-policy", policy, reference], env);
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

async function ctr(folder: string): Promise<LoginClient> {
  const containerd = await startContainerd(folder);
  return {
    async pull(reference, shown, tls) {
      if (shown.kind === "token") throw new Error("ctr takes no token");
      await containerd.forget();
      const user = shown.kind === "login" ? ["--user", `${shown.user}:${shown.password}`] : [];
      // By hosts.toml: for an address of 127.0.0.0/8 its flags for certificates mean nothing.
      const secure = tls ? ["--hosts-dir", await hostsFolder(folder, hostOf(reference), tls)] : ["--plain-http"];
      return await run("ctr", [...containerd.common, "images", "pull", ...secure, ...user, ...containerd.pullFlags, reference]);
    },
    [Symbol.asyncDispose]: () => containerd[Symbol.asyncDispose](),
  };
}

/** docker speaks in the clear to what has an address of 127.0.0.0/8. */
async function docker(folder: string): Promise<LoginClient> {
  const dockerd = await startDockerd(folder);
  return {
    async pull(reference, shown, tls) {
      if (tls) throw new Error("docker looks for certificates in /etc only");
      await dockerd.forget();
      const home = await mkdtemp(join(folder, "home-"));
      // No other programs: the keyrings of the machine are none of ours.
      const env = { DOCKER_HOST: undefined, DOCKER_CONFIG: home, PATH: home };
      if (shown.kind === "token")
        await writeFile(join(home, "config.json"), JSON.stringify({ auths: { [hostOf(reference)]: { registrytoken: shown.token } } }));
      if (shown.kind === "login") {
        const login = await run("docker", [...dockerd.common, "login", "--username", shown.user, "--password", shown.password, hostOf(reference)], env);
        if (login.code !== 0) return login;
      }
      return await run("docker", [...dockerd.common, "pull", reference], env);
    },
    [Symbol.asyncDispose]: () => dockerd[Symbol.asyncDispose](),
  };
}

/** A folder as `--cert-dir` and `/etc/containers/certs.d/HOST` have it. */
async function certificateFolder(folder: string, { authorityFile, certificateFile, keyFile }: ClientTls): Promise<string> {
  const made = await mkdtemp(join(folder, "certs-"));
  await copyFile(authorityFile, join(made, "ca.crt"));
  if (certificateFile !== undefined && keyFile !== undefined) {
    await copyFile(certificateFile, join(made, "client.cert"));
    await copyFile(keyFile, join(made, "client.key"));
  }
  return made;
}

/** As `/etc/containerd/certs.d` has it. */
async function hostsFolder(folder: string, host: string, { authorityFile, certificateFile, keyFile }: ClientTls): Promise<string> {
  const made = await mkdtemp(join(folder, "hosts-"));
  await mkdir(join(made, host));
  const own = certificateFile === undefined ? "" : `  client = [["${certificateFile}", "${keyFile ?? ""}"]]\n`;
  const server = `https://${host}`;
  await writeFile(
    join(made, host, "hosts.toml"),
    `server = "${server}"\n[host."${server}"]\n  capabilities = ["pull", "resolve"]\n  ca = "${authorityFile}"\n${own}`,
  );
  return made;
}

function hostOf(reference: string): string {
  return reference.slice(0, reference.indexOf("/"));
}

function run(command: string, args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}): Promise<RunResult> {
  return runProcess(findProgram(command) ?? command, args, { env });
}
