/** Signing in with a browser at a provider of identities: the way there and back, and those who would like to walk it in somebody's place. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { defaultRedirectUri, startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { unsignedClaims } from "../support/unsigned-jwt.ts";

const closed = "/v2/team/app/manifests/1";
/** Registered at the provider: our own port is not known before. */
const externalUrl = "http://registry.example.test";
const callbackOf = (name: string): string => `${externalUrl}/zot/auth/callback/${name}`;
const accessControl = { repositories: { "team/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } } };
const people = (): Map<string, Readonly<Record<string, unknown>>> =>
  new Map([
    ["1", { preferred_username: "alice", email: "alice@example.com", email_verified: true, groups: ["dev"] }],
    ["2", { preferred_username: "mallory", email: "mallory@example.com", email_verified: true, groups: ["guests"] }],
  ]);

function providerConfig({ issuer, clientId, clientSecret }: OpenidProvider): object {
  return {
    issuer,
    clientid: clientId,
    clientsecret: clientSecret,
    scopes: ["openid", "profile", "email", "offline_access"],
    claimMapping: { username: "preferred_username" },
  };
}

interface Place {
  readonly guarded: GuardedServer;
  readonly oidc: OpenidProvider;
  readonly gitlab: OpenidProvider;
}

async function start(openid: object = {}, auth: object = {}): Promise<Place & AsyncDisposable> {
  const oidc = await startOpenidProvider({
    people: people(),
    redirectUris: [callbackOf("oidc"), defaultRedirectUri],
    client: { post_logout_redirect_uris: [`${externalUrl}/login`] },
  });
  const gitlab = await startOpenidProvider({ people: people(), redirectUris: [callbackOf("gitlab")] });
  oidc.visitor = gitlab.visitor = "1";
  const guarded = await startGuardedServer({
    repositories: ["team/app"],
    users: ["local"],
    config: {
      externalUrl,
      accessControl,
      auth: { openid: { providers: { oidc: providerConfig(oidc), gitlab: { ...providerConfig(gitlab), requireVerifiedEmail: false } }, ...openid }, ...auth },
    },
  });
  return {
    guarded,
    oidc,
    gitlab,
    async [Symbol.asyncDispose]() {
      await guarded[Symbol.asyncDispose]();
      await Promise.all([oidc, gitlab].map((provider) => provider[Symbol.asyncDispose]()));
    },
  };
}

/** Path and query of where a browser was sent. */
function pathOf(url: URL): string {
  expect(url.origin).toBe(externalUrl);
  return `${url.pathname}${url.search}`;
}

/** Begins, and is sent to the provider. */
async function begin(browser: CookieBrowser, query = "provider=oidc&callback_ui=/home"): Promise<URL> {
  const answer = await browser.ask(`/zot/auth/login?${query}`);
  expect(answer.status).toBe(302);
  return new URL(answer.headers.get("location") ?? "");
}

/** Goes there and back again: where one comes back to, not yet asked. */
async function visit(browser: CookieBrowser, provider: OpenidProvider, query?: string): Promise<string> {
  return pathOf(await provider.visit(await begin(browser, query)));
}

async function signIn({ guarded, oidc }: Place): Promise<CookieBrowser> {
  const browser = new CookieBrowser(guarded.server.url);
  const answer = await browser.ask(await visit(browser, oidc));
  expect([answer.status, answer.headers.get("location")]).toEqual([302, "/home"]);
  return browser;
}

describe("a person whom a provider knows", () => {
  let place: Place & AsyncDisposable;
  let browser: CookieBrowser;

  beforeAll(async () => {
    place = await start();
  });
  afterAll(() => place[Symbol.asyncDispose]());
  beforeEach(() => {
    browser = new CookieBrowser(place.guarded.server.url);
    place.oidc.visitor = "1";
  });

  test("is sent there with a state, a nonce and a code challenge, comes back, and is let in with the groups that it has there", async () => {
    const there = await begin(browser);
    expect(there.href.startsWith(place.oidc.origin)).toBe(true);
    const { state, nonce, code_challenge: challenge, code_challenge_method: method, redirect_uri: back } = Object.fromEntries(there.searchParams);
    expect([state, challenge].every((value) => /^[A-Za-z0-9_-]{43}$/.test(value ?? ""))).toBe(true);
    expect(nonce).toMatch(/^ociregistry-browser-[A-Za-z0-9_-]{43}$/);
    expect([method, back]).toEqual(["S256", callbackOf("oidc")]);
    const answer = await browser.ask(pathOf(await place.oidc.visit(there)));
    expect([answer.status, answer.headers.get("location")]).toEqual([302, "/home"]);
    expect([...browser.cookies.keys()]).toEqual(["session"]);
    expect((await browser.ui(closed)).status).toBe(200);
    expect((await browser.ask(closed)).status).toBe(401);
    place.oidc.visitor = "2";
    const other = new CookieBrowser(place.guarded.server.url);
    await other.ask(await visit(other, place.oidc));
    expect((await other.ui(closed)).status).toBe(403);
  });

  test("finds the same way in under both addresses, and none to a provider that is not here", async () => {
    for (const path of ["/auth/login", "/zot/auth/login"])
      expect((await browser.ask(`${path}?provider=gitlab`)).headers.get("location")).toContain(place.gitlab.origin);
    for (const name of ["github", "google", "", "__proto__", "oidc/../gitlab"])
      expect((await browser.ask(`/zot/auth/login?provider=${encodeURIComponent(name)}`)).status).toBe(400);
    expect((await browser.ask("/zot/auth/login")).headers.get("location")).toBe("/login");
    expect((await browser.ask("/zot/auth/callback/github?state=x&code=y")).status).toBe(401);
  });

  test("who does not say where to go is told so with 201, as by zot", async () => {
    const answer = await browser.ask(await visit(browser, place.oidc, "provider=oidc"));
    expect([answer.status, answer.headers.get("location"), answer.headers.get("refresh")]).toEqual([201, null, "0; url=/home"]);
    expect(browser.cookies.has("session")).toBe(true);
  });

  test.each([
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/%09/evil.example",
    "javascript:alert(1)",
    "https://registry.example.test@evil.example/",
  ])("is not sent on to %s", async (written) => {
    const answer = await browser.ask(await visit(browser, place.oidc, `provider=oidc&callback_ui=${encodeURIComponent(decodeURIComponent(written))}`));
    expect([answer.status, answer.headers.get("location")]).toEqual([302, "/"]);
  });

  test("comes back once: the same answer of the provider opens nothing again, in this browser or another", async () => {
    const back = await visit(browser, place.oidc);
    const cookies = new Map(browser.cookies);
    expect((await browser.ask(back)).status).toBe(302);
    for (const [name, value] of cookies) browser.cookies.set(name, value);
    expect((await browser.ask(back)).status).toBe(401);
    const other = new CookieBrowser(place.guarded.server.url);
    for (const [name, value] of cookies) other.cookies.set(name, value);
    expect((await other.ask(back)).status).toBe(401);
    expect(other.cookies.has("session")).toBe(false);
  });

  test("is not signed in by somebody else's answer: it must come back to the browser that began", async () => {
    place.oidc.visitor = "2";
    const mallory = new CookieBrowser(place.guarded.server.url);
    const back = await visit(mallory, place.oidc);
    // The victim is led to mallory's link, with a login of its own under way.
    await begin(browser);
    expect((await browser.ask(back)).status).toBe(401);
    expect(browser.cookies.has("session")).toBe(false);
  });

  test.each([
    ["another state", (url: URL) => url.searchParams.set("state", "A".repeat(43))],
    ["no state", (url: URL) => url.searchParams.delete("state")],
    ["another code", (url: URL) => url.searchParams.set("code", "made-up")],
    ["no code", (url: URL) => url.searchParams.delete("code")],
    ["the word of another issuer", (url: URL) => url.searchParams.set("iss", "https://evil.example/")],
  ])("is turned away with %s", async (_, change) => {
    const back = new URL(await visit(browser, place.oidc), externalUrl);
    change(back);
    expect((await browser.ask(pathOf(back))).status).toBe(401);
    expect(browser.cookies.has("session")).toBe(false);
  });

  test("an answer of one provider is nothing at the address of another", async () => {
    const back = new URL(await visit(browser, place.gitlab, "provider=gitlab"), externalUrl);
    back.pathname = "/zot/auth/callback/oidc";
    const requests = place.oidc.requests.length;
    expect((await browser.ask(pathOf(back))).status).toBe(401);
    // Nobody's code was shown to anybody.
    expect(place.oidc.requests.length).toBe(requests);
  });

  test("a code that was fetched for another login is refused: its nonce and its challenge are others", async () => {
    const mallory = new CookieBrowser(place.guarded.server.url);
    const stolen = new URL(await visit(mallory, place.oidc), externalUrl);
    const own = new URL(await visit(browser, place.oidc), externalUrl);
    own.searchParams.set("code", stolen.searchParams.get("code") ?? "");
    expect((await browser.ask(pathOf(own))).status).toBe(401);
    expect(browser.cookies.has("session")).toBe(false);
  });

  test("who says no at the provider is told so, and is not signed in", async () => {
    place.oidc.visitor = undefined;
    const answer = await browser.ask(await visit(browser, place.oidc));
    expect(answer.status).toBe(401);
    expect(await answer.text()).toContain('href="/login"');
    expect(browser.cookies.has("session")).toBe(false);
  });

  test("a session that was there before is over, and the new one has another name", async () => {
    const first = await signIn(place);
    const value = first.cookies.get("session") ?? "";
    browser.cookies.set("session", value);
    await browser.ask(await visit(browser, place.oidc));
    expect(browser.cookies.get("session")).not.toBe(value);
    await expect.poll(async () => (await first.ui(closed)).status).toBe(401);
    expect((await browser.ui(closed)).status).toBe(200);
  });

  test("signs out here and at the provider, where it is known by its token", async () => {
    const [page, form] = [await signIn(place), await signIn(place)];
    const out = await page.ui("/zot/auth/logout", { method: "POST" });
    const { endSessionUrl } = (await out.json()) as { endSessionUrl: string };
    const { origin, searchParams } = new URL(endSessionUrl);
    expect([out.status, origin, searchParams.get("post_logout_redirect_uri")]).toEqual([200, place.oidc.origin, `${externalUrl}/login`]);
    expect(searchParams.get("id_token_hint")?.split(".")).toHaveLength(3);
    expect((await page.ui(closed)).status).toBe(401);
    const answer = await form.ask("/zot/auth/logout", { form: {}, from: externalUrl });
    expect([answer.status, answer.headers.get("refresh")?.startsWith(`0; url=${place.oidc.origin}/`)]).toEqual([200, true]);
  });

  test("leaves nothing in the address by which it signs out that would let anybody in", async () => {
    const page = await signIn(place);
    const out = (await (await page.ui("/zot/auth/logout", { method: "POST" })).json()) as { readonly endSessionUrl: string };
    const hint = new URL(out.endSessionUrl).searchParams.get("id_token_hint") ?? "";
    expect(hint).not.toBe("");
    const passwords = ["alice", "alice@example.com", "oauth2accesstoken"].map((user) => basic(user, hint));
    for (const authorization of [`Bearer ${hint}`, ...passwords]) expect((await place.guarded.get(closed, { authorization })).status).toBe(401);
    // A token of that person that was fetched for it is as good as ever.
    const authorization = basic("alice", await place.oidc.accessToken("1"));
    expect((await place.guarded.get(closed, { authorization })).status).toBe(200);
  });

  test("tells the log neither code nor state nor token", async () => {
    const back = new URL(await visit(browser, place.oidc), externalUrl);
    await browser.ask(pathOf(back));
    await browser.ask(pathOf(back));
    const { output } = place.guarded.server.process;
    expect(output).toContain("openid: sign-in refused");
    for (const name of ["code", "state"]) expect(output).not.toContain(back.searchParams.get(name) ?? "?");
    for (const value of [browser.cookies.get("session") ?? "?", place.oidc.clientSecret]) expect(output).not.toContain(value);
    expect(output).not.toMatch(/eyJ[A-Za-z0-9_-]{10,}\./);
  });
});

describe("while a session lasts", () => {
  test("a group that was taken away is gone within groupsTtl, one that was given is there", async () => {
    await using place = await start({ groupsTtl: "1s" });
    const browser = await signIn(place);
    expect((await browser.ui(closed)).status).toBe(200);
    place.oidc.people.set("1", { preferred_username: "alice", groups: ["guests"] });
    const changedAtMs = performance.now();
    await expect.poll(async () => (await browser.ui(closed)).status, { interval: 100 }).toBe(403);
    expect(performance.now() - changedAtMs).toBeLessThan(3_000);
    place.oidc.people.set("1", { preferred_username: "alice", groups: ["dev"] });
    await expect.poll(async () => (await browser.ui(closed)).status, { interval: 100 }).toBe(200);
  });

  test("its groups are asked for anew, and its way out is the one that it began with", async () => {
    await using place = await start({ groupsTtl: "1s" });
    const browser = await signIn(place);
    place.oidc.people.set("1", { preferred_username: "alice", groups: ["guests"] });
    await expect.poll(async () => (await browser.ui(closed)).status, { interval: 100 }).toBe(403);
    const out = (await (await browser.ui("/zot/auth/logout", { method: "POST" })).json()) as { readonly endSessionUrl: string };
    const hint = new URL(out.endSessionUrl).searchParams.get("id_token_hint") ?? "";
    expect(unsignedClaims(hint)).toMatchObject({ nonce: expect.stringMatching(/^ociregistry-browser-/) });
    expect((await place.guarded.get(closed, { authorization: `Bearer ${hint}` })).status).toBe(401);
  });

  test("a person who is disabled at the provider is signed out here", async () => {
    await using place = await start({ groupsTtl: "1s" });
    const browser = await signIn(place);
    place.oidc.people.delete("1");
    await expect.poll(async () => (await browser.ui(closed)).status, { interval: 100 }).toBe(401);
    expect(browser.cookies.has("session")).toBe(false);
  });

  test("a provider that is away ends no session, and asks nobody to wait: only nobody new comes in", async () => {
    await using place = await start({ groupsTtl: "1s" });
    const browser = await signIn(place);
    await place.oidc.refuse();
    const untilMs = performance.now() + 2_500;
    let asked = 0;
    while (performance.now() < untilMs) {
      expect((await browser.ui(closed)).status).toBe(200);
      asked++;
    }
    expect(asked).toBeGreaterThan(5);
    const refused = await new CookieBrowser(place.guarded.server.url).ask("/zot/auth/login?provider=oidc");
    // What it said of itself is known still: the browser finds out by itself that nobody is there.
    expect([302, 503]).toContain(refused.status);
    expect((await new CookieBrowser(place.guarded.server.url).ask("/zot/auth/login?provider=gitlab")).status).toBe(302);
  });
});

test("whoever is called at a provider for all the world as somebody is in the file of users does not become that person; at one's own it is the same person", async () => {
  await using place = await start({}, { htpasswd: { path: "HTPASSWD" } });
  await place.guarded.writeUsers(["local", "alice"]);
  const { process } = place.guarded.server;
  await expect.poll(async () => (await place.guarded.get("/v2/", { user: "alice" })).status, { timeout: 10_000 }).toBe(200);
  const browser = new CookieBrowser(place.guarded.server.url);
  expect((await browser.ask(await visit(browser, place.gitlab, "provider=gitlab"))).status).toBe(401);
  expect(browser.cookies.has("session")).toBe(false);
  await process.waitForOutput(/somebody's in the file of passwords.*auth\.openid\.users/);
  expect((await browser.ask(await visit(browser, place.oidc))).status).toBe(302);
  expect(browser.cookies.has("session")).toBe(true);
});

test("an address that nobody has verified makes nobody, at a provider for all the world, who has it for a name in the file of users", async () => {
  await using gitlab = await startOpenidProvider({ people: people(), redirectUris: [callbackOf("gitlab")] });
  gitlab.visitor = "1";
  const byAddress = { ...providerConfig(gitlab), requireVerifiedEmail: false, claimMapping: { username: "email" } };
  await using guarded = await startGuardedServer({
    users: ["alice@example.com"],
    config: { externalUrl, accessControl, auth: { htpasswd: { path: "HTPASSWD" }, openid: { providers: { gitlab: byAddress } } } },
  });
  const signIn = async (): Promise<number> => {
    const browser = new CookieBrowser(guarded.server.url);
    return (await browser.ask(await visit(browser, gitlab, "provider=gitlab&callback_ui=/home"))).status;
  };
  gitlab.people.set("1", { email: "alice@example.com", email_verified: false });
  expect(await signIn()).toBe(401);
  await guarded.server.process.waitForOutput(/somebody's in the file of passwords.*email_verified/);
  gitlab.people.set("1", { email: "alice@example.com", email_verified: true });
  expect(await signIn()).toBe(302);
  gitlab.people.set("1", { email: "mallory@example.com", email_verified: false });
  expect(await signIn()).toBe(302);
});

test("a key that somebody made has nothing of a namesake's at another provider, who does not see it and has his own", async () => {
  await using place = await start({}, { apikey: true });
  const enter = async (provider: OpenidProvider, name: string): Promise<CookieBrowser> => {
    const browser = new CookieBrowser(place.guarded.server.url);
    expect((await browser.ask(await visit(browser, provider, `provider=${name}&callback_ui=/home`))).status).toBe(302);
    return browser;
  };
  const makeKey = async (browser: CookieBrowser): Promise<string> => {
    const headers = { cookie: `session=${browser.cookies.get("session") ?? ""}`, "x-zot-api-client": "zot-ui" };
    const answer = await fetch(`${place.guarded.server.url}/zot/auth/apikey`, { method: "POST", headers, body: '{"label": "laptop"}' });
    expect(answer.status).toBe(201);
    return String(((await answer.json()) as { apiKey?: string }).apiKey); // As zot's.
  };
  place.gitlab.people.set("666", { preferred_username: "alice", email: "eve@example.com", email_verified: true, groups: [] });
  place.gitlab.visitor = "666";
  const eves = await makeKey(await enter(place.gitlab, "gitlab"));
  const alice = await enter(place.oidc, "oidc");
  const alices = await makeKey(alice);
  const pull = async (key: string): Promise<number> => (await place.guarded.get(closed, { authorization: basic("alice", key) })).status;
  expect([await pull(eves), await pull(alices)]).toEqual([403, 200]);
  const { apiKeys } = (await (await alice.ui("/zot/auth/apikey")).json()) as { apiKeys: unknown[] }; // As zot's.
  expect(apiKeys).toHaveLength(1);
});

test("where there is one provider and nobody has a password, there is nothing to choose", async () => {
  await using oidc = await startOpenidProvider({ people: people(), redirectUris: [callbackOf("oidc")] });
  await using guarded = await startGuardedServer({ config: { externalUrl, auth: { openid: { providers: { oidc: providerConfig(oidc) } } } } });
  const browser = new CookieBrowser(guarded.server.url);
  const answer = await browser.ask("/zot/auth/login");
  expect([answer.status, answer.headers.get("location")?.startsWith(oidc.origin)]).toEqual([302, true]);
  // Nor on any page: whoever opens one is led there and back to it, but for what a page's script asks for.
  const led = await browser.ask("/home/repositories?q=app");
  expect([led.status, led.headers.get("location")]).toEqual([303, "/zot/auth/login?provider=oidc&callback_ui=%2Fhome%2Frepositories%3Fq%3Dapp"]);
  oidc.visitor = "1";
  const there = await browser.ask(led.headers.get("location") ?? "");
  const back = await browser.ask(pathOf(await oidc.visit(new URL(there.headers.get("location") ?? ""))));
  expect([back.status, back.headers.get("location")]).toEqual([302, "/home/repositories?q=app"]);
  const part = await new CookieBrowser(guarded.server.url).ask("/home?part=live");
  expect([part.status, part.headers.get("location")]).toEqual([303, "/login?callback_ui=%2Fhome%3Fpart%3Dlive"]);
});

test("a browser comes back to the address that the operator registered, wherever that is", async () => {
  const redirectUri = `${externalUrl}/api/oauth/openid`;
  await using oidc = await startOpenidProvider({ people: people(), redirectUris: [redirectUri] });
  oidc.visitor = "1";
  await using guarded = await startGuardedServer({
    repositories: ["team/app"],
    config: { externalUrl, accessControl, auth: { openid: { providers: { oidc: { ...providerConfig(oidc), redirectUri } } } } },
  });
  const browser = new CookieBrowser(guarded.server.url);
  const back = await visit(browser, oidc);
  expect(back).toMatch(/^\/api\/oauth\/openid\?/);
  expect((await browser.ask(back)).headers.get("location")).toBe("/home");
  expect((await browser.ui(closed)).status).toBe(200);
  // Everybody else's paths are what they were.
  expect((await browser.ui("/api/oauth/other")).status).toBe(404);
});

test("whoever opens a page is led to the ways in, and from there to the page; a session is enough for it", async () => {
  await using place = await start({}, { htpasswd: { path: "HTPASSWD" } });
  const browser = new CookieBrowser(place.guarded.server.url);
  browser.cookies.set("session", "garbage");
  const led = await browser.ask("/home/repositories?q=app", { headers: { accept: "text/html" } });
  expect([led.status, led.headers.get("location")]).toEqual([303, "/login?callback_ui=%2Fhome%2Frepositories%3Fq%3Dapp"]);
  expect(browser.cookies.has("session")).toBe(false);
  const page = await (await browser.ask(led.headers.get("location") ?? "")).text();
  const href = /href="([^"]*provider=oidc[^"]*)"/.exec(page)?.[1]?.replaceAll("&amp;", "&") ?? "";
  expect(page).toContain('action="/zot/auth/login"');
  const back = pathOf(await place.oidc.visit(new URL((await browser.ask(href)).headers.get("location") ?? "")));
  const arrived = await browser.ask(back);
  expect(arrived.headers.get("location")).toBe("/home/repositories?q=app");
  expect((await browser.ask(arrived.headers.get("location") ?? "", { headers: { accept: "text/html" } })).status).toBe(200);
  const wrong = await browser.ask("/login?error=wrong");
  expect(await wrong.text()).toContain("The name or the password is wrong.");
  expect(await (await browser.ask("/login?error=%3Cb%3Eplanted")).text()).not.toContain("planted");
});

test("a provider that is not there when the server starts keeps nothing else from working", async () => {
  await using oidc = await startOpenidProvider({ people: people(), redirectUris: [callbackOf("oidc")] });
  await oidc.refuse();
  await using guarded = await startGuardedServer({
    repositories: ["team/app"],
    users: ["local"],
    config: { externalUrl, auth: { htpasswd: { path: "HTPASSWD" }, openid: { providers: { oidc: providerConfig(oidc) } } } },
  });
  const browser = new CookieBrowser(guarded.server.url);
  expect((await browser.ask("/zot/auth/login?provider=oidc")).status).toBe(503);
  expect((await guarded.get(closed, { user: "local" })).status).toBe(200);
  await oidc.accept();
  oidc.visitor = "1";
  await expect.poll(async () => (await browser.ask("/zot/auth/login?provider=oidc")).status, { timeout: 15_000 }).toBe(302);
});
