/** Letting a terminal in, over HTTP: what it asks, the page on which somebody approves, and the key that opens what its owner may see. */
import { copyFile, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CookieBrowser, type BrowserAsk } from "../support/cookie-browser.ts";
import { askDevice, pollDevice } from "../support/device-client.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOpenidProvider } from "../support/openid-provider.ts";
import { startOurServer } from "../support/our-server.ts";
import { runLine } from "../cli/captured-io.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";

const page = "/home/device";
const manifest = "/v2/team/app/manifests/1";
const accessControl = {
  repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] }, "open/**": { anonymousPolicy: ["read"] } },
  adminPolicy: { users: ["bob"], actions: ["read"] },
};
const auth = { htpasswd: { path: "HTPASSWD" }, apikey: true };
const alice = { username: "alice", password: "alice-password" };

async function signedIn(url: string): Promise<CookieBrowser> {
  const browser = new CookieBrowser(url);
  expect((await browser.submit("/zot/auth/login", alice)).status).toBe(303);
  return browser;
}

function decide(browser: CookieBrowser, code: string, decision: string, asked: BrowserAsk = {}): Promise<Response> {
  return browser.ask(`${page}?user_code=${code}`, { form: { user_code: code, decision }, ...asked });
}

describe.runIf(requirePrograms("htpasswd"))("a terminal that asks to log in", () => {
  let guarded: GuardedServer;
  let url: string;
  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice", "bob"], config: { auth, accessControl } });
    url = guarded.server.url;
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());

  async function pull(user: string, password: string): Promise<number> {
    return (await guarded.get(manifest, { authorization: basic(user, password) })).status;
  }

  test("is let in by its owner on a page of ours, and pulls with the key that it gets", async () => {
    const { deviceCode, userCode, completeUrl } = await askDevice(url, { host: "laptop" });
    expect(completeUrl).toBe(`${url}${page}?user_code=${userCode}`);
    const browser = await signedIn(url);
    const look = await browser.ask(completeUrl);
    expect([look.status, look.headers.get("cache-control"), look.headers.get("content-security-policy")]).toEqual([
      200,
      expect.stringContaining("no-store"),
      expect.stringContaining("form-action 'self'"),
    ]);
    const html = await look.text();
    for (const word of [userCode, "laptop", "127.0.0.1", "alice", "login on laptop", "in 3 months"]) expect(html).toContain(word);
    const done = await decide(browser, userCode, "approve", { from: url });
    expect([done.status, done.headers.get("location")]).toEqual([303, `${page}?end=approved`]);
    const { key, username } = await pollDevice(url, deviceCode);
    expect(username).toBe("alice");
    guarded.upstream.forget();
    expect(await pull("alice", key ?? "")).toBe(200);
    expect(guarded.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", expect.stringMatching(/^GET \/v2\/team\/app\/manifests\/sha256:/)]);
    expect(await pull("bob", key ?? "")).toBe(401);
    expect((await decide(browser, userCode, "approve", { from: url })).status).toBe(404);
    await guarded.server.process.waitForOutput(/"a terminal was logged in"/);
    for (const secret of [deviceCode, userCode, key ?? ""]) expect(guarded.server.process.output).not.toContain(secret);
  });

  test("is shown to nobody who is not signed in: he signs in first, and comes back to the code", async () => {
    const { userCode, completeUrl } = await askDevice(url);
    const browser = new CookieBrowser(url);
    const first = await browser.ask(completeUrl);
    const login = first.headers.get("location") ?? "";
    expect([first.status, login]).toEqual([303, `/login?callback_ui=${encodeURIComponent(`${page}?user_code=${userCode}`)}`]);
    const form = await (await browser.ask(login)).text();
    const callback = /name="callback_ui" value="([^"]*)"/.exec(form)?.[1] ?? "";
    const back = await browser.submit("/zot/auth/login", { ...alice, callback_ui: callback });
    expect(back.headers.get("location")).toBe(`${page}?user_code=${userCode}`);
    expect(await (await browser.ask(back.headers.get("location") ?? "")).text()).toContain(userCode);
  });

  test("is not looked for because another site says so: its code stands in the form, for whoever sends that", async () => {
    const { userCode } = await askDevice(url);
    const browser = await signedIn(url);
    const led = await browser.ask(`${page}?user_code=${userCode}`, { headers: { "sec-fetch-site": "cross-site" } });
    const html = await led.text();
    expect([led.status, html.includes(`value="${userCode}"`), html.includes("Let this terminal in?")]).toEqual([200, true, false]);
    const sent = await browser.ask(`${page}?user_code=${userCode}`, { headers: { "sec-fetch-site": "same-origin" } });
    expect(await sent.text()).toContain("Let this terminal in?");
  });

  test("is said to ask from one's own address only where that is known", async () => {
    const { completeUrl } = await askDevice(url);
    const browser = await signedIn(url);
    expect(await (await browser.ask(completeUrl)).text()).toContain("(your address too)");
    for (const name of ["x-forwarded-for", "forwarded", "x-real-ip", "via"]) {
      const html = await (await browser.ask(completeUrl, { headers: { [name]: "203.0.113.9" } })).text();
      expect([html.includes("cannot be told"), html.includes("your address too")]).toEqual([true, false]);
    }
  });

  test("is let in at the second step; whoever administrates is told that the key does too", async () => {
    const wide = await askDevice(url);
    const html = await (await (await signedIn(url)).ask(wide.completeUrl)).text();
    expect(html).toMatch(/<details[^>]*>(?:(?!<\/details>)[\s\S])*value="approve"/);
    expect(html).not.toContain("you administrate");
    const administrator = new CookieBrowser(url);
    await administrator.submit("/zot/auth/login", { username: "bob", password: "bob-password" });
    expect(await (await administrator.ask(wide.completeUrl)).text()).toContain("So will whoever has this key");
    const narrow = await askDevice(url, { scope: "read" });
    expect(await (await administrator.ask(narrow.completeUrl)).text()).not.toContain("you administrate");
  });

  test("is said to be let in, or refused, to whoever has just done that, and not by a mere link", async () => {
    const browser = await signedIn(url);
    for (const [end, word] of [
      ["approved", "is let in</h1>"],
      ["refused", "is refused</h1>"],
    ] as const) {
      const said = async (headers: Readonly<Record<string, string>>): Promise<boolean> =>
        (await (await browser.ask(`${page}?end=${end}`, { headers })).text()).includes(word);
      expect(
        await Promise.all([said({ "sec-fetch-site": "same-origin" }), said({ "sec-fetch-site": "cross-site" }), said({ "sec-fetch-site": "none" }), said({})]),
      ).toEqual([true, false, false, false]);
    }
  });

  test("is refused by its owner, and hears it", async () => {
    const { deviceCode, userCode } = await askDevice(url);
    const refused = await decide(await signedIn(url), userCode, "refuse", { from: url });
    expect([refused.status, refused.headers.get("location")]).toEqual([303, `${page}?end=refused`]);
    expect((await pollDevice(url, deviceCode)).error).toBe("access_denied");
  });

  test("is not let in by looking, whatever the address says", async () => {
    const { deviceCode, userCode } = await askDevice(url);
    const browser = await signedIn(url);
    expect((await browser.ask(`${page}?user_code=${userCode}&decision=approve`)).status).toBe(200);
    expect((await browser.ask(`${page}?end=approved&user_code=${userCode}`)).status).toBe(200);
    expect((await pollDevice(url, deviceCode)).error).toBe("authorization_pending");
  });

  test.each([
    ["another site's page", { from: "https://evil.example" }],
    ["a page without an origin", { from: "null" }],
    ["another site's page, by the browser's word", { headers: { "sec-fetch-site": "cross-site" } }],
    ["a sibling's page, by the browser's word", { headers: { "sec-fetch-site": "same-site" } }],
    ["no page", {}],
  ])("is not let in by %s, though the browser sends its cookie", async (_, asked) => {
    const { deviceCode, userCode } = await askDevice(url);
    const answer = await decide(await signedIn(url), userCode, "approve", asked);
    // Without its cookie it is a stranger's browser: it is sent to sign in.
    expect([answer.status, answer.headers.get("location") ?? ""]).toEqual([303, expect.stringMatching(/^\/login\?callback_ui=/)]);
    expect((await pollDevice(url, deviceCode)).error).toBe("authorization_pending");
  });

  test("is let in neither by a key nor by a foreign page in a browser that knows a password: 403", async () => {
    const { deviceCode, userCode } = await askDevice(url);
    const other = await askDevice(url);
    await decide(await signedIn(url), other.userCode, "approve", { from: url });
    const { key = "" } = await pollDevice(url, other.deviceCode);
    const stranger = new CookieBrowser(url);
    const byKey = { from: url, headers: { authorization: basic("alice", key) } };
    expect((await decide(stranger, userCode, "approve", byKey)).status).toBe(403);
    expect((await stranger.ask(`${page}?user_code=${userCode}`, { headers: { authorization: basic("alice", key) } })).status).toBe(403);
    const byPassword = { from: "https://evil.example", headers: { authorization: basic("alice") } };
    expect((await decide(stranger, userCode, "approve", byPassword)).status).toBe(403);
    expect((await decide(stranger, userCode, "approve", { ...byPassword, from: url })).status).toBe(303);
    expect((await pollDevice(url, deviceCode)).username).toBe("alice");
  });

  test("a wrong code, a code that is used and one that is over are told apart by nobody", async () => {
    const { userCode } = await askDevice(url);
    const browser = await signedIn(url);
    await decide(browser, userCode, "refuse", { from: url });
    const answers = await Promise.all(
      [userCode, "BCDF-GHJK", "<script>"].map(async (code) => {
        const answer = await browser.ask(`${page}?user_code=${encodeURIComponent(code)}`);
        return [answer.status, await answer.text()] as const;
      }),
    );
    expect(answers.map(([status]) => status)).toEqual([404, 404, 404]);
    expect(new Set(answers.map(([, html]) => html)).size).toBe(1);
  });

  test("what a terminal says of itself is text", async () => {
    const { userCode } = await askDevice(url, { host: `<img src=x onerror="x">`, label: `"><script>x</script>` });
    const html = await (await (await signedIn(url)).ask(`${page}?user_code=${userCode}`)).text();
    expect(html).not.toMatch(/<script>x|<img src=x/);
    expect(html).toContain("&lt;img src=x");
  });

  test("its key is ended by whoever has it", async () => {
    const { deviceCode, userCode } = await askDevice(url);
    await decide(await signedIn(url), userCode, "approve", { from: url });
    const { key = "" } = await pollDevice(url, deviceCode);
    expect(await pull("alice", key)).toBe(200);
    const ended = await fetch(`${url}/zot/auth/device/revoke`, { method: "POST", body: new URLSearchParams({ username: "alice", token: key }) });
    expect(ended.status).toBe(200);
    await expect.poll(() => pull("alice", key), { timeout: 3_000 }).toBe(401);
  });

  test.each([
    ["auth revoke", () => runLine(`auth revoke --user alice --config-file ${guarded.server.configFile}`)],
    ["auth revoke of everybody", () => runLine(`auth revoke --all --config-file ${guarded.server.configFile}`)],
    ["apikey revoke", () => runLine(`apikey revoke --user alice --config-file ${guarded.server.configFile}`)],
    ["her ending all other sessions", async () => await (await signedIn(url)).submit("/home/account/sessions/end-others", {})],
    ["another password", () => guarded.writeUsers(["alice", "bob"])],
  ])("gets no key after %s, though it was approved before", async (_, revoke) => {
    const { deviceCode, userCode } = await askDevice(url);
    const browser = await signedIn(url);
    expect((await decide(browser, userCode, "approve", { from: url })).headers.get("location")).toBe(`${page}?end=approved`);
    await revoke();
    // Another password counts within two seconds: by then the session has ended too.
    if (_ === "another password") await expect.poll(async () => (await browser.ask("/home/account")).status, { timeout: 5_000 }).toBe(303);
    expect((await pollDevice(url, deviceCode)).error).toBe("access_denied");
  });

  test("asks by POST, and learns what else there is not", async () => {
    expect((await fetch(`${url}/zot/auth/device`)).status).toBe(405);
    const options = await fetch(`${url}/zot/auth/device`, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
    expect((await fetch(`${url}/zot/auth/device/other`, { method: "POST", body: new URLSearchParams({}) })).status).toBe(404);
    expect((await fetch(`${url}${page}`, { method: "DELETE" })).status).toBe(405);
  });
});

