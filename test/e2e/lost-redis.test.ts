/** Redis is lost at each single word that is said to it: nobody is let in twice, nobody who was told that he is out is in, and everybody may begin anew. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { startCuttingRelay, type CuttingRelay } from "../support/cutting-relay.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRedis, type Redis } from "../support/redis.ts";

const closed = "/v2/team/app/manifests/1";
const keysPath = "/zot/auth/apikey";
const externalUrl = "http://registry.example.test";
const redirectUri = `${externalUrl}/zot/auth/callback/oidc`;
/** More than any request of ours says to Redis. */
const messagesMax = 40;

describe.runIf(requirePrograms("redis-server", "redis-cli", "htpasswd"))("while Redis is lost", () => {
  let redis: Redis;
  let relay: CuttingRelay;
  let oidc: OpenidProvider;
  let guarded: GuardedServer;

  beforeAll(async () => {
    redis = await startRedis();
    relay = await startCuttingRelay(redis.port);
    oidc = await startOpenidProvider({ people: new Map([["1", { preferred_username: "alice", email: "alice@example.com" }]]), redirectUris: [redirectUri] });
    oidc.visitor = "1";
    const { issuer, clientId: clientid, clientSecret: clientsecret } = oidc;
    const provider = { issuer, clientid, clientsecret, scopes: ["openid", "email", "offline_access"], claimMapping: { username: "preferred_username" } };
    guarded = await startGuardedServer({
      repositories: ["team/app"],
      users: ["local"],
      config: {
        externalUrl,
        auth: {
          htpasswd: { path: "HTPASSWD" },
          apikey: true,
          sessionDriver: { name: "redis", url: redis.url.replace(String(redis.port), String(relay.port)) },
          openid: { providers: { oidc: provider } },
        },
      },
    });
  });
  afterAll(async () => {
    await guarded?.[Symbol.asyncDispose]();
    await oidc?.[Symbol.asyncDispose]();
    await relay?.[Symbol.asyncDispose]();
    await redis?.[Symbol.asyncDispose]();
  });

  const newBrowser = (): CookieBrowser => new CookieBrowser(guarded.server.url);

  /** Until whoever has no session hears so, and not that nobody can tell. */
  async function untilBack(): Promise<void> {
    const stranger = newBrowser();
    stranger.cookies.set("session", `${"0".repeat(32)}.${"A".repeat(43)}`);
    const status = await lookUntil(
      async () => (await stranger.ui(closed)).status,
      (seen) => seen === 401,
      { waitMs: 10_000, everyMs: 20 },
    );
    expect(status).toBe(401);
  }

  async function visitProvider(browser: CookieBrowser): Promise<string> {
    const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
    expect(begun.status).toBe(302);
    const { pathname, search } = await oidc.visit(new URL(begun.headers.get("location") ?? ""));
    return pathname + search;
  }

  async function signedIn(): Promise<CookieBrowser> {
    const browser = newBrowser();
    expect((await browser.ask(await visitProvider(browser))).status).toBe(302);
    return browser;
  }

  const isIn = async (browser: CookieBrowser): Promise<boolean> => (await browser.ui(closed)).status === 200;

  /** Does `round` with the connection cut at its first message, then at its second, until there is none left to cut: how many there were. */
  async function cutEverywhere(when: "before" | "after", round: (cut: <T>(work: () => Promise<T>) => Promise<T>) => Promise<void>): Promise<number> {
    for (let message = 1; message <= messagesMax; message++) {
      let wasCut = false;
      await round(async (work) => {
        relay.cutAt(message, when);
        try {
          return await work();
        } finally {
          wasCut = relay.pass();
          await untilBack();
        }
      });
      if (!wasCut) return message - 1;
    }
    throw new Error(`more than ${messagesMax} messages`);
  }

  describe.each(["before", "after"] as const)("%s it hears of something", (when) => {
    test("a login cannot begin, the person is told so in words, and begins anew", async () => {
      const messages = await cutEverywhere(when, async (cut) => {
        const browser = newBrowser();
        const answer = await cut(() => browser.ask("/zot/auth/login?provider=oidc"));
        if (answer.status === 503) await expectPage(answer);
        else expect(answer.status).toBe(302);
        expect(await isIn(await signedIn())).toBe(true);
      });
      expect(messages).toBeGreaterThan(0);
    });

    test("somebody who comes back is let in once or not at all, is told so in words, and may begin anew", async () => {
      const answers: number[] = [];
      const messages = await cutEverywhere(when, async (cut) => {
        const browser = newBrowser();
        const back = await visitProvider(browser);
        const cookies = new Map(browser.cookies);
        const answer = await cut(() => browser.ask(back));
        answers.push(answer.status);
        if (answer.status === 503) await expectPage(answer);
        else expect(answer.status).toBe(302);
        expect(await isIn(browser)).toBe(answer.status === 302);
        // The same answer of the provider again, as whoever reloads the page brings it, or has stolen it: it lets in whom it has not let in yet, if anybody.
        const again = newBrowser();
        for (const [name, value] of cookies) again.cookies.set(name, value);
        expect(answer.status === 302 ? [401] : [302, 401]).toContain((await again.ask(back)).status);
        for (const [name, value] of cookies) again.cookies.set(name, value);
        expect((await again.ask(back)).status).toBe(401);
        expect(await isIn(await signedIn())).toBe(true);
      });
      expect(messages).toBeGreaterThan(2);
      expect(answers).toContain(503);
      expect(answers.at(-1)).toBe(302);
    }, 120_000);

    test("somebody who has a session is let in or told that nobody can tell, and has it still", async () => {
      const messages = await cutEverywhere(when, async (cut) => {
        // A new one each time: what was read a second ago is believed.
        const browser = await signedIn();
        expect([200, 503]).toContain((await cut(() => browser.ui(closed))).status);
        expect(browser.cookies.has("session")).toBe(true);
        expect(await isIn(browser)).toBe(true);
      });
      expect(messages).toBeGreaterThan(0);
    });

    test("whoever hears that he is signed out is, and who hears otherwise tries again", async () => {
      const messages = await cutEverywhere(when, async (cut) => {
        const browser = await signedIn();
        const session = browser.cookies.get("session") ?? "";
        const answer = await cut(() => browser.submit("/zot/auth/logout", {}));
        const thief = newBrowser();
        thief.cookies.set("session", session);
        if (answer.status === 503) {
          await expectPage(answer);
          expect((await thief.submit("/zot/auth/logout", {})).status).toBeLessThan(400);
          thief.cookies.set("session", session);
        } else expect(answer.status).toBeLessThan(400);
        expect(await isIn(thief)).toBe(false);
      });
      expect(messages).toBeGreaterThan(1);
    }, 120_000);

    test("a key that was told to somebody works, and one that was revoked does not", async () => {
      const authorization = basic("local");
      const statusOf = async (apiKey: string): Promise<number> => (await guarded.get("/v2/", { authorization: basic("local", apiKey) })).status;
      await cutEverywhere(when, async (cut) => {
        const asked = { method: "POST", headers: { authorization }, body: JSON.stringify({ label: "cut" }) };
        const made = await cut(() => fetch(guarded.server.url + keysPath, asked));
        expect([201, 503]).toContain(made.status);
        if (made.status !== 201) return;
        const { apiKey, uuid } = (await made.json()) as { apiKey: string; uuid: string }; // Two of its members.
        expect(await statusOf(apiKey)).toBe(200);
        expect((await guarded.get(`${keysPath}?id=${uuid}`, { method: "DELETE", authorization })).status).toBe(200);
      });
      await cutEverywhere(when, async (cut) => {
        const made = await fetch(guarded.server.url + keysPath, { method: "POST", headers: { authorization }, body: JSON.stringify({ label: "cut" }) });
        const { apiKey, uuid } = (await made.json()) as { apiKey: string; uuid: string }; // As above.
        const revoke = () => guarded.get(`${keysPath}?id=${uuid}`, { method: "DELETE", authorization });
        const { status } = await cut(revoke);
        expect([200, 503]).toContain(status);
        if (status === 503) expect((await revoke()).status).toBe(200);
        expect(await statusOf(apiKey)).toBe(401);
      });
    }, 120_000);
  });

  async function expectPage(answer: Response): Promise<void> {
    expect([answer.status, answer.headers.get("content-type"), answer.headers.get("retry-after")]).toEqual([503, "text/html; charset=utf-8", "5"]);
    expect(await answer.text()).toMatch(/<p>[^<]*cannot be written down just now[^<]*<\/p>[^]*href="\/login"/);
  }
});
