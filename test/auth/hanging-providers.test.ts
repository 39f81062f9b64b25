/** A provider that takes the question and does not answer it: nobody waits longer than five seconds for any one answer, and nobody is signed out by it. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Discovery } from "../../src/auth/openid/discovery.ts";
import { OpenidProvider } from "../../src/auth/openid/openid-provider.ts";
import { LoginRefused, ProviderUnavailable, type LoginUnderWay } from "../../src/auth/openid/provider.ts";
import { ProviderTokens } from "../../src/auth/openid/provider-tokens.ts";
import { jsonFetchTimeoutMs } from "../../src/auth/json-fetch.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { defaultRedirectUri, startOpenidProvider, type Hang, type OpenidProvider as Authentik } from "../support/openid-provider.ts";
import { outboundFetch } from "../support/outbound-fetch.ts";
import { ellipticKey, signToken } from "../support/signed-tokens.ts";
import { TestClock } from "../support/test-clock.ts";

const login: LoginUnderWay = { redirectUri: defaultRedirectUri, state: "a-state-of-its-own", nonce: "a-nonce-of-its-own", codeVerifier: "v".repeat(43) };
const rules = {
  claims: { username: "email", groups: "groups" },
  requireVerifiedEmail: false,
  hostedDomain: undefined,
  users: new Map<string, string>(),
  isOfFile: () => false,
};
const hangs: readonly Hang[] = ["silent", "headers", "trickle"];
const stranger = ellipticKey();
const discoveryPath = "/.well-known/openid-configuration";

let authentik: Authentik;
let clock: TestClock;

beforeAll(async () => {
  authentik = await startOpenidProvider({ people: new Map([["1", { email: "alice@example.com", groups: ["dev"] }]]) });
  authentik.visitor = "1";
});
beforeEach(() => {
  clock = new TestClock({ startMs: Date.now() });
  authentik.hangs.clear();
  authentik.ills.clear();
  authentik.requests.length = 0;
});
afterAll(() => authentik?.[Symbol.asyncDispose]());

/** Ours, as it would be configured for `authentik`; it knows nothing of it yet. */
function ours(): OpenidProvider {
  const [, provider] = both();
  return provider;
}

/** What judges its tokens too. */
function both(): readonly [ProviderTokens, OpenidProvider] {
  const parts = { fetch: outboundFetch, clock, background: new Background(silentLog), log: silentLog };
  const { issuer, clientId, clientSecret } = authentik;
  const discovery = new Discovery({ name: "oidc", issuer, metadataUrl: undefined, ...parts });
  const tokens = new ProviderTokens({ name: "oidc", clientId, discovery, rules, userinfoCheck: "never", ...parts });
  const proof = new Secret(clientSecret);
  const scopes = ["openid", "email", "groups"];
  return [
    tokens,
    new OpenidProvider({ name: "oidc", title: "authentik", redirectUri: undefined, clientId, proof, scopes, rules, discovery, tokens, ...parts }),
  ];
}

async function enter(provider: OpenidProvider): ReturnType<OpenidProvider["finish"]> {
  return await provider.finish(await authentik.visit(await provider.begin(login)), login);
}

/** What `work` comes to while the provider keeps it waiting at `path`, and how long that took by our clock. */
async function waitedFor(path: string, work: Promise<unknown>): Promise<{ readonly error: unknown; readonly waitedMs: number }> {
  const ended = Promise.withResolvers<unknown>();
  work.then(() => ended.resolve("it was answered"), ended.resolve);
  let error: unknown;
  void ended.promise.then((reason) => (error = reason));
  const asked = expect.stringMatching(new RegExp(` /application/o/registry${path.replaceAll(".", "\\.")}$`));
  await expect.poll(() => authentik.requests, { interval: 5 }).toContainEqual(asked);
  const beganMs = clock.elapsed();
  while (error === undefined && clock.elapsed() - beganMs < 10 * jsonFetchTimeoutMs) await clock.advance(100);
  return { error, waitedMs: clock.elapsed() - beganMs };
}

function expectGivenUp({ error, waitedMs }: Awaited<ReturnType<typeof waitedFor>>): void {
  expect(error).toBeInstanceOf(ProviderUnavailable);
  expect(String(error)).toMatch(new RegExp(`no answer from http://\\S+ within ${jsonFetchTimeoutMs} ms`));
  expect([waitedMs >= jsonFetchTimeoutMs, waitedMs <= jsonFetchTimeoutMs + 500]).toEqual([true, true]);
}

