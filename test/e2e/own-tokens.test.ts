/** Our own token service before strangers: Debian's docker-registry judges its tokens, skopeo and podman fetch them as they do everywhere. */
import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Grants } from "../../src/auth/token-service.ts";
import { basicHeader } from "../../src/auth/basic.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { pushLayout } from "../support/container-clients.ts";
import { startDockerRegistry, type DockerRegistry } from "../support/docker-registry.ts";
import { buildImage, writeImageLayout } from "../support/images.ts";
import { runProcess, type RunResult } from "../support/processes.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { ellipticKey, signToken } from "../support/signed-tokens.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { passwordLine, startTokenService, type OwnTokenService } from "../support/token-service.ts";

const run = promisify(execFile);

/** Everybody may read public/, alice private/ too. */
const grants: Grants = {
  admitsAnonymous: true,
  allowsCatalog: (principal) => principal !== undefined,
  allows: (principal, action, repository) => action === "read" && (repositoryName(repository).startsWith("docker.io/public/") || principal?.name === "alice"),
};
const alice = { authorization: basicHeader({ user: "alice", password: "secret" }) };

describe.runIf(requirePrograms("docker-registry", "skopeo", "openssl"))("docker-registry, told to trust our tokens", () => {
  let folder: TemporaryFolder;
  let tokens: OwnTokenService;
  let registry: DockerRegistry;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const image = buildImage();
    await writeImageLayout(join(folder.path, "layout"), "1", image);
    await mkdir(join(folder.path, "registry"));
    {
      await using open = await startDockerRegistry({ folder: join(folder.path, "registry") });
      for (const name of ["public/app", "private/app"]) await pushLayout(join(folder.path, "layout"), "1", `${open.host}/${name}:1`);
    }
    tokens = await startTokenService({ folder: folder.path, grants, passwords: [passwordLine("alice", "secret")] });
    await tokens.keys.current();
    const [keyFile = ""] = await readdir(tokens.keyFolder);
    const bundle = join(folder.path, "bundle.pem");
    await run("openssl", ["req", "-x509", "-key", join(tokens.keyFolder, keyFile), "-subj", "/CN=tokens", "-days", "2", "-out", bundle]);
    const { realm, service, issuer } = tokens;
    registry = await startDockerRegistry({ folder: join(folder.path, "registry"), auth: { token: { realm, service, issuer, rootcertbundle: bundle } } });
  });

  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await tokens[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  async function tokenFor(scope: string, headers: Record<string, string> = alice): Promise<string> {
    const response = await fetch(`${tokens.realm}?service=${tokens.service}&scope=${scope}`, { headers });
    return String(((await response.json()) as Record<string, unknown>)["token"]); // Every answer of ours is an object.
  }

  async function head(name: string, token: string): Promise<readonly [number, string]> {
    const headers = { authorization: `Bearer ${token}`, accept: "application/vnd.oci.image.manifest.v1+json" };
    const response = await fetch(`${registry.url}/v2/${name}/manifests/1`, { method: "HEAD", headers });
    return [response.status, /error="([a-z_]+)"/.exec(response.headers.get("www-authenticate") ?? "")?.[1] ?? ""];
  }

  test("takes a token for what it is for, and for nothing else", async () => {
    const token = await tokenFor("repository:private/app:pull");
    expect(await head("private/app", token)).toEqual([200, ""]);
    expect(await head("public/app", token)).toEqual([401, "insufficient_scope"]);
  });

  test("takes nobody's token for what everybody may, and for no more", async () => {
    expect(await head("public/app", await tokenFor("repository:public/app:pull", {}))).toEqual([200, ""]);
    expect(await head("private/app", await tokenFor("repository:private/app:pull", {}))).toEqual([401, "insufficient_scope"]);
  });

  test("takes no token that another key signed under our key's name", async () => {
    const { id } = await tokens.keys.current();
    const seconds = Math.floor(Date.now() / 1_000);
    const claims = { iss: tokens.issuer, aud: tokens.service, sub: "alice", iat: seconds, nbf: seconds, exp: seconds + 300 };
    const access = [{ type: "repository", name: "private/app", actions: ["pull"] }];
    expect(await head("private/app", signToken(ellipticKey(), { ...claims, access }, { kid: id }))).toEqual([401, "invalid_token"]);
  });

  test("skopeo pulls public names without a login and private ones with it, and is refused with a wrong one", async () => {
    const skopeo = (name: string, ...credentials: readonly string[]): Promise<RunResult> =>
      runProcess("skopeo", ["inspect", "--raw", "--tls-verify=false", ...credentials, `docker://${registry.host}/${name}:1`]);
    const before = tokens.requests.length;
    expect((await skopeo("public/app", "--no-creds")).code).toBe(0);
    expect((await skopeo("private/app", "--creds=alice:secret")).code).toBe(0);
    expect((await skopeo("private/app", "--no-creds")).code).not.toBe(0);
    expect((await skopeo("public/app", "--creds=alice:wrong")).code).not.toBe(0);
    const scope = (name: string): string => `scope=repository%3A${name.replace("/", "%2F")}%3Apull&service=registry.test`;
    expect(tokens.requests.slice(before)).toEqual([
      `GET /zot/auth/token?${scope("public/app")}`,
      `GET /zot/auth/token?account=alice&${scope("private/app")}`,
      `GET /zot/auth/token?${scope("private/app")}`,
      // It asks for what the registry missed, beside what it had asked for.
      `GET /zot/auth/token?${scope("private/app").replace("&", "&scope=repository%3Aprivate%2Fapp%3Apull&")}`,
      `GET /zot/auth/token?account=alice&${scope("public/app")}`,
    ]);
  });

  test.runIf(requirePrograms("podman") && requireRoot())("podman logs in with the right password, and with no other", async () => {
    const login = async (password: string): Promise<number | null> => {
      const authfile = join(folder.path, `auth-${password}.json`);
      await writeFile(authfile, "{}");
      return (await runProcess("podman", ["login", "--tls-verify=false", "--authfile", authfile, "-u", "alice", "-p", password, registry.host])).code;
    };
    expect(await login("secret")).toBe(0);
    expect(await login("wrong")).not.toBe(0);
  });
});
