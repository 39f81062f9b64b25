/** Tokens of a provider that people log in with, shown as passwords and as bearer tokens: who is let in by them, and who is not. */
import { describe, expect, test } from "vitest";
import type { PasswordVerdict, Verdict } from "../../src/auth/authenticator.ts";
import type { DirectoryPerson } from "../../src/auth/directory-people.ts";
import { drawBrowserNonce } from "../../src/auth/openid/browser-nonce.ts";
import { Discovery } from "../../src/auth/openid/discovery.ts";
import { ProviderTokens, type ProviderTokensOptions } from "../../src/auth/openid/provider-tokens.ts";
import { TokenLogins } from "../../src/auth/openid/token-logins.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { startFakeIssuer, type FakeIssuer } from "../support/fake-issuer.ts";
import { KeptLog } from "../support/kept-log.ts";
import { outboundFetch } from "../support/outbound-fetch.ts";
import { ellipticKey, jwkOf, publicPem, rsaKey, signToken, signWithSecret, unsignedToken } from "../support/signed-tokens.ts";
import { TestClock } from "../support/test-clock.ts";

const [key, stranger] = [ellipticKey(), ellipticKey()];
const discovery = "GET /realms/work/.well-known/openid-configuration";
const keySet = "GET /realms/work/keys";
const userinfo = "GET /realms/work/userinfo";
const email = "alice@example.com";
const signal = new AbortController().signal;
const rules = {
  claims: { username: "email", groups: "groups" },
  requireVerifiedEmail: false,
  hostedDomain: undefined,
  users: new Map([["bob@example.com", "bob"]]),
  isOfFile: () => false,
};

async function setup(change: Partial<ProviderTokensOptions> = {}, issuerOf: (issuer: FakeIssuer) => string | undefined = ({ issuer }) => issuer) {
  const issuer = await startFakeIssuer();
  issuer.keys = [jwkOf(key, { kid: "one" })];
  const clock = new TestClock();
  const log = new KeptLog();
  const parts = { fetch: outboundFetch, clock, background: new Background(silentLog), log };
  const known = issuerOf(issuer);
  const metadataUrl = known === undefined ? `${issuer.issuer}/.well-known/openid-configuration` : undefined;
  const provider = new Discovery({ name: "oidc", issuer: known, metadataUrl, ...parts });
  const tokens = new ProviderTokens({ name: "oidc", clientId: "registry", discovery: provider, rules, userinfoCheck: "never", ...parts, ...change });
  const seen: Principal[] = [];
  const logins = new TokenLogins({ providers: [tokens], onLogin: (principal) => void seen.push(principal), log });
  const nowSeconds = (): number => Math.floor(clock.now() / 1_000);
  const claims = (more: object = {}) => ({
    iss: issuer.issuer,
    aud: "registry",
    azp: "registry",
    sub: "1",
    iat: nowSeconds(),
    exp: nowSeconds() + 3_600,
    email,
    groups: ["ops"],
    preferred_username: "alice",
    ...more,
  });
  const token = (more: object = {}, header: Record<string, unknown> = { kid: "one" }): string => signToken(key, claims(more), header);
  return {
    issuer,
    clock,
    tokens,
    logins,
    log,
    seen,
    claims,
    token,
    login: (user: string, password: string): Promise<PasswordVerdict> => logins.verify({ user, password }, signal),
    judge: (shown: string): Promise<Verdict> => tokens.judge(shown, signal),
    [Symbol.asyncDispose]: () => issuer.close(),
  };
}