test.each(hangs)("a login that cannot begin is given up after five seconds: what the provider says of itself does not come (%s)", async (hang) => {
  const provider = ours();
  authentik.hangs.set(discoveryPath, hang);
  expectGivenUp(await waitedFor(discoveryPath, provider.begin(login)));
  authentik.hangs.clear();
  await clock.advance(1_000);
  expect((await provider.begin(login)).origin).toBe(authentik.origin);
});

test.each(hangs.flatMap((hang) => ["/token", "/jwks", "/userinfo"].map((path) => [path, hang] as const)))(
  "a login is given up after five seconds when %s does not answer (%s), and the next one comes in",
  async (path, hang) => {
    const provider = ours();
    const back = await authentik.visit(await provider.begin(login));
    authentik.hangs.set(path, hang);
    expectGivenUp(await waitedFor(path, provider.finish(back, login)));
    authentik.hangs.clear();
    await clock.advance(5_000);
    expect(await enter(provider)).toMatchObject({ subject: "1", groups: ["dev"] });
  },
);

test.each(hangs.flatMap((hang) => ["/token", "/userinfo"].map((path) => [path, hang] as const)))(
  "groups that cannot be asked for after five seconds (%s, %s) end nobody's session",
  async (path, hang) => {
    const provider = ours();
    const { refreshToken = new Secret("") } = await enter(provider);
    authentik.requests.length = 0;
    authentik.hangs.set(path, hang);
    expectGivenUp(await waitedFor(path, provider.refresh({ refreshToken })));
  },
);

test.each(["silent", "ill"] as const)("new keys that cannot be had just now end nobody's session, and let nobody in (%s)", async (manner) => {
  const provider = ours();
  const { refreshToken = new Secret("") } = await enter(provider);
  authentik.rotateKeys();
  authentik.requests.length = 0;
  if (manner === "silent") authentik.hangs.set("/jwks", "silent");
  else authentik.ills.set("/jwks", { status: 503, body: "later" });
  const { error } = await waitedFor("/jwks", provider.refresh({ refreshToken }));
  if (!(error instanceof ProviderUnavailable)) throw new Error(`it did not fail as it should: ${String(error)}`);
  await expect(enter(provider)).rejects.toThrow(ProviderUnavailable);
  authentik.hangs.clear();
  authentik.ills.clear();
  await clock.advance(5_000);
  expect(await provider.refresh({ refreshToken: error.refreshToken ?? new Secret("") })).toMatchObject({ subject: "1" });
  expect(await enter(provider)).toMatchObject({ subject: "1" });
});

test("somebody who makes up key ids keeps nobody out whose provider has new keys, and ends nobody's session", async () => {
  const [tokens, provider] = both();
  const { refreshToken = new Secret("") } = await enter(provider);
  const { issuer: iss } = authentik;
  const madeUp = (): Promise<unknown> => tokens.judge(signToken(stranger, { iss }, { kid: randomUUID() }), new AbortController().signal);
  expect(await madeUp()).toMatchObject({ kind: "refused" });
  authentik.rotateKeys();
  authentik.requests.length = 0;
  for (let at = 0; at < 100; at++) expect(await madeUp()).toMatchObject({ kind: "refused" });
  expect(authentik.requests).toEqual([]);
  expect(await enter(provider)).toMatchObject({ subject: "1" });
  authentik.rotateKeys();
  expect(await provider.refresh({ refreshToken })).toMatchObject({ subject: "1" });
});

test("an ID token that cannot be trusted just now, since our clock is wrong, lets nobody in and ends nobody's session", async () => {
  const { refreshToken = new Secret("") } = await enter(ours());
  const provider = ours();
  clock.jump(-3_600_000);
  await expect(enter(provider)).rejects.toThrow(LoginRefused);
  const failed: unknown = await provider.refresh({ refreshToken }).catch((error: unknown) => error);
  if (!(failed instanceof ProviderUnavailable)) throw new Error(`it did not fail as it should: ${String(failed)}`);
  clock.jump(3_600_000);
  expect(await provider.refresh({ refreshToken: failed.refreshToken ?? new Secret("") })).toMatchObject({ subject: "1" });
});
