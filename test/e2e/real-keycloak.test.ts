/** Our program in front of a registry whose users a real Keycloak knows: `make test-keycloak`. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { basicHeader } from "../../src/auth/basic.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { readDocumentedKeycloak } from "../support/documented-keycloak.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { admin, KeycloakVisitor, startRealKeycloak, type RealKeycloak } from "../support/real-keycloak.ts";
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

  // Whatever its base path: once is enough.
  describe.runIf(relativePath === undefined)("set up as docs/sign-in.md says", () => {
    const registryUrl = "http://registry.example.test";
    const groupsTtlMs = 2_000;
    const manifest = "/v2/team/app/manifests/1";
    const [clientSecret, password] = ["the-clients-secret", "alices-password"];
    let issuer: string;
    let server: OurServer;
    let alice: KeycloakVisitor;

    beforeAll(async () => {
      const own = join(folder.path, "documented");
      await mkdir(own);
      const secretFile = join(own, "client-secret");
      await writeFile(secretFile, clientSecret);
      const places = { kcadm: keycloak.kcadm, keycloakUrl: keycloak.baseUrl, adminPassword: admin.password, registryUrl, clientSecret, password, secretFile };
      const { commands, config } = await readDocumentedKeycloak(places);
      // Where its program keeps who has logged in.
      const set = await runProcess("bash", ["-c", commands], { env: { HOME: own, JAVA_TOOL_OPTIONS: `-Duser.home=${own}` }, deadlineMs: 120_000 });
      expect(set.code, set.stderr).toBe(0);
      issuer = `${keycloak.baseUrl}/realms/company`;
      const registries = [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }];
      const openid = { ...config.auth.openid, groupsTtl: `${groupsTtlMs}ms` };
      server = await startOurServer({ folder: own, config: { ...config, registries, auth: { ...config.auth, openid } } });
    }, 180_000);
    afterAll(() => server?.[Symbol.asyncDispose]());
    beforeEach(() => {
      alice = new KeycloakVisitor({ username: "alice", password });
    });

    async function signIn(): Promise<CookieBrowser> {
      const browser = new CookieBrowser(server.url);
      const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
      const back = await alice.visit(new URL(begun.headers.get("location") ?? ""));
      expect(back.origin).toBe(registryUrl);
      const answer = await browser.ask(`${back.pathname}${back.search}`);
      expect([answer.status, answer.headers.get("location")]).toEqual([302, "/home"]);
      return browser;
    }

    const sees = async (browser: CookieBrowser): Promise<number> => (await browser.ui(manifest)).status;

    async function pullsWith(secret: string): Promise<number> {
      const authorization = basicHeader({ user: "alice@example.com", password: secret });
      return (await fetch(server.url + manifest, { headers: { authorization } })).status;
    }

    /** An access token, as somebody gets it who has the client's secret. */
    async function accessToken(): Promise<string> {
      const redirect = { redirect_uri: `${registryUrl}/zot/auth/callback/oidc` };
      const asked = new URLSearchParams({ client_id: "registry", response_type: "code", scope: "openid profile email", ...redirect });
      const back = await alice.visit(new URL(`${issuer}/protocol/openid-connect/auth?${asked.toString()}`));
      const body = new URLSearchParams({ grant_type: "authorization_code", code: back.searchParams.get("code") ?? "", ...redirect });
      const authorization = basicHeader({ user: "registry", password: clientSecret });
      const answer = await fetch(`${issuer}/protocol/openid-connect/token`, { method: "POST", headers: { authorization }, body });
      return ((await answer.json()) as { access_token: string }).access_token; // Its documented shape.
    }

    async function makeKey(browser: CookieBrowser): Promise<string> {
      const headers = { cookie: `session=${browser.cookies.get("session") ?? ""}`, "x-zot-api-client": "zot-ui" };
      const made = await fetch(`${server.url}/zot/auth/apikey`, { method: "POST", headers, body: JSON.stringify({ label: "laptop" }) });
      return ((await made.json()) as { apiKey: string }).apiKey; // One of its members.
    }

    async function idOf(kind: "users" | "groups", search: string): Promise<string> {
      const [found] = (await keycloak.call("GET", `/admin/realms/company/${kind}?${search}`)) as readonly [{ readonly id: string }]; // Its documented shape.
      return found.id;
    }

    async function setMember(isMember: boolean): Promise<void> {
      const [user, group] = [await idOf("users", "username=alice"), await idOf("groups", "search=dev")];
      await keycloak.call(isMember ? "PUT" : "DELETE", `/admin/realms/company/users/${user}/groups/${group}`);
    }

    /** How long it took until `browser` got this. */
    async function untilSees(browser: CookieBrowser, status: number): Promise<number> {
      const beganMs = performance.now();
      await expect.poll(() => sees(browser), { interval: 100, timeout: 10_000 }).toBe(status);
      return performance.now() - beganMs;
    }

    test("people sign in, and a group that is taken away, or given, counts within groupsTtl", async () => {
      const browser = await signIn();
      expect([await sees(browser), alice.asked]).toEqual([200, 1]);
      await setMember(false);
      const goneMs = await untilSees(browser, 403);
      await setMember(true);
      const backMs = await untilSees(browser, 200);
      console.log(`a group that was taken away was gone after ${goneMs.toFixed(0)} ms, one that was given there after ${backMs.toFixed(0)} ms`);
      // A second more for what is believed, and one for Keycloak.
      expect(Math.max(goneMs, backMs)).toBeLessThan(groupsTtlMs + 2_000);
    }, 60_000);

    test("no request fails while it changes its keys", async () => {
      const browser = await signIn();
      const [key, token] = [await makeKey(browser), await accessToken()];
      const seen = new Set<string>();
      const changing = new AbortController();
      const asking = (async () => {
        while (!changing.signal.aborted) seen.add([await sees(browser), await pullsWith(key), await pullsWith(token)].join());
      })();
      const component = { name: "newer", providerId: "rsa-generated", providerType: "org.keycloak.keys.KeyProvider" };
      await keycloak.call("POST", "/admin/realms/company/components", { ...component, config: { priority: ["1000"], keySize: ["2048"] } });
      const [newcomer, newer] = [await signIn(), await accessToken()];
      expect(keyIdOf(newer)).not.toBe(keyIdOf(token));
      expect([await sees(newcomer), await pullsWith(newer)]).toEqual([200, 200]);
      // Groups are asked for anew meanwhile, and what comes is signed by the new key.
      const untilMs = performance.now() + 2 * groupsTtlMs;
      while (performance.now() < untilMs) expect(await sees(newcomer)).toBe(200);
      changing.abort();
      await asking;
      expect([...seen]).toEqual(["200,200,200"]);
    }, 60_000);

    test("who signs out here signs out there: Keycloak asks for the password again", async () => {
      const first = await signIn();
      await signIn();
      expect(alice.asked).toBe(1);
      const { endSessionUrl } = (await (await first.ui("/zot/auth/logout", { method: "POST" })).json()) as { endSessionUrl: string };
      expect((await alice.visit(new URL(endSessionUrl))).href).toBe(`${registryUrl}/login`);
      expect(await sees(first)).toBe(401);
      await signIn();
      expect(alice.asked).toBe(2);
    }, 60_000);

    test("whose offline sessions an administrator revokes there, and who is disabled, is out here within groupsTtl", async () => {
      const user = await idOf("users", "username=alice");
      const browser = await signIn();
      await keycloak.call("DELETE", `/admin/realms/company/users/${user}/consents/registry`);
      expect(await untilSees(browser, 401)).toBeLessThan(groupsTtlMs + 2_000);
      const again = await signIn();
      await keycloak.call("PUT", `/admin/realms/company/users/${user}`, { enabled: false });
      expect(await untilSees(again, 401)).toBeLessThan(groupsTtlMs + 2_000);
      await keycloak.call("PUT", `/admin/realms/company/users/${user}`, { enabled: true });
    }, 60_000);

    test("once it has stopped, sessions, keys and tokens go on, those that were never shown too, and whoever would sign in is told so", async () => {
      const browser = await signIn();
      const [key, shown, kept] = [await makeKey(browser), await accessToken(), await accessToken()];
      expect([await pullsWith(key), await pullsWith(shown)]).toEqual([200, 200]);
      await keycloak[Symbol.asyncDispose]();
      const untilMs = performance.now() + 2 * groupsTtlMs;
      while (performance.now() < untilMs)
        expect([await sees(browser), await pullsWith(key), await pullsWith(shown), await pullsWith(kept)]).toEqual([200, 200, 200, 200]);
      const stranger = new CookieBrowser(server.url);
      const state = new URL((await stranger.ask("/zot/auth/login?provider=oidc")).headers.get("location") ?? "").searchParams.get("state") ?? "";
      const refused = await stranger.ask(`/zot/auth/callback/oidc?${new URLSearchParams({ state, code: "x", iss: issuer }).toString()}`);
      expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining("Keycloak does not answer")]);
    }, 60_000);
  });
});

function keyIdOf(token: string): unknown {
  return (JSON.parse(Buffer.from(token.split(".", 1)[0] ?? "", "base64url").toString()) as { kid: unknown }).kid; // A header's documented shape.
}