describe("an access token as a password", () => {
  test.each([[email], ["alice"], ["1"], ["oauth2accesstoken"], ["<token>"]])("lets in as %s whose it is", async (user) => {
    await using at = await setup();
    expect(await at.login(user, at.token())).toMatchObject({ kind: "right", principal: { name: email, groups: ["ops"], method: "oidc" } });
    expect(at.issuer.requests).toEqual([discovery, keySet]);
  });

  test.each(["mallory", "Alice", "", "alice@EXAMPLE.com"])("lets in nobody else: %j", async (user) => {
    await using at = await setup();
    expect(await at.login(user, at.token())).toEqual({ kind: "wrong" });
  });

  test("is that of the name of ours that its address is linked to", async () => {
    await using at = await setup();
    const bob = at.token({ email: "Bob@example.com", email_verified: true, preferred_username: "rob" });
    for (const user of ["bob", "rob", "Bob@example.com"]) expect(await at.login(user, bob)).toMatchObject({ principal: { name: "bob" } });
    expect((await at.login("bob", at.token({ email: "bob@example.com", preferred_username: "rob" }))).kind).toBe("wrong");
  });

  test("is worth nothing from the moment at which its name stands in the file of passwords: that says whose the name is", async () => {
    const file = new Set(["bob"]);
    await using at = await setup({ rules: { ...rules, isOfFile: (name) => file.has(name) } });
    const [alices, bobs] = [at.token(), at.token({ email: "bob@example.com", email_verified: true })];
    expect((await at.judge(alices)).kind).toBe("admitted");
    expect(at.tokens.recall(alices)).toMatchObject({ name: email });
    file.add(email);
    expect(at.tokens.recall(alices)).toBeUndefined();
    expect(await at.judge(alices)).toMatchObject({ kind: "refused", reason: expect.stringMatching(/file of passwords.*email_verified/) });
    // Linked, it is the same person.
    expect(await at.judge(bobs)).toMatchObject({ kind: "admitted", principal: { name: "bob" } });
    expect(at.tokens.recall(bobs)).toMatchObject({ name: "bob" });
  });

  test("has what a directory says of its person, of a minute ago at most, and is 'nobody can tell' while that is away", async () => {
    let said: DirectoryPerson = { kind: "one", name: "carol", groups: ["staff"] };
    let asked = 0;
    const findByMail = async (): Promise<DirectoryPerson> => {
      asked++;
      return said;
    };
    await using at = await setup({ rules: { ...rules, directory: { findByMail, findByName: findByMail } } });
    const shown = at.token({ email_verified: true });
    const first = await at.judge(shown);
    expect(first).toMatchObject({ kind: "admitted", principal: { name: "carol", groups: ["ops", "staff"] } });
    await at.clock.advance(59_999);
    expect(at.tokens.recall(shown)).toMatchObject({ name: "carol" });
    expect(asked).toBe(1);
    await at.clock.advance(1);
    expect(at.tokens.recall(shown)).toBeUndefined();
    const second = await at.judge(shown);
    // The same object: what was decided for it is remembered by it.
    expect(first.kind === "admitted" && second.kind === "admitted" && first.principal === second.principal).toBe(true);
    said = { kind: "one", name: "carol", groups: [] };
    await at.clock.advance(60_000);
    expect(await at.judge(shown)).toMatchObject({ principal: { groups: ["ops"] } });
    said = { kind: "unavailable", reason: "no answer" };
    await at.clock.advance(60_000);
    expect(await at.judge(shown)).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("no answer") });
  });

  test("is known again without asking anybody, as the same principal, and told of once", async () => {
    await using at = await setup();
    const shown = at.token();
    const [one, other] = [await at.login("alice", shown), await at.login("alice", shown)];
    expect(one.kind === "right" && other.kind === "right" && one.principal === other.principal).toBe(true);
    expect(at.seen).toHaveLength(1);
    expect(at.issuer.requests).toEqual([discovery, keySet]);
  });

  test("ends with its exp, a minute of leeway later", async () => {
    await using at = await setup();
    const shown = at.token();
    expect((await at.login("alice", shown)).kind).toBe("right");
    await at.clock.advance(3_659_000);
    expect((await at.login("alice", shown)).kind).toBe("right");
    await at.clock.advance(2_000);
    expect((await at.login("alice", shown)).kind).toBe("wrong");
  });

  test("may be an ID token, or name no party", async () => {
    await using at = await setup();
    expect((await at.login("alice", at.token({ azp: undefined, nonce: "n" }))).kind).toBe("right");
    expect((await at.login("alice", at.token({ aud: ["other", "registry"] }))).kind).toBe("right");
  });

  test("is no ID token of a login with a browser: such a one is left in the addresses by which people sign out", async () => {
    await using at = await setup();
    const shown = at.token({ azp: undefined, nonce: drawBrowserNonce() });
    for (const user of ["alice", email, "oauth2accesstoken"]) expect(await at.login(user, shown)).toEqual({ kind: "wrong" });
    expect(await at.judge(shown)).toMatchObject({ kind: "refused", error: "invalid_token" });
    expect(at.tokens.recall(shown)).toBeUndefined();
  });

  test("of an RSA key, as Authentik signs", async () => {
    await using at = await setup();
    const rsa = rsaKey();
    at.issuer.keys = [jwkOf(rsa, { kid: "rsa" })];
    expect((await at.login("alice", signToken(rsa, at.claims(), { kid: "rsa", typ: "at+jwt" }))).kind).toBe("right");
  });
});

