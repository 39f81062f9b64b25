import { describe, expect, test } from "vitest";
import type { Verdict } from "../../src/auth/authenticator.ts";
import { BearerAuthenticator } from "../../src/auth/bearer.ts";
import { drawBrowserNonce } from "../../src/auth/openid/browser-nonce.ts";
import { loadClaimMapping, type WrittenClaimMapping } from "../../src/auth/claim-mapping.ts";
import type { OutboundFetch } from "../../src/auth/json-fetch.ts";
import { WorkloadTokens, type WorkloadTokensOptions } from "../../src/auth/workload-tokens.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { startFakeIssuer, type FakeIssuer } from "../support/fake-issuer.ts";
import { jwkOf, rsaKey, signToken, signWithSecret } from "../support/signed-tokens.ts";
import { TestClock } from "../support/test-clock.ts";

const key = rsaKey();
const plain: WrittenClaimMapping = { variables: [], validations: [], username: undefined, groups: undefined };
const discovery = "GET /realms/work/.well-known/openid-configuration";
const keySet = "GET /realms/work/keys";

interface Setup extends AsyncDisposable {
  readonly issuer: FakeIssuer;
  readonly clock: TestClock;
  readonly tokens: WorkloadTokens;
  /** Who was named as the one who wrote an address, by address. */
  readonly namedBy: Map<string, string | undefined>;
  readonly claims: Readonly<Record<string, unknown>>;
  judge(claims: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): Promise<Verdict>;
}

async function setup(mapping: Partial<WrittenClaimMapping> = {}, more: Partial<WorkloadTokensOptions> = {}): Promise<Setup> {
  const issuer = await startFakeIssuer();
  issuer.keys = [jwkOf(key, { kid: "work" })];
  const clock = new TestClock();
  const namedBy = new Map<string, string | undefined>();
  const outbound: OutboundFetch = ({ url, namedBy: by, ...request }) => {
    namedBy.set(url, by);
    return fetch(url, request);
  };
  const tokens = new WorkloadTokens({
    issuer: issuer.issuer,
    audiences: ["registry", "registry.test"],
    skipIssuerVerification: false,
    mapping: await loadClaimMapping({ ...plain, ...mapping }),
    fetch: outbound,
    clock,
    background: new Background(silentLog),
    log: silentLog,
    ...more,
  });
  const claims = { iss: issuer.issuer, aud: ["registry"], sub: "system:serviceaccount:ci:builder", exp: clock.now() / 1_000 + 600 };
  const judge: Setup["judge"] = (changes, header = { kid: "work" }) =>
    tokens.judge(signToken(key, { ...claims, ...changes }, header), new AbortController().signal);
  return { issuer, clock, tokens, namedBy, claims, judge, [Symbol.asyncDispose]: () => issuer.close() };
}

test("a workload is called by its issuer and its subject, has no groups, and brings its claims for conditions", async () => {
  await using at = await setup();
  const verdict = await at.judge({ environment: "production" });
  expect(verdict).toMatchObject({
    kind: "admitted",
    principal: { name: `${at.issuer.issuer}/system:serviceaccount:ci:builder`, groups: [], method: "oidc", claims: { environment: "production" } },
  });
  expect(verdict).not.toHaveProperty("principal.access");
  expect(at.issuer.requests).toEqual([discovery, keySet]);
});

test("a person's ID token of a login with a browser is no workload's, though it is for the same audience", async () => {
  await using at = await setup();
  expect(await at.judge({ nonce: drawBrowserNonce() })).toMatchObject({ kind: "refused", error: "invalid_token" });
  expect((await at.judge({ nonce: "another" })).kind).toBe("admitted");
});

test("the provider is not asked before the first token of its own", async () => {
  await using at = await setup();
  expect(await at.judge({ iss: "https://other.test" })).toEqual({ kind: "none" });
  expect(await at.judge({ aud: "other" })).toEqual({ kind: "none" });
  expect(await at.judge({ aud: undefined })).toEqual({ kind: "none" });
  expect(await at.tokens.judge("garbage", new AbortController().signal)).toEqual({ kind: "none" });
  expect(at.issuer.requests).toEqual([]);
});

