/**
 * The clients that people really pull with, each with all its files under one temporary folder: skopeo, podman, containerd with
 * ctr, dockerd with docker. All need root but skopeo; none touches what the machine itself has.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "./programs.ts";
import { runProcess, startProcess, type RunResult } from "./processes.ts";

/** Something that pulls an image by name, from nothing each time. */
export interface Client extends AsyncDisposable {
  /** Pulls `reference`; resolves to the digest that it says the name stands for. Rejects with the program's words when it fails. */
  pull(reference: string): Promise<string>;
}

/** A registries.conf whose `docker.io` has `mirror` (`HOST:PORT/docker.io`, `HOST:PORT`) for its only source that answers. */
export interface RegistriesConf {
  readonly mirror?: string;
}

/** skopeo, copying to a folder. */
export async function skopeoClient(folder: string, { mirror }: RegistriesConf = {}): Promise<Client> {
  const registriesConf = await writeRegistriesConf(folder, mirror);
  return {
    async pull(reference) {
      const target = join(folder, "copied");
      await rm(target, { recursive: true, force: true });
      const common = ["--registries-conf", registriesConf, "--insecure-policy"];
      await succeed("skopeo", [...common, "copy", "--quiet", "--all", "--src-tls-verify=false", `docker://${reference}`, `dir:${target}`]);
      const { stdout } = await succeed("skopeo", ["manifest-digest", join(target, "manifest.json")]);
      return stdout.trim();
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** podman with a store of its own. */
export async function podmanClient(folder: string, { mirror }: RegistriesConf = {}): Promise<Client> {
  const { env, common, policy } = await placePodman(folder, mirror);
  return {
    async pull(reference) {
      await succeed("podman", [...common, "rmi", "--all", "--force"], { env });
      await succeed("podman", [...common, "pull", "--quiet", "--tls-verify=false", "--signature-policy", policy, reference], { env });
      const { stdout } = await succeed("podman", [...common, "image", "inspect", "--format", '{{join .RepoDigests " "}}', reference], { env });
      return stdout.trim();
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** What podman is told so that all its files lie in `folder`. */
export interface PodmanPlaces {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What comes before podman's own words. */
  readonly common: readonly string[];
  /** A file for `--signature-policy`. */
  readonly policy: string;
}

export async function placePodman(folder: string, mirror?: string): Promise<PodmanPlaces> {
  const env = { CONTAINERS_REGISTRIES_CONF: await writeRegistriesConf(folder, mirror), REGISTRY_AUTH_FILE: undefined };
  const policy = join(folder, "policy.json");
  await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const common = [
    "--root",
    join(folder, "root"),
    "--runroot",
    join(folder, "runroot"),
    "--storage-driver=vfs",
    "--cgroup-manager=cgroupfs",
    "--events-backend=file",
  ];
  return { env, common, policy };
}

/** Where containerd looks for `docker.io`: hosts.toml as its documentation has it. */
export interface HostsToml {
  /** `http://HOST:PORT`, with a path where the test wants one. */
  readonly url: string;
  readonly overridePath?: boolean;
}

/** containerd of its own, and ctr, with a hosts.toml for docker.io. The origin is the mirror itself: there is no other way. */
export async function containerdClient(folder: string, hosts: HostsToml): Promise<Client> {
  const hostsFolder = join(folder, "certs.d");
  await mkdir(join(hostsFolder, "docker.io"), { recursive: true });
  await writeFile(join(hostsFolder, "docker.io", "hosts.toml"), hostsToml(hosts));
  const containerd = await startContainerd(folder);
  return {
    async pull(reference) {
      await containerd.forget();
      await containerd.ctr("images", "pull", "--hosts-dir", hostsFolder, ...containerd.pullFlags, reference);
      const { stdout } = await containerd.ctr("images", "ls");
      return stdout;
    },
    [Symbol.asyncDispose]: () => containerd[Symbol.asyncDispose](),
  };
}

/** A containerd of its own. */
export interface Containerd extends AsyncDisposable {
  /** What comes before ctr's own words. */
  readonly common: readonly string[];
  readonly pullFlags: readonly string[];
  /** Rejects with ctr's words when it fails. */
  ctr(...args: string[]): Promise<RunResult>;
  /** Leaves nothing of what was pulled. */
  forget(): Promise<void>;
}

/** Starts one in `folder`. Dispose of it. */
export async function startContainerd(folder: string): Promise<Containerd> {
  const socket = join(folder, "containerd.sock");
  const configFile = join(folder, "containerd.toml");
  await writeFile(configFile, containerdToml(folder, socket));
  const running = await startProcess({ command: "containerd", args: ["--config", configFile], ready: { output: /containerd successfully booted/ } });
  const common = ["--address", socket, "--namespace", "test"];
  const ctr = (...args: string[]): Promise<RunResult> => succeed("ctr", [...common, ...args]);
  return {
    common,
    pullFlags: ["--platform", "linux/amd64", "--snapshotter", "native"],
    ctr,
    async forget() {
      const { stdout: held } = await ctr("images", "ls", "--quiet");
      for (const name of held.split("\n").filter(Boolean)) await ctr("images", "rm", "--sync", name);
      const { stdout: content } = await ctr("content", "ls", "--quiet");
      if (content.trim() !== "") await ctr("content", "rm", ...content.trim().split("\n"));
    },
    [Symbol.asyncDispose]: () => running.kill(),
  };
}

/** dockerd of its own, with `registry-mirrors`. */
export async function dockerClient(folder: string, { mirrorUrl }: { readonly mirrorUrl: string }): Promise<Client> {
  const dockerd = await startDockerd(folder, { "registry-mirrors": [mirrorUrl] });
  return {
    async pull(reference) {
      await dockerd.forget();
      const { stdout } = await dockerd.docker("pull", reference);
      return stdout;
    },
    [Symbol.asyncDispose]: () => dockerd[Symbol.asyncDispose](),
  };
}

/** A dockerd of its own. */
export interface Dockerd extends AsyncDisposable {
  /** What comes before docker's own words. */
  readonly common: readonly string[];
  /** Rejects with docker's words when it fails. */
  docker(...args: string[]): Promise<RunResult>;
  /** Leaves nothing of what was pulled. */
  forget(): Promise<void>;
}

/** Starts one in `folder`, with these settings of daemon.json. Dispose of it. */
export async function startDockerd(folder: string, settings: object = {}): Promise<Dockerd> {
  const socket = join(folder, "docker.sock");
  const configFile = join(folder, "daemon.json");
  await writeFile(configFile, JSON.stringify(settings));
  const places = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "dockerd.pid")];
  const args = [
    "--config-file",
    configFile,
    ...places,
    "--host",
    `unix://${socket}`,
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none",
    "--storage-driver=vfs",
  ];
  const running = await startProcess({ command: findProgram("dockerd") ?? "dockerd", args, ready: { output: /API listen on/ } });
  const common = ["--host", `unix://${socket}`];
  const docker = (...words: string[]): Promise<RunResult> =>
    succeed("docker", [...common, ...words], { env: { DOCKER_HOST: undefined, DOCKER_CONFIG: folder } });
  return {
    common,
    docker,
    async forget() {
      const { stdout: held } = await docker("images", "--quiet", "--no-trunc");
      const ids = [...new Set(held.split("\n").filter(Boolean))];
      if (ids.length > 0) await docker("rmi", "--force", ...ids);
    },
    [Symbol.asyncDispose]: () => running.kill(),
  };
}

/** Pushes an OCI layout's `tag` to `target` (`HOST:PORT/team/app:1`), every platform of it. */
export async function pushLayout(layoutFolder: string, tag: string, target: string): Promise<void> {
  await succeed("skopeo", ["--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false", `oci:${layoutFolder}:${tag}`, `docker://${target}`]);
}

async function succeed(command: string, args: readonly string[], options: { env?: Record<string, string | undefined> } = {}): Promise<RunResult> {
  const result = await runProcess(findProgram(command) ?? command, args, options);
  if (result.code !== 0) throw new Error(`${command} ${args.join(" ")}: exit code ${String(result.code)}\n${result.stderr}${result.stdout}`);
  return result;
}

async function writeRegistriesConf(folder: string, mirror: string | undefined): Promise<string> {
  const file = join(folder, "registries.conf");
  // The location proper leads nowhere: what arrives came from the mirror.
  const mirrored =
    mirror === undefined
      ? ""
      : `[[registry]]\nprefix = "docker.io"\nlocation = "127.0.0.1:1"\ninsecure = true\n[[registry.mirror]]\nlocation = "${mirror}"\ninsecure = true\n`;
  await writeFile(file, `unqualified-search-registries = []\n${mirrored}`);
  return file;
}

function hostsToml({ url, overridePath = false }: HostsToml): string {
  return `server = "http://127.0.0.1:1"\n[host."${url}"]\n  capabilities = ["pull", "resolve"]\n${overridePath ? "  override_path = true\n" : ""}`;
}

function containerdToml(folder: string, socket: string): string {
  return `version = 2
root = "${join(folder, "root")}"
state = "${join(folder, "state")}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "${socket}"
`;
}