describe("a token is refused", () => {
  type Make = (at: Awaited<ReturnType<typeof setup>>) => string;
  test.each<[string, Make, RegExp]>([
    ["of another client of the same provider", (at) => at.token({ aud: "other-app", azp: "other-app" }), /aud/],
    ["that another client was given, though we may read it", (at) => at.token({ aud: ["registry", "other-app"], azp: "other-app" }), /azp/],
    ["without an audience", (at) => at.token({ aud: undefined }), /aud/],
    ["without an end", (at) => at.token({ exp: undefined }), /exp/],
    ["without a beginning", (at) => at.token({ iat: undefined }), /iat/],
    ["of nobody", (at) => at.token({ sub: undefined }), /sub/],
    ["of another issuer", (at) => at.token({ iss: "https://elsewhere.example.com" }), /iss/],
    ["of the issuer with a slash more", (at) => at.token({ iss: `${at.issuer.issuer}/` }), /iss/],
    ["signed by a stranger", (at) => signToken(stranger, at.claims(), { kid: "one" }), /signature/],
    ["signed by nobody", (at) => unsignedToken(at.claims(), { alg: "none" }), /alg/],
    ["signed with the public key for a secret (HS256)", (at) => signWithSecret(publicPem(key), at.claims(), { kid: "one" }), /alg/],
    ["signed with the client's secret (HS256)", (at) => signWithSecret("client-secret", at.claims()), /alg/],
    ["that brings its key along", (at) => signToken(stranger, at.claims(), { jwk: jwkOf(stranger) }), /not trusted/],
    ["that says where its key is", (at) => signToken(stranger, at.claims(), { jku: "http://127.0.0.1:1/keys", kid: "other" }), /not trusted/],
    ["with an extension that must be understood", (at) => at.token({}, { kid: "one", crit: ["x"], x: 1 }), /crit|Extension/i],
    ["that lives longer than a day", (at) => at.token({ exp: Math.floor(at.clock.now() / 1_000) + 90_000 }), /24 hours/],
    ["of another kind (a logout token)", (at) => at.token({}, { kid: "one", typ: "logout+jwt" }), /typ/],
    ["without a name", (at) => at.token({ email: undefined }), /claimMapping\.username/],
    ["that is encrypted", () => `${Buffer.from('{"alg":"RSA-OAEP","enc":"A256GCM"}').toString("base64url")}.a.b.c.d`, /encrypted.*Encryption Key/],
  ])("%s, and the log says why", async (_, make, reason) => {
    await using at = await setup();
    const shown = make(at);
    expect(await at.login("alice", shown)).toEqual({ kind: "wrong" });
    const lines = at.log.lines.filter((line) => line.startsWith("info openid: a token that was shown as a password is refused"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(reason);
    expect(at.log.lines.join()).not.toContain(shown);
    expect((await at.judge(shown)).kind).not.toBe("admitted");
  });

  test("of an unverified address where verified ones are required", async () => {
    await using at = await setup({ rules: { ...rules, requireVerifiedEmail: true } });
    expect((await at.login("alice", at.token({ email_verified: false }))).kind).toBe("wrong");
    expect((await at.login("alice", at.token({ email_verified: true }))).kind).toBe("right");
  });
});

describe("what is no token", () => {
  test.each(["", "password", "a.b.c", "zak_0123456789abcdef0123456789abcdef", "e30.e30.x", "Tr0ub4dor&3.x.y", `${"x".repeat(300)}.y.z`])(
    "is left to others: %j",
    async (password) => {
      await using at = await setup();
      expect(at.logins.isOwn(password)).toBe(false);
    },
  );
});

test("the same token is good as a bearer token", async () => {
  await using at = await setup();
  const shown = at.token();
  const verdict = await at.judge(shown);
  expect(verdict).toMatchObject({ kind: "admitted", principal: { name: email, method: "oidc" } });
  expect({ kind: "admitted", principal: at.tokens.recall(shown) }).toEqual(verdict);
  expect(await at.judge(at.token({ iss: "https://elsewhere.example.com" }))).toEqual({ kind: "none" });
});

test("where only the address of the document is known, the issuer is what that says", async () => {
  await using at = await setup({}, () => undefined);
  expect((await at.login("alice", at.token())).kind).toBe("right");
  expect((await at.login("alice", at.token({ iss: "https://elsewhere.example.com" }))).kind).toBe("wrong");
});

test("a thousand made-up key ids cost two fetches of the keys", async () => {
  await using at = await setup();
  for (let id = 0; id < 1_000; id++) expect((await at.login("alice", at.token({}, { kid: `made-up-${id}` }))).kind).toBe("wrong");
  expect(at.issuer.requests.filter((line) => line === keySet).length).toBeLessThanOrEqual(2);
  expect((await at.login("alice", at.token())).kind).toBe("right");
});

test("keys that are others by now are asked for, and the token is let in", async () => {
  await using at = await setup();
  await at.login("alice", at.token());
  at.issuer.keys = [jwkOf(stranger, { kid: "two" })];
  expect((await at.login("alice", signToken(stranger, at.claims(), { kid: "two" }))).kind).toBe("right");
});

describe("while the provider is away", () => {
  test("its keys go on, those of tokens that were never seen too", async () => {
    await using at = await setup();
    await at.login("alice", at.token());
    await at.issuer.refuse();
    await at.clock.advance(1_200_000);
    expect((await at.login("alice", at.token({ jti: "another" }))).kind).toBe("right");
  });

  test("and was never reached, nobody is told that the token is wrong", async () => {
    await using at = await setup();
    await at.issuer.refuse();
    expect(await at.login("alice", at.token())).toMatchObject({ kind: "unavailable", reason: expect.stringMatching(/openid provider oidc/) });
    await at.issuer.accept();
    await at.clock.advance(60_000);
    expect((await at.login("alice", at.token())).kind).toBe("right");
  });
});

test("a provider that signs with a shared secret is named with the cure", async () => {
  await using at = await setup();
  at.issuer.document = { id_token_signing_alg_values_supported: ["HS256"] };
  expect(await at.login("alice", at.token())).toMatchObject({
    kind: "unavailable",
    reason: expect.stringMatching(/HS256 only, which is refused.*Signing Key/),
  });
});

describe("userinfo", () => {
  const withUserinfo = (check: ProviderTokensOptions["userinfoCheck"]) => async () => {
    const at = await setup({ userinfoCheck: check });
    at.issuer.document = { userinfo_endpoint: `${at.issuer.issuer}/userinfo` };
    at.issuer.person = { sub: "1", groups: ["more"] };
    return at;
  };
  const asked = (issuer: FakeIssuer): number => issuer.requests.filter((line) => line === userinfo).length;

  test("is asked each time where it is to be, and its groups count too", async () => {
    await using at = await withUserinfo("always")();
    const shown = at.token();
    expect(await at.login("alice", shown)).toMatchObject({ principal: { groups: ["more", "ops"] } });
    await at.login("alice", shown);
    expect(asked(at.issuer)).toBe(2);
    at.issuer.person = undefined;
    expect((await at.login("alice", shown)).kind).toBe("wrong");
    expect(at.tokens.recall(shown)).toBeUndefined();
  });

  test("is asked now and then, and a token that was taken back is over by then", async () => {
    await using at = await withUserinfo(60_000)();
    const shown = at.token();
    const before = await at.login("alice", shown);
    at.issuer.person = undefined;
    await at.clock.advance(59_000);
    expect(await at.login("alice", shown)).toEqual(before);
    expect(asked(at.issuer)).toBe(1);
    await at.clock.advance(2_000);
    expect((await at.login("alice", shown)).kind).toBe("wrong");
  });

  test("that is away for a moment ends nobody's login, and after five minutes nobody can tell", async () => {
    await using at = await withUserinfo(60_000)();
    const shown = at.token();
    await at.login("alice", shown);
    await at.issuer.refuse();
    await at.clock.advance(120_000);
    expect((await at.login("alice", shown)).kind).toBe("right");
    await at.clock.advance(240_000);
    expect((await at.login("alice", shown)).kind).toBe("unavailable");
  });

  test("of somebody else refuses", async () => {
    await using at = await withUserinfo("always")();
    at.issuer.person = { sub: "2" };
    expect((await at.login("alice", at.token())).kind).toBe("wrong");
  });

  test("is shown the token, and nobody else is", async () => {
    await using at = await withUserinfo("always")();
    const shown = at.token();
    await at.login("alice", shown);
    expect(at.issuer.log.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ["/realms/work/.well-known/openid-configuration", undefined],
      ["/realms/work/keys", undefined],
      ["/realms/work/userinfo", `Bearer ${shown}`],
    ]);
  });
});