describe.runIf(requirePrograms("htpasswd"))("where nobody is let in from a terminal", () => {
  test.each([
    ["keys are not switched on", { auth: { htpasswd: { path: "HTPASSWD" } } }],
    ["there are no pages to approve on", { auth, pages: false }],
    ["nobody has a name", {}],
  ])("since %s, the terminal is told what it takes", async (_, config) => {
    await using guarded = await startGuardedServer({ users: ["alice"], config });
    const answer = await fetch(`${guarded.server.url}/zot/auth/device`, { method: "POST", body: new URLSearchParams({ client_id: "ociregistry" }) });
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining("auth.apikey")]);
    if ("pages" in config) return;
    expect((await guarded.get(page, { user: "alice" })).status).toBe(404);
  });
});

test("somebody whom only a provider knows lets a terminal in, and the key has his groups", async () => {
  const externalUrl = "http://registry.example.test";
  const people = new Map([["1", { preferred_username: "alice", email: "alice@example.com", email_verified: true, groups: ["dev"] }]]);
  await using oidc = await startOpenidProvider({ people, redirectUris: [`${externalUrl}/zot/auth/callback/oidc`] });
  oidc.visitor = "1";
  const { issuer, clientId: clientid, clientSecret: clientsecret } = oidc;
  const provider = { issuer, clientid, clientsecret, scopes: ["openid", "profile", "email"], claimMapping: { username: "preferred_username" } };
  await using guarded = await startGuardedServer({
    repositories: ["team/app"],
    config: {
      externalUrl,
      auth: { openid: { providers: { oidc: provider } }, apikey: true },
      accessControl: { repositories: { "team/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } } },
    },
  });
  const { url } = guarded.server;
  const { deviceCode, userCode, completeUrl } = await askDevice(url);
  expect(completeUrl).toBe(`${externalUrl}${page}?user_code=${userCode}`);
  const browser = new CookieBrowser(url);
  const begun = await browser.ask(`/zot/auth/login?provider=oidc&callback_ui=${encodeURIComponent(`${page}?user_code=${userCode}`)}`);
  const back = await oidc.visit(new URL(begun.headers.get("location") ?? ""));
  const landed = await browser.ask(`${back.pathname}${back.search}`);
  expect(landed.headers.get("location")).toBe(`${page}?user_code=${userCode}`);
  expect((await decide(browser, userCode, "approve", { from: externalUrl })).status).toBe(303);
  const { key = "", username } = await pollDevice(url, deviceCode);
  expect(username).toBe("alice");
  expect((await guarded.get(manifest, { authorization: basic("alice", key) })).status).toBe(200);
});

describe.runIf(requirePrograms("htpasswd", "redis-server", "redis-cli"))("two servers that share a Redis", () => {
  test("let a terminal in that asked the one and was approved at the other; and one that was restarted in the middle goes on", async () => {
    await using redis = await startRedis();
    const config = { auth: { ...auth, sessionDriver: { name: "redis", url: redis.url, keyprefix: "test" } }, accessControl };
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config });
    const { folder } = guarded;
    const start = async () => {
      const own = await mkdtemp(join(folder, "process-"));
      await copyFile(join(folder, "htpasswd"), join(own, "htpasswd"));
      const written = JSON.stringify({ ...config, registries: [{ name: "docker.io", endpoints: [guarded.upstream.url], originFallback: false }] });
      return await startOurServer({ folder: own, config: JSON.parse(written.replaceAll("HTPASSWD", join(own, "htpasswd"))) as Record<string, unknown> });
    };
    await using other = await start();
    const { deviceCode, userCode } = await askDevice(guarded.server.url);
    expect((await decide(await signedIn(other.url), userCode, "approve", { from: other.url })).status).toBe(303);
    await other.process.kill("SIGKILL");
    await using third = await start();
    const { key = "" } = await pollDevice(third.url, deviceCode);
    expect((await guarded.get(manifest, { authorization: basic("alice", key) })).status).toBe(200);
    expect((await pollDevice(guarded.server.url, deviceCode)).error).toBe("invalid_grant");
    const kept = (await redis.command("--scan")).split("\n").filter((name) => name.includes("device"));
    for (const name of kept)
      for (const secret of [deviceCode, userCode, userCode.replace("-", ""), key]) expect(`${name} ${await redis.command("get", name)}`).not.toContain(secret);
    expect(kept.length).toBeGreaterThan(0);
  });

  test("while Redis hangs a terminal is told to ask again, and nobody approves; when it answers both go on", { timeout: 60_000 }, async () => {
    await using redis = await startRedis();
    const config = { auth: { ...auth, sessionDriver: { name: "redis", url: redis.url, keyprefix: "test" } }, accessControl };
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config });
    const { url } = guarded.server;
    const { deviceCode, userCode } = await askDevice(url);
    // By a password, so that it is not the session that cannot be read.
    const asAlice: BrowserAsk = { from: url, headers: { authorization: basic("alice") } };
    const browser = new CookieBrowser(url);
    expect((await browser.ask(`${page}?user_code=${userCode}`, asAlice)).status).toBe(200);
    redis.freeze();
    const [polled, looked, begun] = await Promise.all([
      pollDevice(url, deviceCode),
      browser.ask(`${page}?user_code=${userCode}`, asAlice),
      fetch(`${url}/zot/auth/device`, { method: "POST", body: new URLSearchParams({ client_id: "ociregistry" }) }),
    ]);
    expect([polled.status, polled.error, looked.status, begun.status, begun.headers.get("retry-after")]).toEqual([
      503,
      "temporarily_unavailable",
      503,
      503,
      "5",
    ]);
    redis.goOn();
    await expect.poll(async () => (await decide(browser, userCode, "approve", asAlice)).status, { timeout: 20_000, interval: 500 }).toBe(303);
    await expect.poll(async () => (await pollDevice(url, deviceCode)).username, { timeout: 30_000, interval: 11_000 }).toBe("alice");
  });
});
