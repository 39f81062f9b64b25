/** Our program in front of a registry whose users a real Keycloak knows: `make test-keycloak`. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { basicHeader } from "../../src/auth/basic.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { pagesSecret, startRealKeycloak, type RealKeycloak } from "../support/real-keycloak.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const archive = process.env["KEYCLOAK_ARCHIVE"];
const isAsked = archive !== undefined && requirePrograms("java", "skopeo", "tar");

describe.runIf(isAsked).each([undefined, "/auth"] as const)("Keycloak with the base path %s", (relativePath) => {
  let folder: TemporaryFolder;
  let keycloak: RealKeycloak;
  let upstream: FakeUpstream;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const home = join(folder.path, "keycloak");
    await mkdir(home);
    keycloak = await startRealKeycloak({ archive: archive ?? "", folder: home, ...(relativePath === undefined ? {} : { relativePath }) });
    upstream = await startFakeUpstream();
    for (const name of ["team/app", "team/denied"]) upstream.putImage(name, "1");
  }, 400_000);

  afterAll(async () => {
    await upstream?.close();
    await keycloak?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  /** Told by the variables that its pages show: the realm as its documents write it, the key by a file or not at all. */
  async function start(name: string, variables: Record<string, string>, config: object = {}): Promise<OurServer> {
    const own = join(folder.path, name);
    await mkdir(own);
    const env = {
      REGISTRY_AUTH_TOKEN_REALM: `${keycloak.issuer}/protocol/docker-v2`,
      REGISTRY_AUTH_TOKEN_SERVICE: "registry",
      REGISTRY_AUTH_TOKEN_ISSUER: keycloak.issuer,
      ...variables,
    };
    const registries = [
      { name: "docker.io", endpoints: [upstream.url], originFallback: false },
      { name: upstream.host, scheme: "http", aliases: ["up"] },
    ];
    return startOurServer({ folder: own, env, config: { registries, ...config } });
  }

  async function skopeo({ host }: OurServer, name: string, ...credentials: readonly string[]): Promise<number | null> {
    return (await runProcess("skopeo", ["inspect", "--raw", "--tls-verify=false", ...credentials, `docker://${host}/${name}:1`])).code;
  }

  async function tokenFor(service: string, scope: string): Promise<string> {
    const url = `${keycloak.issuer}/protocol/docker-v2/auth?service=${service}&scope=${scope}`;
    const response = await fetch(url, { headers: { authorization: basicHeader({ user: "alice", password: "secret" }) } });
    return String(((await response.json()) as Record<string, unknown>)["token"]); // Its documented shape.
  }

  test("its users pull with their password, and nobody else does, by its certificate and by its key set", async () => {
    const bundle = join(folder.path, "bundle.pem");
    await writeFile(bundle, await keycloak.certificate());
    const variables: readonly (readonly [string, Record<string, string>])[] = [
      ["by-file", { REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: bundle }],
      ["by-key-set", {}],
    ];
    for (const [name, more] of variables) {
      await using server = await start(name, more);
      expect(await skopeo(server, "team/app", "--creds=alice:secret")).toBe(0);
      expect(await skopeo(server, "up/team/app", "--creds=alice:secret")).toBe(0);
      expect(await skopeo(server, "team/app", "--creds=alice:wrong")).not.toBe(0);
      expect(await skopeo(server, "team/app", "--no-creds")).not.toBe(0);
    }
  });

  test("its permission for everything is narrowed by ours, and a token for another registry is worth nothing", async () => {
    const accessControl = { repositories: { "team/app": { policies: [{ users: ["alice"], actions: ["read"] }] } } };
    await using server = await start("narrowed", {}, { accessControl });
    expect(await skopeo(server, "team/app", "--creds=alice:secret")).toBe(0);
    const head = async (name: string, token: string): Promise<number> => {
      const response = await fetch(`${server.url}/v2/${name}/manifests/1`, { method: "HEAD", headers: { authorization: `Bearer ${token}` } });
      return response.status;
    };
    expect(await head("team/app", await tokenFor("registry", "repository:team/app:pull"))).toBe(200);
    expect(await head("team/denied", await tokenFor("registry", "repository:team/denied:pull"))).toBe(403);
    expect(await head("team/app", await tokenFor("registry", "repository:team/denied:pull"))).toBe(401);
    expect(await head("team/app", await tokenFor("other", "repository:team/app:pull"))).toBe(401);
  });

  test("people sign in with it, with the groups of now, stay so while it changes its keys or is away, and sign out of it", async () => {
    const externalUrl = "http://registry.example.test";
    const oidc = {
      issuer: keycloak.issuer,
      clientid: "pages",
      clientsecret: pagesSecret,
      scopes: ["openid", "profile", "email"],
      claimMapping: { username: "preferred_username" },
    };
    const accessControl = { repositories: { "team/app": { policies: [{ groups: ["dev"], actions: ["read"] }] } } };
    const own = join(folder.path, "pages");
    await mkdir(own);
    const registries = [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }];
    const config = { registries, externalUrl, accessControl, auth: { openid: { providers: { oidc }, groupsTtl: "1s" } } };
    await using server = await startOurServer({ folder: own, config });
    const manifest = "/v2/team/app/manifests/1";
    const signIn = async (): Promise<CookieBrowser> => {
      const browser = new CookieBrowser(server.url);
      const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
      const back = await keycloak.visit(new URL(begun.headers.get("location") ?? ""));
      expect(back.origin).toBe(externalUrl);
      const answer = await browser.ask(`${back.pathname}${back.search}`);
      expect([answer.status, answer.headers.get("location")]).toEqual([302, "/home"]);
      return browser;
    };
    await keycloak.setMember(true);
    const browser = await signIn();
    expect((await browser.ui(manifest)).status).toBe(200);
    await keycloak.setMember(false);
    await expect.poll(async () => (await browser.ui(manifest)).status).toBe(403);
    await keycloak.setMember(true);
    await expect.poll(async () => (await browser.ui(manifest)).status).toBe(200);
    await keycloak.rotateKeys();
    expect((await (await signIn()).ui(manifest)).status).toBe(200);
    expect((await browser.ui(manifest)).status).toBe(200);
    const out = await signIn();
    const { endSessionUrl } = (await (await out.ui("/zot/auth/logout", { method: "POST" })).json()) as { endSessionUrl: string };
    const ended = await fetch(endSessionUrl, { redirect: "manual" });
    expect([ended.status, ended.headers.get("location")]).toEqual([302, `${externalUrl}/login`]);
    await keycloak.setEnabled(false);
    await expect.poll(async () => (await browser.ui(manifest)).status).toBe(401);
    await keycloak.setEnabled(true);
    const last = await signIn();
    await keycloak[Symbol.asyncDispose]();
    const untilMs = performance.now() + 3_000;
    while (performance.now() < untilMs) expect((await last.ui(manifest)).status).toBe(200);
  }, 120_000);
});
