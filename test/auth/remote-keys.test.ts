import { expect, test } from "vitest";
import { fetchJson, type OutboundFetch } from "../../src/auth/json-fetch.ts";
import { keySetFreshMs, keySetStaleMs, RemoteKeys, unknownIdCooldownMs } from "../../src/auth/remote-keys.ts";
import type { KeySearch } from "../../src/auth/token-keys.ts";
import { TokenVerifier } from "../../src/auth/token-verifier.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { startFakeIssuer, type FakeIssuer } from "../support/fake-issuer.ts";
import { jwkOf, rsaKey, signToken } from "../support/signed-tokens.ts";
import { TestClock } from "../support/test-clock.ts";

const key = rsaKey();
const second = rsaKey();
const signal = new AbortController().signal;
const fetchKeys = "GET /realms/work/keys";
const outbound: OutboundFetch = ({ url, ...request }) => fetch(url, request);

interface Setup extends AsyncDisposable {
  readonly issuer: FakeIssuer;
  readonly clock: TestClock;
  readonly background: Background;
  readonly keys: RemoteKeys;
  find(id: string | undefined, by?: AbortSignal): Promise<KeySearch>;
}

async function setup(): Promise<Setup> {
  const issuer = await startFakeIssuer();
  issuer.keys = [jwkOf(key, { kid: "first" })];
  const clock = new TestClock();
  const background = new Background(silentLog);
  const load = (): Promise<Readonly<Record<string, unknown>>> => fetchJson(issuer.keySetUrl, { fetch: outbound, clock });
  const keys = new RemoteKeys({ source: issuer.keySetUrl, load, clock, background, log: silentLog });
  const find = (id: string | undefined, by = signal): Promise<KeySearch> => keys.find({ algorithm: "RS256", id }, by);
  return { issuer, clock, background, keys, find, [Symbol.asyncDispose]: () => issuer.close() };
}

test("nobody is asked before the first token; then once for all who come at once", async () => {
  await using at = await setup();
  expect(at.issuer.requests).toEqual([]);
  const found = await Promise.all(Array.from({ length: 50 }, () => at.find("first")));
  expect(new Set(found.map(({ kind }) => kind))).toEqual(new Set(["found"]));
  expect(at.issuer.requests).toEqual([fetchKeys]);
});

test("a thousand made-up key ids cost two fetches, all at once or one after the other", async () => {
  await using at = await setup();
  const verifier = new TokenVerifier({ keys: at.keys, issuer: undefined, audiences: ["registry"], clock: at.clock });
  const claims = { aud: "registry", exp: at.clock.now() / 1_000 + 60 };
  const forged = Array.from({ length: 500 }, (_, index) => signToken(second, claims, { kid: `made-up-${index}` }));
  const verdicts = await Promise.all(forged.map((token) => verifier.verify(token, signal)));
  for (let count = 0; count < 500; count++) expect(await at.find(`more-${count}`)).toEqual({ kind: "unknown" });
  expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["bad"]));
  expect(at.issuer.requests).toEqual([fetchKeys, fetchKeys]);
  expect(await at.find("first")).toMatchObject({ kind: "found" });
});

test("a new key is found with the first token that names it, the next one after the cooldown", async () => {
  await using at = await setup();
  await at.find("first");
  at.issuer.keys = [jwkOf(key, { kid: "first" }), jwkOf(second, { kid: "second" })];
  expect(await at.find("second")).toMatchObject({ kind: "found" });
  at.issuer.keys = [jwkOf(second, { kid: "third" })];
  await at.clock.advance(unknownIdCooldownMs - 1);
  expect(await at.find("third")).toEqual({ kind: "unknown" });
  await at.clock.advance(1);
  expect(await at.find("third")).toMatchObject({ kind: "found" });
  expect(at.issuer.requests).toHaveLength(3);
});

test("while the provider is away, known keys stay good for a day, and of others nobody can tell", async () => {
  await using at = await setup();
  await at.find("first");
  await at.issuer.refuse();
  await at.clock.advance(keySetStaleMs - 1);
  expect(await at.find("first")).toMatchObject({ kind: "found" });
  expect(await at.find("unheard")).toMatchObject({ kind: "unavailable" });
  await at.background.settled();
  await at.clock.advance(1);
  expect(await at.find("first")).toMatchObject({ kind: "unavailable" });
});

