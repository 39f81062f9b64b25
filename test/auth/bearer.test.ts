import { expect, test } from "vitest";
import { AccessTokens } from "../../src/auth/access-tokens.ts";
import type { Evidence, Verdict } from "../../src/auth/authenticator.ts";
import { BearerAuthenticator, bearerChallenge, repositoryScope } from "../../src/auth/bearer.ts";
import { parseTokenKeys } from "../../src/auth/token-keys.ts";
import { TokenVerifier } from "../../src/auth/token-verifier.ts";
import { jwkOf, publicPem, rsaKey, signToken } from "../support/signed-tokens.ts";
import { TestClock } from "../support/test-clock.ts";

const clock = new TestClock();
const key = rsaKey();
const other = rsaKey();
const verifier = new TokenVerifier({ keys: parseTokenKeys(publicPem(key)), issuer: undefined, audiences: ["registry"], clock });
const external = new AccessTokens({ verifier, clock, method: "bearer" });
const bearer = new BearerAuthenticator({ issuers: [external], otherSchemes: "refused" });
const access = [{ type: "repository", name: "team/app", actions: ["pull"] }];
const good = { aud: "registry", sub: "alice", exp: clock.now() / 1_000 + 300, access };

function shown(...authorization: readonly string[]): Evidence {
  return { authorization, client: "127.0.0.1", userAgent: undefined, certificate: undefined };
}

function ask(evidence: Evidence, by = bearer): Promise<Verdict> {
  return by.authenticate(evidence, new AbortController().signal);
}

test("a good token admits its subject with what it permits, whatever the case of the scheme", async () => {
  const token = signToken(key, good);
  for (const header of [`Bearer ${token}`, `bearer ${token}`, `BEARER  ${token} `]) {
    expect(await ask(shown(header))).toEqual({ kind: "admitted", principal: { name: "alice", groups: [], method: "bearer", access } });
  }
});

test("a request without Authorization is nobody's, and no failure", async () => {
  expect(await ask(shown())).toEqual({ kind: "none" });
});

test("a wrong token is refused with the word that makes clients fetch another", async () => {
  for (const token of [signToken(other, good), signToken(key, { ...good, exp: 1 }), "garbage", "a.b.c"]) {
    expect(await ask(shown(`Bearer ${token}`))).toMatchObject({ kind: "refused", error: "invalid_token" });
  }
});

test("a token needs its scheme, and a scheme its token", async () => {
  const token = signToken(key, good);
  for (const header of [token, `Token ${token}`, "Bearer", "Bearer ", `Bearer ${token} x`, `Bearer ${token},Bearer ${token}`, `Bearer\t${token}`, ""]) {
    expect(await ask(shown(header))).toMatchObject({ kind: "refused" });
  }
});

test("two Authorization headers are refused, in either order, though one is good", async () => {
  const [token, basic] = [`Bearer ${signToken(key, good)}`, "Basic YTpi"];
  for (const headers of [
    [token, basic],
    [basic, token],
    [token, token],
  ])
    expect(await ask(shown(...headers))).toMatchObject({ kind: "refused" });
});

test("a password is refused where tokens replace passwords, and left to others beside our own token service", async () => {
  expect(await ask(shown("Basic YWxpY2U6c2VjcmV0"))).toMatchObject({ kind: "refused" });
  const beside = new BearerAuthenticator({ issuers: [external], otherSchemes: "left" });
  expect(await ask(shown("Basic YWxpY2U6c2VjcmV0"), beside)).toEqual({ kind: "none" });
  expect(await ask(shown("Bearer garbage"), beside)).toMatchObject({ kind: "refused" });
});

test("a token without a subject is somebody without a name, with what it permits", async () => {
  for (const sub of ["", undefined]) expect(await ask(shown(`Bearer ${signToken(key, { ...good, sub })}`))).toEqual({ kind: "anonymous", access });
});

test("a subject that is no name is refused", async () => {
  for (const sub of [" ", "\t", "al\nice", 7, ["alice"], null, "x".repeat(1_025)]) {
    expect(await ask(shown(`Bearer ${signToken(key, { ...good, sub })}`))).toMatchObject({ kind: "refused" });
  }
});

test("a token without an access claim permits nothing, which is not the same as everything", async () => {
  const verdict = await ask(shown(`Bearer ${signToken(key, { ...good, access: undefined })}`));
  expect(verdict).toMatchObject({ kind: "admitted", principal: { access: [] } });
});

test("groups are taken from our own tokens only", async () => {
  const token = signToken(key, { ...good, groups: ["ops", 1] });
  expect(await ask(shown(`Bearer ${token}`))).toMatchObject({ principal: { groups: [] } });
  const own = new BearerAuthenticator({ issuers: [new AccessTokens({ verifier, clock, method: "token" })], otherSchemes: "left" });
  expect(await ask(shown(`Bearer ${token}`), own)).toMatchObject({ principal: { groups: ["ops"], method: "token" } });
});

test("an entry's own end counts also in a token that is remembered", async () => {
  const own = new TestClock();
  const keys = parseTokenKeys(JSON.stringify(jwkOf(key)));
  const tokens = new AccessTokens({
    verifier: new TokenVerifier({ keys, issuer: undefined, audiences: ["registry"], clock: own }),
    clock: own,
    method: "bearer",
  });
  const brief = [{ ...access[0], exp: new Date(own.now() + 10_000).toISOString() }];
  const token = signToken(key, { ...good, access: brief });
  const signal = new AbortController().signal;
  expect(await tokens.judge(token, signal)).toMatchObject({ principal: { access } });
  await own.advance(10_000);
  expect(await tokens.judge(token, signal)).toMatchObject({ principal: { access: [] } });
});

test("who was admitted is recalled as the same principal, while the token lives, and nobody else is", async () => {
  const own = new TestClock();
  const fresh = new TokenVerifier({ keys: parseTokenKeys(publicPem(key)), issuer: undefined, audiences: ["registry"], clock: own });
  const by = new BearerAuthenticator({ issuers: [new AccessTokens({ verifier: fresh, clock: own, method: "bearer" })], otherSchemes: "left" });
  const evidence = shown(`Bearer ${signToken(key, { ...good, exp: own.now() / 1_000 + 30 })}`);
  expect(by.recall(evidence)).toBeUndefined();
  const verdict = await ask(evidence, by);
  const recalled = by.recall(evidence);
  expect(verdict).toEqual({ kind: "admitted", principal: recalled });
  expect(by.recall(evidence)).toBe(recalled);
  expect(by.recall(shown())).toBeUndefined();
  expect(by.recall(shown(evidence.authorization[0]?.replace("Bearer ", "") ?? ""))).toBeUndefined();
  expect(by.recall(shown(...evidence.authorization, ...evidence.authorization))).toBeUndefined();
  await own.advance(90_000);
  expect(by.recall(evidence)).toBeUndefined();
});

test("a challenge is one header with quoted values, whatever is in them", () => {
  expect(bearerChallenge({ realm: "https://auth.test/token", service: "registry" })).toBe('Bearer realm="https://auth.test/token",service="registry"');
  const scope = repositoryScope("team/app");
  expect(bearerChallenge({ realm: 'a"b\\c', service: "d\r\ne", scope, error: "insufficient_scope" })).toBe(
    'Bearer realm="a\\"b\\\\c",service="de",scope="repository:team/app:pull",error="insufficient_scope"',
  );
  expect(repositoryScope("a", "push")).toBe("repository:a:pull,push");
  expect(repositoryScope("a", "delete")).toBe("repository:a:delete");
});
