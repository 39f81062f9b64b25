/** Many browsers at once: who begin to sign in and leave, and who have one session in many tabs while its groups are to be asked for anew. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { startOpenidProvider, type Hang, type OpenidProvider } from "../support/openid-provider.ts";

const externalUrl = "http://registry.example.test";
const manifest = "/v2/team/app/manifests/1";
const accessControl = { repositories: { "team/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } } };

interface Place extends AsyncDisposable {
  readonly guarded: GuardedServer;
  readonly oidc: OpenidProvider;
}

async function start(): Promise<Place> {
  const people = new Map([["1", { preferred_username: "alice", email: "alice@example.com", groups: ["dev"] }]]);
  const oidc = await startOpenidProvider({ people, redirectUris: [`${externalUrl}/zot/auth/callback/oidc`] });
  oidc.visitor = "1";
  const { issuer, clientId: clientid, clientSecret: clientsecret } = oidc;
  const provider = { issuer, clientid, clientsecret, scopes: ["openid", "profile", "email", "offline_access"] };
  const guarded = await startGuardedServer({
    repositories: ["team/app"],
    config: { externalUrl, accessControl, auth: { openid: { providers: { oidc: provider }, groupsTtl: "1s" } } },
  });
  return {
    guarded,
    oidc,
    async [Symbol.asyncDispose]() {
      await guarded[Symbol.asyncDispose]();
      await oidc[Symbol.asyncDispose]();
    },
  };
}

async function backFrom({ oidc }: Place, browser: CookieBrowser): Promise<string> {
  const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
  const { pathname, search } = await oidc.visit(new URL(begun.headers.get("location") ?? ""));
  return pathname + search;
}

async function signIn(place: Place): Promise<CookieBrowser> {
  const browser = new CookieBrowser(place.guarded.server.url);
  expect((await browser.ask(await backFrom(place, browser))).status).toBe(302);
  return browser;
}

/** Until everybody's groups are as old as they may be. */
async function untilStale(): Promise<void> {
  const beganMs = performance.now();
  await lookUntil(
    async () => performance.now() - beganMs,
    (ms) => ms > 1_100,
    { waitMs: 5_000 },
  );
}

const tokensAsked = ({ requests }: OpenidProvider): number => requests.filter((line) => line.endsWith("/token")).length;

describe("many browsers", () => {
  let place: Place;
  beforeAll(async () => {
    place = await start();
  });
  afterAll(() => place?.[Symbol.asyncDispose]());

  test("two hundred begin to sign in and leave, some before they are answered: the next one comes in, and nothing of them stays open", async () => {
    const { server } = place.guarded;
    await signIn(place);
    const before = await server.process.openFiles();
    const leaving = Array.from({ length: 200 }, (_, at) => leave(server.port, { hears: at % 2 === 0 }));
    const [browser] = await Promise.all([signIn(place), ...leaving]);
    expect((await browser.ui(manifest)).status).toBe(200);
    await expect.poll(() => server.process.openFiles(), { timeout: 10_000 }).toBeLessThan(before + 20);
    expect(server.process.output).not.toMatch(/"level":"(warn|error)"/);
  }, 120_000);

  test("twenty tabs of one session, in two windows of time, have the provider asked once in each", async () => {
    const browser = await signIn(place);
    for (let round = 0; round < 2; round++) {
      await untilStale();
      const before = tokensAsked(place.oidc);
      const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await browser.ui(manifest)).status));
      expect(new Set(statuses)).toEqual(new Set([200]));
      expect(tokensAsked(place.oidc) - before).toBe(1);
    }
  }, 120_000);
});

describe("a provider that keeps everybody waiting", () => {
  test.each<[string, Hang]>([
    ["/token", "headers"],
    ["/userinfo", "trickle"],
  ])(
    "at %s (%s): who signs in is told so within seconds, and who has a session goes on",
    async (path, hang) => {
      await using place = await start();
      const { guarded, oidc } = place;
      const session = await signIn(place);
      const newcomer = new CookieBrowser(guarded.server.url);
      const back = await backFrom(place, newcomer);
      await untilStale();
      oidc.hangs.set(path, hang);
      const timed = async (ask: () => Promise<Response>): Promise<{ readonly status: number; readonly text: string; readonly ms: number }> => {
        const beganMs = performance.now();
        const answer = await ask();
        return { status: answer.status, text: await answer.text(), ms: performance.now() - beganMs };
      };
      const [refused, went] = await Promise.all([timed(() => newcomer.ask(back)), timed(() => session.ui(manifest))]);
      expect([refused.status, refused.text]).toEqual([503, expect.stringContaining("OpenID Connect does not answer. Try again in a moment.")]);
      expect(refused.ms).toBeLessThan(15_000);
      expect(went.status).toBe(200);
      expect(went.ms).toBeLessThan(15_000);
      // It is asked again in half a minute: nobody waits until then.
      const next = await timed(() => session.ui(manifest));
      expect([next.status, next.ms < 4_500]).toEqual([200, true]);
      await guarded.server.process.waitForOutput(/no answer from http:\S+ within 5000 ms/);
      oidc.hangs.clear();
      await signIn(place);
    },
    120_000,
  );
});

/** Begins, and goes when it is answered, or at once. */
function leave(port: number, { hears }: { readonly hears: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.write("GET /zot/auth/login?provider=oidc HTTP/1.1\r\nHost: registry.example.test\r\n\r\n");
      if (!hears) socket.end(() => socket.destroy());
    });
    socket.once("data", () => socket.destroy());
    socket.on("error", () => {}); // "close" follows.
    socket.once("close", () => resolve());
  });
}