test("what its answer points to is told apart from what the operator wrote", async () => {
  await using at = await setup();
  await at.judge({});
  expect([...at.namedBy]).toEqual([
    [`${at.issuer.issuer}/.well-known/openid-configuration`, undefined],
    [at.issuer.keySetUrl, at.issuer.issuer],
  ]);
});

test("a token that only says it is the provider's is refused, and so is one whose time is over", async () => {
  await using at = await setup();
  const forged = [
    signToken(rsaKey(), at.claims, { kid: "work" }),
    signWithSecret("secret", at.claims, { kid: "work" }),
    signToken(key, { ...at.claims, exp: 1 }, { kid: "work" }),
    signToken(key, at.claims, { kid: "other" }),
  ];
  for (const token of forged) {
    expect(await at.tokens.judge(token, new AbortController().signal)).toMatchObject({ kind: "refused", error: "invalid_token" });
  }
});

test("a provider that is away does not turn the wrong into the right, nor the known into the unknown", async () => {
  await using at = await setup();
  await at.issuer.refuse();
  expect(await at.judge({})).toMatchObject({ kind: "unavailable" });
  await at.issuer.accept();
  await at.clock.advance(5_000);
  expect(await at.judge({})).toMatchObject({ kind: "admitted" });
  await at.issuer.refuse();
  await at.clock.advance(590_000);
  expect(await at.judge({ jti: "another" })).toMatchObject({ kind: "admitted" });
});

test("a provider that calls itself otherwise is not believed; a slash too few is named", async () => {
  await using at = await setup();
  at.issuer.document = { issuer: `${at.issuer.issuer}/` };
  expect(await at.judge({})).toMatchObject({ kind: "unavailable", reason: expect.stringMatching(/calls itself ".*\/": write the issuer exactly so/) });
  expect(at.issuer.requests).toEqual([discovery]);
});

test("with skipIssuerVerification the audience alone picks, and the keys alone decide", async () => {
  await using at = await setup({}, { skipIssuerVerification: true });
  at.issuer.document = { issuer: "https://kubernetes.default.svc" };
  expect(await at.judge({ iss: "https://kubernetes.default.svc" })).toMatchObject({ kind: "admitted" });
  expect(await at.judge({ aud: "other" })).toEqual({ kind: "none" });
});

test("keys are taken from no address that is less trusted than the provider's", async () => {
  for (const jwks_uri of [undefined, 7, "file:///etc/keys", "not an address", "http://user:pass@127.0.0.1/keys"]) {
    await using at = await setup();
    at.issuer.document = { jwks_uri };
    expect(await at.judge({})).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("jwks_uri") });
    expect(at.issuer.requests).toEqual([discovery]);
  }
});

test("of several providers each judges its own tokens, and a stranger's is refused", async () => {
  await using one = await setup({}, {});
  await using other = await setup({ username: "'other:' + claims.sub" });
  const bearer = new BearerAuthenticator({ issuers: [one.tokens, other.tokens], otherSchemes: "refused" });
  const ask = (claims: unknown): Promise<Verdict> => {
    const authorization = [`Bearer ${signToken(key, claims, { kid: "work" })}`];
    return bearer.authenticate({ authorization, client: "::1", userAgent: undefined, certificate: undefined }, new AbortController().signal);
  };
  expect(await ask({ ...other.claims, sub: "x" })).toMatchObject({ principal: { name: "other:x" } });
  expect(await ask({ ...one.claims, sub: "x" })).toMatchObject({ principal: { name: `${one.issuer.issuer}/x` } });
  expect(await ask({ ...one.claims, iss: "https://stranger.test" })).toMatchObject({ kind: "refused", error: "invalid_token" });
  expect(one.issuer.requests).toEqual([discovery, keySet]);
});

test("a workload is recalled as the same principal until its token ends", async () => {
  await using at = await setup();
  const token = signToken(key, at.claims, { kid: "work" });
  expect(at.tokens.recall(token)).toBeUndefined();
  const verdict = await at.tokens.judge(token, new AbortController().signal);
  const recalled = at.tokens.recall(token);
  expect(recalled).toBeDefined();
  expect(verdict).toEqual({ kind: "admitted", principal: recalled });
  expect(at.tokens.recall(token)).toBe(recalled);
  await at.clock.advance(300_000);
  expect(at.tokens.recall(token)).toBeUndefined();
});

