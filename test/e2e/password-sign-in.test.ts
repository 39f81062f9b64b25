/** Signing in with a browser by name and password: the session, what ends it, and those who would like to have one. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copyFile, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { runLine } from "../cli/captured-io.ts";
import { serving } from "../server/serving.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOurServer } from "../support/our-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";

const closed = "/v2/team/app/manifests/1";
const login = "/zot/auth/login";
const logout = "/zot/auth/logout";
const accessControl = { repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] }, "open/**": { anonymousPolicy: ["read"] } } };
const config = { auth: { htpasswd: { path: "HTPASSWD" } }, accessControl };
const alice = { username: "alice", password: "alice-password" };

function browserOf({ server }: Pick<GuardedServer, "server">): CookieBrowser {
  return new CookieBrowser(server.url);
}

async function signedIn(guarded: Pick<GuardedServer, "server">, form: Readonly<Record<string, string>> = alice): Promise<CookieBrowser> {
  const browser = browserOf(guarded);
  expect((await browser.submit(login, form)).status).toBe(303);
  expect(browser.cookies.get("session")).toBeDefined();
  return browser;
}

/** For another configuration of the same store. */
function subfolder(folder: string): Promise<string> {
  return mkdtemp(join(folder, "process-"));
}

describe.runIf(requirePrograms("htpasswd"))("a person with a name and a password", () => {
  let guarded: GuardedServer;

  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["team/app", "open/app"], users: ["alice", "bob"], config });
  });
  afterAll(() => guarded[Symbol.asyncDispose]());

  test("signs in by the form, is let in by the session, and signs out", async () => {
    const browser = browserOf(guarded);
    const answer = await browser.submit(login, alice);
    expect([answer.status, answer.headers.get("location"), answer.headers.get("cache-control")]).toEqual([303, "/home", "no-store"]);
    expect(browser.setCookies).toHaveLength(1);
    expect(browser.setCookies[0]).toMatch(/^session=[0-9a-f]{32}\.[A-Za-z0-9_-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax$/);
    guarded.upstream.forget();
    expect((await browser.ui(closed)).status).toBe(200);
    expect(guarded.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", expect.stringMatching(/^GET \/v2\/team\/app\/manifests\/sha256:/)]);
    const value = browser.cookies.get("session") ?? "";
    const out = await browser.submit(logout, {});
    expect([out.status, out.headers.get("location")]).toEqual([303, "/login"]);
    expect(browser.cookies.has("session")).toBe(false);
    browser.cookies.set("session", value);
    expect((await browser.ui(closed)).status).toBe(401);
  });

  test("is somebody by the cookie only beside the header that no foreign page can send", async () => {
    const browser = await signedIn(guarded);
    expect((await browser.ask(closed)).status).toBe(401);
    expect((await browser.ask(closed, { headers: { "x-zot-api-client": "something" } })).status).toBe(401);
    expect((await browser.ui(closed)).status).toBe(200);
  });

  test("is shown no dialogue of the browser's when something is refused", async () => {
    const browser = await signedIn(guarded, { username: "bob", password: "bob-password" });
    for (const [asking, status] of [
      [browser.ui(closed), 403],
      [browserOf(guarded).ui(closed), 401],
      [browserOf(guarded).ui("/v2/_catalog"), 200],
    ] as const) {
      const answer = await asking;
      expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([status, null]);
    }
    expect((await browserOf(guarded).ask(closed)).headers.get("www-authenticate")).toBe('Basic realm="Authorization Required"');
  });

  test("is a stranger with a cookie of no session, and it is taken back", async () => {
    const browser = browserOf(guarded);
    browser.cookies.set("session", `${"0".repeat(32)}.${"A".repeat(43)}`);
    expect((await browser.ui("/v2/open/app/manifests/1")).status).toBe(200);
    expect(browser.setCookies).toEqual(["session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]);
    browser.cookies.set("session", "garbage");
    expect((await browser.ui(closed)).status).toBe(401);
    expect(browser.cookies.has("session")).toBe(false);
    browser.cookies.set("session", "garbage");
    expect((await browser.ask("/home", { headers: { accept: "text/html" } })).status).toBe(200);
    expect(browser.cookies.has("session")).toBe(false);
  });

  test("who shows a password as well is who the password says", async () => {
    const browser = await signedIn(guarded);
    expect((await browser.ui(closed, { headers: { authorization: basic("bob") } })).status).toBe(403);
    expect((await browser.ui(closed, { headers: { authorization: basic("bob", "wrong") } })).status).toBe(401);
  });

  test.each([
    ["a wrong password", { username: "alice", password: "wrong" }],
    ["a name that nobody has", { username: "nobody", password: "alice-password" }],
    ["no name", { username: "", password: "alice-password" }],
    ["no password", { username: "alice" }],
  ])("is sent back to the form with %s, and gets no session", async (_, form) => {
    const browser = browserOf(guarded);
    const answer = await browser.submit(login, { ...form, callback_ui: "/home?x=1" });
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/login?error=wrong&callback_ui=%2Fhome%3Fx%3D1"]);
    expect(browser.setCookies).toEqual([]);
  });

  test.each([
    ["/home?x=1", "/home?x=1"],
    ["https://evil.example/", "/"],
    ["//evil.example/", "/"],
    ["/\\evil.example/", "/"],
    ["/\t/evil.example/", "/"],
    ["", "/home"],
  ])("is sent on where it may be sent: %j to %s", async (written, location) => {
    expect((await browserOf(guarded).submit(login, { ...alice, callback_ui: written })).headers.get("location")).toBe(location);
  });

  test("has another session after each login, and the one that it came with is over: whoever planted it waits in vain", async () => {
    const mallory = await signedIn(guarded, { username: "bob", password: "bob-password" });
    const planted = mallory.cookies.get("session") ?? "";
    const victim = browserOf(guarded);
    victim.cookies.set("session", planted);
    await victim.submit(login, alice);
    expect(victim.cookies.get("session")).not.toBe(planted);
    expect((await victim.ui(closed)).status).toBe(200);
    // Asked twice: what is remembered of it may be a second old.
    await expect.poll(async () => (await mallory.ui("/zot/auth/sessions")).status).toBe(401);
  });

  test.each([
    ["another site's", { from: "https://evil.example" }],
    ["a page without an origin", { from: "null" }],
    ["another port's", { from: "http://127.0.0.1:1" }],
    ["another site's, by the browser's word", { headers: { "sec-fetch-site": "cross-site" } }],
    ["a sibling's, by the browser's word", { headers: { "sec-fetch-site": "same-site" } }],
  ])("is signed neither in nor out by %s form", async (_, by) => {
    const stranger = browserOf(guarded);
    expect((await stranger.ask(login, { form: alice, ...by })).status).toBe(403);
    expect(stranger.setCookies).toEqual([]);
    const browser = await signedIn(guarded);
    expect((await browser.ask(logout, { form: {}, ...by })).status).toBe(403);
    expect((await browser.ask("/zot/auth/sessions?id=x", { method: "DELETE", ...by })).status).toBe(403);
    expect((await browser.ui(closed)).status).toBe(200);
  });

  test("is not signed out by a cookie alone, without header or origin", async () => {
    const browser = await signedIn(guarded);
    expect((await browser.ask(logout, { method: "POST" })).status).toBe(403);
    expect((await browser.ask(logout)).status).toBe(405);
    expect((await browser.ui(closed)).status).toBe(200);
    const out = await browser.ui(logout, { method: "POST" });
    expect([out.status, await out.json()]).toEqual([200, {}]);
    expect((await browser.ui(closed)).status).toBe(401);
  });

  test("a foreign page changes nothing at any address of the table, whatever it asks by: the cookie goes along and counts for nothing", async () => {
    const browser = await signedIn(guarded);
    const [own] = ((await (await browser.ui("/zot/auth/sessions")).json()) as { sessions: readonly { id: string }[] }).sessions;
    const table = serving().app.routes.map(({ path }) => path.replace("*", "x"));
    const others = [
      login,
      "/auth/login",
      logout,
      `/zot/auth/sessions?id=${own?.id}`,
      "/zot/auth/apikey",
      closed,
      "/cmd/stop",
      "/cmd/prune?type=accessed&dur=1h",
    ];
    for (const path of new Set([...table, ...others])) {
      for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
        const answer = await browser.ask(path, { method, from: "https://evil.example", ...(method === "POST" ? { form: { ...alice, label: "key" } } : {}) });
        expect([method, path, [400, 401, 403, 404, 405].includes(answer.status)]).toEqual([method, path, true]);
      }
    }
    expect(browser.setCookies).toHaveLength(1);
    expect((await browser.ui(closed)).status).toBe(200);
  });

  test("sees its sessions and ends one of them, and nobody else's", async () => {
    const [here, there, other] = [await signedIn(guarded), await signedIn(guarded), await signedIn(guarded, { username: "bob", password: "bob-password" })];
    const listed = (await (await there.ui("/zot/auth/sessions")).json()) as { sessions: readonly { id: string; by: string; client: string }[] };
    expect(listed.sessions.length).toBeGreaterThanOrEqual(2);
    expect(listed.sessions[0]).toMatchObject({ by: "htpasswd", client: "127.0.0.1" });
    const [{ id: ofThere } = { id: "" }, { id: ofHere } = { id: "" }] = listed.sessions;
    expect((await other.ui(`/zot/auth/sessions?id=${ofHere}`, { method: "DELETE" })).status).toBe(404);
    expect((await there.ui(`/zot/auth/sessions?id=${ofHere}`, { method: "DELETE" })).status).toBe(204);
    expect((await there.ui("/zot/auth/sessions", { method: "DELETE" })).status).toBe(400);
    expect((await here.ui(closed)).status).toBe(401);
    expect((await there.ui(closed)).status).toBe(200);
    expect(ofThere).not.toBe(ofHere);
    expect((await guarded.get("/zot/auth/sessions")).status).toBe(401);
    expect((await guarded.get("/zot/auth/sessions", { user: "alice" })).status).toBe(200);
  });

  test("leaves neither its password nor its session in the log", async () => {
    const browser = await signedIn(guarded);
    await browser.ui(closed);
    await expect.poll(() => guarded.server.process.output).toContain("signed in");
    for (const secret of ["alice-password", browser.cookies.get("session") ?? "?", browser.cookies.get("session")?.split(".")[1] ?? "?"]) {
      expect(guarded.server.process.output).not.toContain(secret);
    }
  });

  test.each(["PUT", "DELETE", "PATCH"])("%s is for none of these addresses", async (method) => {
    for (const path of [login, "/auth/login", logout]) expect([path, (await guarded.get(path, { method })).status]).toEqual([path, 405]);
  });

  test("a form that is too large, or is none, is not read", async () => {
    const browser = browserOf(guarded);
    expect((await browser.submit(login, { ...alice, more: "x".repeat(70_000) })).status).toBe(413);
    expect((await browser.ask(login, { method: "POST", headers: { "content-type": "text/plain" } })).status).toBe(400);
  });
});

describe.runIf(requirePrograms("htpasswd"))("a session", () => {
  test("outlives the process, and is known to every process of the same folder, where it ends within two seconds", async () => {
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config });
    const browser = await signedIn(guarded);
    const text = JSON.stringify({ registries: [{ name: "docker.io", endpoints: [guarded.upstream.url], originFallback: false }], ...config });
    const other = JSON.parse(text.replace("HTPASSWD", join(guarded.folder, "htpasswd"))) as Record<string, unknown>;
    {
      await using second = await startOurServer({ folder: await subfolder(guarded.folder), config: { ...other, imagePath: join(guarded.folder, "store") } });
      const there = new CookieBrowser(second.url);
      there.cookies.set("session", browser.cookies.get("session") ?? "");
      expect((await there.ui(closed)).status).toBe(200);
      await browser.ui(logout, { method: "POST" });
      const endedAtMs = performance.now();
      await expect.poll(async () => (await there.ui(closed)).status, { interval: 50 }).toBe(401);
      expect(performance.now() - endedAtMs).toBeLessThan(2_000);
    }
    const again = await signedIn(guarded);
    await guarded.server.process.kill("SIGKILL");
    await using third = await startOurServer({ folder: await subfolder(guarded.folder), config: { ...other, imagePath: join(guarded.folder, "store") } });
    const later = new CookieBrowser(third.url);
    later.cookies.set("session", again.cookies.get("session") ?? "");
    expect((await later.ui(closed)).status).toBe(200);
  });

  test("ends with the password that it was begun by, and with its user", async () => {
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice", "bob"], config });
    const [browser, other] = [await signedIn(guarded), await signedIn(guarded, { username: "bob", password: "bob-password" })];
    await guarded.writeUsers(["alice"]);
    await expect.poll(async () => (await other.ui("/zot/auth/sessions")).status).toBe(401);
    // The same password, hashed anew, is another line.
    await expect.poll(async () => (await browser.ui(closed)).status).toBe(401);
  });

  test("ends within two seconds when an operator says so, one person's or everybody's", async () => {
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice", "bob"], config });
    const revoke = async (whose: string): Promise<string> => (await runLine(`auth revoke ${whose} --config-file ${guarded.server.configFile}`)).out;
    const [browser, other] = [await signedIn(guarded), await signedIn(guarded, { username: "bob", password: "bob-password" })];
    expect(await revoke("--user alice")).toBe("0 refresh tokens of alice revoked\n1 session of alice ended\n");
    await expect.poll(async () => (await browser.ui(closed)).status, { timeout: 2_000 }).toBe(401);
    expect((await other.ui("/zot/auth/sessions")).status).toBe(200);
    const again = await signedIn(guarded);
    expect(await revoke("--all")).toBe("0 refresh tokens of everybody revoked\nall sessions of browsers ended\n");
    for (const one of [again, other]) await expect.poll(async () => (await one.ui("/zot/auth/sessions")).status, { timeout: 2_000 }).toBe(401);
    expect((await (await signedIn(guarded)).ui(closed)).status).toBe(200);
  });

  test.each([
    ["auth.secureSession says so", { auth: { ...config.auth, secureSession: true } }],
    ["externalUrl says so", { externalUrl: "https://registry.example.com" }],
  ])("is for TLS alone where %s", async (_, more) => {
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config: { ...config, ...more } });
    const browser = browserOf(guarded);
    await browser.submit(login, alice);
    expect(browser.setCookies[0]).toMatch(/^__Host-session=[^;]+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure$/);
    expect((await browser.ui(closed)).status).toBe(200);
    // One that a neighbour without TLS has planted is none.
    const value = browser.cookies.get("__Host-session") ?? "";
    browser.cookies.clear();
    browser.cookies.set("session", value);
    expect((await browser.ui(closed)).status).toBe(401);
  });

  test("a forwarded scheme, host or address counts from a proxy that is trusted, and from nobody else", async () => {
    const headers = { "x-forwarded-proto": "https", "x-forwarded-host": "evil.example", "x-forwarded-for": "203.0.113.9" };
    for (const [trustedProxies, name, client] of [
      [[], "session", "127.0.0.1"],
      [["127.0.0.1"], "__Host-session", "203.0.113.9"],
    ] as const) {
      await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config: { ...config, trustedProxies } });
      const browser = browserOf(guarded);
      await browser.ask(login, { form: alice, headers });
      expect([...browser.cookies.keys()]).toEqual([name]);
      await expect.poll(() => guarded.server.process.output).toMatch(new RegExp(`"client":"${client}".*"msg":"signed in"`));
    }
  });

  test("is not given where sessions cannot be kept, and pulls go on", async () => {
    const driver = { name: "redis", url: "redis://:planted-secret@127.0.0.1:1" };
    await using guarded = await startGuardedServer({
      repositories: ["team/app"],
      users: ["alice"],
      config: { ...config, auth: { ...config.auth, sessionDriver: driver } },
    });
    expect((await browserOf(guarded).submit(login, alice)).status).toBe(503);
    expect((await guarded.get(closed, { user: "alice" })).status).toBe(200);
    const browser = browserOf(guarded);
    browser.cookies.set("session", `${"0".repeat(32)}.${"A".repeat(43)}`);
    expect((await browser.ui(closed)).status).toBe(503);
    expect(guarded.server.process.output).not.toContain("planted-secret");
  });

  test.runIf(requirePrograms("redis-server", "redis-cli"))(
    "is shared by servers that share no disk, in Redis, and lives on when Redis comes back",
    async () => {
      await using redis = await startRedis();
      const shared = { ...config, auth: { ...config.auth, sessionDriver: { name: "redis", url: redis.url, keyprefix: "tests" } } };
      await using here = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config: shared });
      await using there = await startGuardedServer({ repositories: ["team/app"], users: [], config: shared });
      // The same line: a password that is hashed anew is another.
      await copyFile(join(here.folder, "htpasswd"), join(there.folder, "htpasswd"));
      await expect.poll(async () => (await there.get(closed, { user: "alice" })).status).toBe(200);
      const browser = await signedIn(here);
      const other = browserOf(there);
      other.cookies.set("session", browser.cookies.get("session") ?? "");
      expect((await other.ui(closed)).status).toBe(200);
      expect(await redis.command("KEYS", "*")).toMatch(/^tests:/m);
      redis.freeze();
      await expect.poll(async () => (await other.ui(closed)).status).toBe(503);
      expect((await there.get(closed, { user: "alice" })).status).toBe(200);
      redis.goOn();
      await expect.poll(async () => (await other.ui(closed)).status).toBe(200);
      await other.submit(logout, {});
      await expect.poll(async () => (await browser.ui(closed)).status).toBe(401);
    },
  );

  test("guessing ends: after so many wrong passwords nothing is looked at", async () => {
    await using guarded = await startGuardedServer({
      users: ["alice"],
      config: { ...config, auth: { ...config.auth, failBudget: { perUser: 3, perAddress: 600 } } },
    });
    const locations = [];
    for (let at = 0; at < 5; at++) locations.push((await browserOf(guarded).submit(login, { username: "alice", password: "wrong" })).headers.get("location"));
    expect(locations).toEqual([...Array.from({ length: 3 }, () => "/login?error=wrong"), ...Array.from({ length: 2 }, () => "/login?error=throttled")]);
    expect((await browserOf(guarded).submit(login, alice)).headers.get("location")).toBe("/login?error=throttled");
  });
});