test("a broken answer takes no good key away", async () => {
  await using at = await setup();
  await at.find("first");
  for (const quirk of [{ status: 500 }, { body: "{" }, { body: "[]" }, { body: '{"keys":[]}' }, { body: `{"keys":[],"x":"${"x".repeat(600_000)}"}` }]) {
    at.issuer.behave();
    at.issuer.when({}, quirk);
    await at.clock.advance(unknownIdCooldownMs);
    expect(await at.find("unheard")).toMatchObject({ kind: "unavailable" });
    expect(await at.find("first")).toMatchObject({ kind: "found" });
  }
  expect(at.issuer.requests).toHaveLength(6);
});

test("a withdrawn key ends once the set has been renewed, also for tokens that are remembered", async () => {
  await using at = await setup();
  const verifier = new TokenVerifier({ keys: at.keys, issuer: undefined, audiences: ["registry"], clock: at.clock });
  const token = signToken(key, { aud: "registry", exp: at.clock.now() / 1_000 + 3_600 }, { kid: "first" });
  expect(await verifier.verify(token, signal)).toMatchObject({ kind: "good" });
  at.issuer.keys = [jwkOf(second, { kid: "second" })];
  await at.clock.advance(keySetFreshMs + 1);
  expect(await verifier.verify(token, signal)).toMatchObject({ kind: "good" });
  await at.background.settled();
  expect(await verifier.verify(token, signal)).toMatchObject({ kind: "bad" });
  // The first for it, the renewal, and one because its key's name is unknown now.
  expect(at.issuer.requests).toEqual([fetchKeys, fetchKeys, fetchKeys]);
});

test("a provider that was never reached is told apart from a wrong token, and is not asked for each", async () => {
  await using at = await setup();
  at.issuer.when({}, { status: 503 });
  for (let count = 0; count < 20; count++) expect(await at.find("first")).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("503") });
  expect(at.issuer.requests).toEqual([fetchKeys]);
  at.issuer.behave();
  await at.clock.advance(5_000);
  expect(await at.find("first")).toMatchObject({ kind: "found" });
});

test("a provider that never answers is given up after five seconds", async () => {
  await using at = await setup();
  at.issuer.when({}, { silent: "before headers" });
  const found = at.find("first");
  await at.issuer.waitForRequests(1);
  await at.clock.advance(5_000);
  expect(await found).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("5000 ms") });
});

test("a provider that stops within its answer is given up as well", async () => {
  await using at = await setup();
  at.issuer.when({}, { silent: "after headers" });
  const found = at.find("first");
  await at.issuer.waitForRequests(1);
  await at.clock.advance(5_000);
  expect(await found).toMatchObject({ kind: "unavailable" });
});

test("who leaves while the keys are on their way spoils them for nobody", async () => {
  await using at = await setup();
  const { promise, resolve } = Promise.withResolvers<void>();
  at.issuer.when({}, { hold: promise });
  const leaving = new AbortController();
  const left = at.find("first", leaving.signal);
  const stayed = at.find("first");
  await at.issuer.waitForRequests(1);
  leaving.abort(new Error("gone"));
  await expect(left).rejects.toThrow("gone");
  resolve();
  expect(await stayed).toMatchObject({ kind: "found" });
  expect(at.issuer.requests).toEqual([fetchKeys]);
});

test("redirects are not followed", async () => {
  await using at = await setup();
  await using elsewhere = await startFakeIssuer();
  at.issuer.when({}, { redirectTo: elsewhere.keySetUrl, redirectStatus: 302 });
  expect(await at.find("first")).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("302") });
  expect(elsewhere.requests).toEqual([]);
});

test("a set of shared secrets is of no use, and the reason says so; a weak key among good ones is left out", async () => {
  await using at = await setup();
  at.issuer.keys = [{ kty: "oct", k: "AAAA", kid: "first" }];
  expect(await at.find("first")).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("HS256") });
  at.issuer.keys = [jwkOf(rsaKey(1_024), { kid: "weak" }), jwkOf(key, { kid: "first" })];
  await at.clock.advance(5_000);
  expect(await at.find("first")).toMatchObject({ kind: "found" });
  expect(await at.find("weak")).toEqual({ kind: "unknown" });
});