describe("a claim mapping", () => {
  const claims = { iss: "https://ci.test", sub: "job-1", project: "team/app", branch: "main", roles: ["build", "deploy"], count: 3, verified: true };

  const cases: readonly (readonly [string, Partial<WrittenClaimMapping>, unknown])[] = [
    ["a name out of claims", { username: "claims.project + '@' + claims.branch" }, { kind: "mapped", name: "team/app@main", groups: [] }],
    ["groups that are a claim", { groups: "claims.roles" }, { kind: "mapped", name: "https://ci.test/job-1", groups: ["build", "deploy"] }],
    ["groups made of claims", { groups: "[claims.branch, 'ci']" }, { kind: "mapped", name: "https://ci.test/job-1", groups: ["main", "ci"] }],
    [
      "variables that build on each other",
      {
        variables: [
          { name: "team", expression: "claims.project.split('/')[0]" },
          { name: "name", expression: "vars.team + ':' + claims.branch" },
        ],
        username: "vars.name",
        groups: "claims.roles.map(r, vars.team + '-' + r)",
      },
      { kind: "mapped", name: "team:main", groups: ["team-build", "team-deploy"] },
    ],
    ["a validation that holds", { validations: [{ expression: "claims.verified && claims.branch == 'main'", message: "main only" }] }, { kind: "mapped" }],
    ["a validation that does not", { validations: [{ expression: "claims.branch == 'dev'", message: "dev only" }] }, { kind: "refused", reason: "dev only" }],
    ["a validation that is not true but something", { validations: [{ expression: "claims.branch", message: "odd" }] }, { kind: "refused", reason: "odd" }],
    ["a claim that is not there", { username: "claims.nowhere" }, { kind: "refused" }],
    ["a claim that objects inherit", { username: "claims.constructor.name" }, { kind: "refused" }],
    ["a claim that may be absent", { username: "has(claims.nowhere) ? claims.nowhere : 'fallback'" }, { kind: "mapped", name: "fallback" }],
    ["a name that is a number", { username: "claims.count" }, { kind: "refused", reason: expect.stringContaining("user name") }],
    ["a name of blanks", { username: "'  '" }, { kind: "refused" }],
    ["groups that are no list", { groups: "claims.branch" }, { kind: "refused", reason: expect.stringContaining("groups") }],
    ["groups that are numbers", { groups: "[claims.count]" }, { kind: "refused" }],
  ];
  test.each(cases)("%s", async (_, mapping, mapped) => {
    expect((await loadClaimMapping({ ...plain, ...mapping }))(claims)).toMatchObject(mapped as object);
  });

  test("without a subject gives nobody a name", async () => {
    expect((await loadClaimMapping(plain))({ iss: "https://ci.test" })).toMatchObject({ kind: "refused" });
    expect((await loadClaimMapping(plain))({ iss: "https://ci.test", sub: "" })).toMatchObject({ kind: "refused" });
  });

  test("that takes too long is stopped", async () => {
    const names = Array.from({ length: 200 }, (_, index) => `n${index}`);
    const slow = "claims.l.all(a, claims.l.all(b, claims.l.all(c, claims.l.all(d, a != '' && b != c + d))))";
    const mapping = await loadClaimMapping({ ...plain, validations: [{ expression: slow, message: "slow" }] });
    expect(mapping({ ...claims, l: names })).toMatchObject({ kind: "refused", reason: expect.stringMatching(/timed out/) });
  });

  test("with a broken expression is refused when it is read, by its place", async () => {
    await expect(loadClaimMapping({ ...plain, username: "claims." })).rejects.toThrow(/^username: /);
    await expect(loadClaimMapping({ ...plain, groups: "nothing.x" })).rejects.toThrow(/^groups: /);
    await expect(loadClaimMapping({ ...plain, variables: [{ name: "v", expression: "1 +" }] })).rejects.toThrow(/^variable "v": /);
    await expect(loadClaimMapping({ ...plain, username: `'${"x".repeat(5_000)}'` })).rejects.toThrow(/at most/);
  });
});
