/** What a login with a browser is good for later: `docker login` by an access token that lasts, over a restart, and in every server of one registry. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { basic } from "../support/guarded-server.ts";
import { defaultRedirectUri, startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const externalUrl = "http://registry.example.test";
const closed = "/v2/team/app/manifests/1";
const alice = { preferred_username: "alice", email: "alice@example.com", email_verified: true, groups: ["dev"] };

let folder: TemporaryFolder;
let upstream: FakeUpstream;
let oidc: OpenidProvider;

beforeAll(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1");
  oidc = await startOpenidProvider({ people: new Map(), redirectUris: [`${externalUrl}/zot/auth/callback/oidc`, defaultRedirectUri] });
});
afterAll(async () => {
  await oidc?.[Symbol.asyncDispose]();
  await upstream?.close();
  await folder?.[Symbol.asyncDispose]();
});

async function start(name: string, auth: object = {}): Promise<OurServer> {
  const own = join(folder.path, name);
  await mkdir(own, { recursive: true });
  const provider = {
    issuer: oidc.issuer,
    clientid: oidc.clientId,
    clientsecret: oidc.clientSecret,
    scopes: ["openid", "profile", "email", "offline_access"],
    claimMapping: { username: "preferred_username" },
  };
  return await startOurServer({
    folder: own,
    config: {
      externalUrl,
      tagTtl: "1h",
      registries: [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }],
      accessControl: { repositories: { "team/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } } },
      auth: { tokenService: "builtin", openid: { providers: { oidc: provider }, groupsTtl: "1s" }, ...auth },
    },
  });
}

async function signIn({ url }: OurServer): Promise<CookieBrowser> {
  const browser = new CookieBrowser(url);
  const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
  const back = await oidc.visit(new URL(begun.headers.get("location") ?? ""));
  expect((await browser.ask(`${back.pathname}${back.search}`)).status).toBe(302);
  return browser;
}

/** As `docker login` asks: what it keeps. */
async function dockerLogin({ url }: OurServer, user: string, password: string): Promise<string | undefined> {
  const query = `account=${user}&client_id=docker&offline_token=true&service=registry.example.test`;
  const answer = await fetch(`${url}/zot/auth/token?${query}`, { headers: { authorization: basic(user, password) } });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { readonly refresh_token?: string }).refresh_token;
}

/** As docker pulls, with what it kept: the status of the token, then that of the manifest. */
async function dockerPull({ url }: OurServer, refreshToken: string): Promise<readonly number[]> {
  const form = {
    grant_type: "refresh_token",
    refresh_token: refreshToken,
    client_id: "docker",
    service: "registry.example.test",
    scope: "repository:team/app:pull",
  };
  const answer = await fetch(`${url}/zot/auth/token`, { method: "POST", body: new URLSearchParams(form) });
  const { access_token: token = "" } = (await answer.json()) as { readonly access_token?: string };
  if (answer.status !== 200) return [answer.status];
  return [answer.status, (await fetch(url + closed, { headers: { authorization: `Bearer ${token}` } })).status];
}

test("an access token buys what lasts: beyond the browser's session and the server's process, until the provider has enough of the person", async () => {
  oidc.people.set("1", alice);
  oidc.visitor = "1";
  const server = await start("one");
  expect(await dockerLogin(server, "alice", await oidc.accessToken("1"))).toBeUndefined();
  const [browser, other] = [await signIn(server), await signIn(server)];
  const kept = (await dockerLogin(server, "alice", await oidc.accessToken("1"))) ?? "";
  expect(kept).toMatch(/^ocr_/);
  expect(await dockerPull(server, kept)).toEqual([200, 200]);
  expect((await browser.ui("/zot/auth/logout", { method: "POST" })).status).toBe(200);
  expect((await other.ui(closed)).status).toBe(200);
  // By now no access token of before could be checked.
  oidc.rotateKeys();
  await server.process.kill("SIGKILL");
  await using again = await start("one");
  const later = new CookieBrowser(again.url);
  for (const [name, value] of other.cookies) later.cookies.set(name, value);
  expect((await later.ui(closed)).status).toBe(200);
  expect(await dockerPull(again, kept)).toEqual([200, 200]);
  oidc.people.set("1", { ...alice, groups: ["guests"] });
  await expect.poll(() => dockerPull(again, kept), { interval: 200 }).toEqual([200, 403]);
  oidc.people.set("1", alice);
  await expect.poll(() => dockerPull(again, kept), { interval: 200 }).toEqual([200, 200]);
  oidc.people.delete("1");
  await expect.poll(() => dockerPull(again, kept), { interval: 200 }).toEqual([401]);
  expect((await later.ui(closed)).status).toBe(401);
  oidc.people.set("1", alice);
  expect(await dockerPull(again, kept)).toEqual([401]);
  await again.process.waitForOutput(/somebody is to sign in again/);
  // Neither what the provider gave nor the key that it was sealed by is told, and they lie apart.
  const files = (await readdir(join(again.imagePath, "state"), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const texts = await Promise.all(files.map(async (file) => `${file.parentPath} ${await readFile(join(file.parentPath, file.name), "utf8")}`));
  const key = /"text":"([^"]+)"/.exec(texts.find((text) => text.includes("sealing-keys")) ?? "")?.[1] ?? "?";
  expect(texts.filter((text) => text.includes(key))).toHaveLength(1);
  expect(again.process.output).not.toContain(key);
});

describe.runIf(requirePrograms("redis-server", "redis-cli"))("two servers that share a Redis and no folder", () => {
  test("have one word on somebody: what the provider gives is used once, by one of them, and good in both", async () => {
    oidc.people.set("1", alice);
    oidc.visitor = "1";
    await using redis = await startRedis();
    const auth = { sessionDriver: { name: "redis", url: redis.url } };
    await using one = await start("redis-one", auth);
    await using two = await start("redis-two", auth);
    const browsers = [await signIn(one), await signIn(two)];
    const seen = browsers.flatMap((browser) => [one, two].map(({ url }) => Object.assign(new CookieBrowser(url), { cookies: browser.cookies })));
    const asked = (): number => oidc.requests.filter((line) => line === "POST /application/o/registry/token").length;
    const before = asked();
    const untilMs = performance.now() + 5_000;
    // A refresh token that is shown twice ends all of that login at this provider: then somebody would be signed out.
    while (performance.now() < untilMs) expect(await Promise.all(seen.map(async (browser) => (await browser.ui(closed)).status))).toEqual([200, 200, 200, 200]);
    expect(asked() - before).toBeGreaterThanOrEqual(3);
    expect(asked() - before).toBeLessThanOrEqual(6);
    oidc.people.delete("1");
    await expect.poll(async () => Promise.all(seen.map(async (browser) => (await browser.ui(closed)).status)), { interval: 100 }).toEqual([401, 401, 401, 401]);
  });
});
