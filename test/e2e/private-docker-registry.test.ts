/** Debian's docker-registry as a private upstream: with htpasswd, and with a token service whose keys openssl made. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createTestAuthority } from "../support/certificates.ts";
import { pushLayout } from "../support/container-clients.ts";
import { startDockerRegistry, type DockerRegistry, type DockerRegistryOptions } from "../support/docker-registry.ts";
import { buildImage, writeImageLayout, type BuiltImage } from "../support/images.ts";
import { startJwtTokenService } from "../support/jwt-token-service.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { secretsLeftBy } from "../support/secret-traces.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const secret = "s3cret-of-robot";
/** `htpasswd -Bbn robot s3cret-of-robot` */
const htpasswd = "robot:$2y$05$yr25jH.2smBon.G7PIvA1OLeiyilP9p7X/KO5sAtWcHOXeCtLm7Yy\n";

/** A registry that holds `team/app:1` and lets in whom `auth` says. */
async function startPrivate(folder: string, auth: DockerRegistryOptions["auth"]): Promise<{ registry: DockerRegistry; image: BuiltImage }> {
  const [own, layout] = [join(folder, "registry"), join(folder, "layout")];
  await mkdir(own);
  const image = buildImage();
  await writeImageLayout(layout, "1", image);
  {
    await using open = await startDockerRegistry({ folder: own });
    await pushLayout(layout, "1", `${open.host}/team/app:1`);
  }
  return { registry: await startDockerRegistry({ folder: own, ...(auth ? { auth } : {}) }), image };
}

/** Ours, with one password for it. */
async function startBeside(folder: string, { host }: DockerRegistry, password: string, realmHosts: readonly string[]): Promise<OurServer> {
  const own = join(folder, password === secret ? "right" : "wrong");
  await mkdir(own);
  const registries = [{ name: host, scheme: "http", auth: { user: "robot", password, realmHosts } }];
  return startOurServer({ folder: own, config: { logLevel: "debug", registries } });
}

/** Everything that a client pulls of the image, by the bytes it got. */
async function pullWhole({ url }: OurServer, { host }: DockerRegistry, { blobs }: BuiltImage): Promise<readonly boolean[]> {
  const manifest = await fetch(`${url}/v2/${host}/team/app/manifests/1`, { headers: { connection: "close" } });
  const whole = [manifest.status === 200];
  for (const [digest, bytes] of blobs) {
    const blob = await fetch(`${url}/v2/${host}/team/app/blobs/${digest}`, { headers: { connection: "close" } });
    whole.push(Buffer.from(bytes).equals(Buffer.from(await blob.arrayBuffer())));
  }
  return whole;
}

async function expectRefused(server: OurServer, { host }: DockerRegistry, said: string): Promise<void> {
  const response = await fetch(`${server.url}/v2/${host}/team/app/manifests/1`, { headers: { connection: "close" } });
  expect([response.status, response.headers.get("www-authenticate")]).toEqual([403, null]);
  const body = await response.text();
  expect(JSON.parse(body)).toMatchObject({ errors: [{ code: "DENIED" }] });
  const [line] = await server.process.waitForOutput(/.*"msg":"credential refused".*/);
  expect(line).toContain(`${said}: check user and password`);
  expect(await secretsLeftBy(server, [secret, "wr0ng-secret"], { answers: [body] })).toEqual([]);
}

describe.runIf(requirePrograms("docker-registry", "skopeo", "openssl"))("docker-registry", () => {
  test("with htpasswd gives its image to the right password, and 403 in one line to another", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "htpasswd");
    await writeFile(path, htpasswd);
    const { registry, image } = await startPrivate(folder.path, { htpasswd: { realm: "private", path } });
    await using _registry = registry;
    await using server = await startBeside(folder.path, registry, secret, []);
    expect(await pullWhole(server, registry, image)).toEqual(Array.from({ length: image.blobs.size + 1 }, () => true));
    expect(await secretsLeftBy(server, [secret])).toEqual([]);
    await using other = await startBeside(folder.path, registry, "wr0ng-secret", []);
    await expectRefused(other, registry, `${registry.host} answered 401`);
  });

  test("with a token service gives its image for a token that the right password buys, and 403 in one line where another buys none", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    await using tokens = await startJwtTokenService(await authority.issue());
    tokens.users.set("robot", secret);
    const { realm, service, issuer, host } = tokens;
    const { registry, image } = await startPrivate(folder.path, { token: { realm, service, issuer, rootcertbundle: authority.certificateFile } });
    await using _registry = registry;
    await using server = await startBeside(folder.path, registry, secret, [host]);
    expect(await pullWhole(server, registry, image)).toEqual(Array.from({ length: image.blobs.size + 1 }, () => true));
    expect(tokens.requests).toEqual(["GET /token?service=test-registry&scope=repository%3Ateam%2Fapp%3Apull"]);
    const shown = tokens.log.flatMap(({ headers }) => headers.authorization?.replace("Basic ", "") ?? []);
    expect(await secretsLeftBy(server, [secret, ...shown])).toEqual([]);
    await using other = await startBeside(folder.path, registry, "wr0ng-secret", [host]);
    await expectRefused(other, registry, `${host} gives no token for ${registry.host}: a token: access refused or no such thing: ${host} answered 401`);
  });
});
