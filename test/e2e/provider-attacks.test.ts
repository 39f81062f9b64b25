/** Two providers at once, one of them hostile, and foreign pages at every address where something could be changed: what each comes to. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { askDevice, pollDevice } from "../support/device-client.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { startShownPages } from "../support/shown-pages.ts";
import { serving } from "../server/serving.ts";

const externalUrl = "http://registry.example.test";
const closed = "/v2/team/app/manifests/1";
const callbackOf = (name: string): string => `${externalUrl}/zot/auth/callback/${name}`;
const alice = { preferred_username: "alice", email: "alice@example.com", email_verified: true, groups: ["dev"] };
const bob = { preferred_username: "bob", email: "bob@example.com", email_verified: true, groups: ["dev"] };

let oidc: OpenidProvider;
let gitlab: OpenidProvider;
let guarded: GuardedServer;
let browser: CookieBrowser;

beforeAll(async () => {
  oidc = await startOpenidProvider({ people: new Map([["1", alice]]), redirectUris: [callbackOf("oidc")] });
  gitlab = await startOpenidProvider({ people: new Map([["1", bob]]), redirectUris: [callbackOf("gitlab")] });
  oidc.visitor = gitlab.visitor = "1";
  const scopes = ["openid", "profile", "email", "offline_access"];
  const configOf = ({ issuer, clientId: clientid, clientSecret: clientsecret }: OpenidProvider) => ({
    issuer,
    clientid,
    clientsecret,
    scopes,
    claimMapping: { username: "preferred_username" },
  });
  guarded = await startGuardedServer({
    repositories: ["team/app"],
    config: {
      externalUrl,
      accessControl: {
        repositories: { "team/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } },
        adminPolicy: { users: ["alice"], actions: ["read", "delete"] },
      },
      auth: { apikey: true, openid: { providers: { oidc: configOf(oidc), gitlab: configOf(gitlab) } } },
    },
  });
});
afterAll(async () => {
  await guarded?.[Symbol.asyncDispose]();
  await Promise.all([oidc, gitlab].map((provider) => provider?.[Symbol.asyncDispose]()));
});
beforeEach(() => {
  browser = new CookieBrowser(guarded.server.url);
});

async function begin(name: "oidc" | "gitlab", by = browser): Promise<URL> {
  const answer = await by.ask(`/zot/auth/login?provider=${name}&callback_ui=/home`);
  return new URL(answer.headers.get("location") ?? "");
}

async function comeBack(back: URL, by = browser): Promise<number> {
  return (await by.ask(`${back.pathname}${back.search}`)).status;
}

async function signIn(by = browser): Promise<CookieBrowser> {
  expect(await comeBack(await oidc.visit(await begin("oidc", by)), by)).toBe(302);
  return by;
}

const codesShownTo = ({ requests }: OpenidProvider): number => requests.filter((line) => line.endsWith("/token")).length;

describe("two providers at once", () => {
  test("let in the same browser, in windows side by side: the last to come back is who is there", async () => {
    const [atOidc, atGitlab] = [await begin("oidc"), await begin("gitlab")];
    const [fromOidc, fromGitlab] = [await oidc.visit(atOidc), await gitlab.visit(atGitlab)];
    expect(await comeBack(fromGitlab)).toBe(302);
    expect((await browser.ui(closed)).status).toBe(200);
    expect(await comeBack(fromOidc)).toBe(302);
    const { sessions } = (await (await browser.ui("/zot/auth/sessions")).json()) as { readonly sessions: readonly { readonly by: string }[] };
    expect(sessions.map(({ by }) => by)).toEqual(["oidc"]);
  });

  test("of whom one is hostile get nothing of the other: who is sent on from one to the other comes back as nobody, and no code is shown to anybody", async () => {
    // The hostile one, asked for a login, sends the browser to the honest one, as if it had been asked there (RFC 9700, 4.4).
    const asked = await begin("gitlab");
    const honest = await begin("oidc", new CookieBrowser(guarded.server.url));
    honest.searchParams.set("state", asked.searchParams.get("state") ?? "");
    honest.searchParams.set("nonce", asked.searchParams.get("nonce") ?? "");
    honest.searchParams.set("code_challenge", asked.searchParams.get("code_challenge") ?? "");
    const back = await oidc.visit(honest);
    const before = [codesShownTo(oidc), codesShownTo(gitlab)];
    expect(await comeBack(back)).toBe(401);
    // Nor does it help to bend the address to which it comes back, with the issuer that it says or with none.
    for (const change of [() => {}, (url: URL) => url.searchParams.delete("iss"), (url: URL) => url.searchParams.set("iss", gitlab.issuer)]) {
      const again = await begin("gitlab");
      const bent = new URL(back);
      bent.pathname = "/zot/auth/callback/gitlab";
      bent.searchParams.set("state", again.searchParams.get("state") ?? "");
      change(bent);
      const shownBefore = codesShownTo(oidc);
      expect(await comeBack(bent)).toBe(401);
      expect(codesShownTo(oidc)).toBe(shownBefore);
    }
    expect(codesShownTo(oidc)).toBe(before[0]);
    expect(browser.cookies.has("session")).toBe(false);
    // The honest one sends nobody to the address of the other in the first place.
    const elsewhere = await begin("oidc");
    elsewhere.searchParams.set("redirect_uri", callbackOf("gitlab"));
    await expect(oidc.visit(elsewhere)).rejects.toThrow(/400/);
  });

  test("an answer that names another issuer than the one that was asked shows its code to nobody", async () => {
    for (const iss of [gitlab.issuer, "https://evil.example/", ""]) {
      const back = await oidc.visit(await begin("oidc"));
      back.searchParams.set("iss", iss);
      const before = codesShownTo(oidc) + codesShownTo(gitlab);
      expect(await comeBack(back)).toBe(401);
      expect(codesShownTo(oidc) + codesShownTo(gitlab)).toBe(before);
    }
  });
});

test("a session that was signed out of opens nothing to whoever has its cookie still", async () => {
  await signIn();
  const value = browser.cookies.get("session") ?? "";
  expect((await browser.ui(closed)).status).toBe(200);
  expect((await browser.ui("/zot/auth/logout", { method: "POST" })).status).toBe(200);
  const replaying = new CookieBrowser(guarded.server.url);
  for (const path of [closed, "/zot/auth/sessions", "/zot/auth/apikey"]) {
    replaying.cookies.set("session", value);
    expect((await replaying.ui(path)).status).toBe(401);
  }
});

test("a session that somebody has planted in a browser is nobody's after the login, and not the one who signed in", async () => {
  const mallory = await signIn(new CookieBrowser(guarded.server.url));
  const planted = mallory.cookies.get("session") ?? "";
  browser.cookies.set("session", planted);
  await signIn();
  expect(browser.cookies.get("session")).not.toBe(planted);
  expect((await mallory.ui(closed)).status).toBe(401);
});

describe("a page of another site", () => {
  const methods = ["POST", "PUT", "PATCH", "DELETE"];
  /** Each place of the table, by an address that something would answer at. */
  const addresses: Readonly<Record<string, readonly string[]>> = {
    "/": ["/"],
    "/zot/auth/device": ["/zot/auth/device"],
    "/zot/auth/device/*": ["/zot/auth/device/revoke"],
    "/home/device": ["/home/device"],
    "/home": ["/home"],
    "/home/*": ["/home/account", "/home/account/keys", "/home/account/keys/revoke", "/home/account/sessions/end", "/home/account/sessions/end-others"],
    "/zot/auth/token": ["/zot/auth/token"],
    "/token": ["/token"],
    "/zot/auth/apikey": ["/zot/auth/apikey"],
    "/cmd/*": ["/cmd/manifest/list", "/cmd/blob/list", "/cmd/stop", "/cmd/prune"],
    "/*": ["/zot/auth/login", "/auth/login", "/zot/auth/logout", "/zot/auth/sessions", "/zot/auth/callback/oidc", closed, "/v2/team/app/blobs/uploads/"],
    "/health": ["/health"],
    "/healthz": ["/healthz"],
    "/livez": ["/livez"],
    "/readyz": ["/readyz"],
    "/metrics": ["/metrics"],
    "/login": ["/login"],
  };

  test("is known here at every address that the server has: one that is new stands in this table too", async () => {
    await using shown = await startShownPages();
    const { app } = serving({ pages: shown.pages });
    expect([...new Set(app.routes.map(({ path }) => path))].toSorted()).toEqual(Object.keys(addresses).toSorted());
  });

  test.each([
    ["as browsers of today tell of it", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }],
    ["in an old browser", { origin: "https://evil.example" }],
    ["that hides where it comes from", { origin: "null" }],
    ["of another name of the same site", { origin: "http://evil.registry.example.test", "sec-fetch-site": "same-site" }],
  ])("changes nothing, %s, at any address, by any method, with the cookie of who is signed in", async (_, headers) => {
    await signIn();
    const { deviceCode, userCode } = await askDevice(guarded.server.url, { host: "laptop" });
    const made = (await (await browser.ui("/zot/auth/apikey", { method: "POST", headers: { "content-type": "application/json" } })).json()) as {
      readonly uuid: string;
    };
    const { sessions } = (await (await browser.ui("/zot/auth/sessions")).json()) as { readonly sessions: readonly { readonly id: string }[] };
    const state = async (): Promise<unknown> => [
      await (await browser.ui("/zot/auth/apikey")).json(),
      ((await (await browser.ui("/zot/auth/sessions")).json()) as { readonly sessions: readonly { readonly id: string }[] }).sessions.map(({ id }) => id),
      (await pollDevice(guarded.server.url, deviceCode)).error === "access_denied",
      (await browser.ui(closed)).status,
    ];
    const before = await state();
    const query = new URLSearchParams({ id: made.uuid }).toString();
    const form = { id: sessions[0]?.id ?? "", user_code: userCode, decision: "approve", label: "planted", ends: "30" };
    const cookie = `session=${browser.cookies.get("session") ?? ""}`;
    const seen: string[] = [];
    for (const path of Object.values(addresses).flat()) {
      for (const method of methods) {
        const type = "application/x-www-form-urlencoded";
        const answer = await fetch(`${guarded.server.url}${path}?${query}`, {
          method,
          redirect: "manual",
          headers: { cookie, "content-type": type, ...headers },
          body: new URLSearchParams(form).toString(),
        });
        await answer.arrayBuffer();
        // As whoever is not signed in: the cookie counts for nothing.
        const isLedToSignIn = answer.status === 303 && answer.headers.get("location")?.startsWith("/login") === true;
        if (answer.status < 400 && !isLedToSignIn) seen.push(`${method} ${path} ${answer.status}`);
      }
    }
    expect(seen).toEqual([]);
    expect(await state()).toEqual(before);
  });
});
