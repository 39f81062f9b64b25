/** Logging in with GitHub, against a server in the documented shapes of its API. */
import { describe, expect, test } from "vitest";
import { Github, type GithubOptions } from "../../src/auth/openid/github.ts";
import { LoginRefused, ProviderUnavailable, type LoginUnderWay } from "../../src/auth/openid/provider.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { outboundFetch } from "../support/outbound-fetch.ts";
import { startFakeGithub, type FakeGithub } from "../support/fake-github.ts";
import type { Reply } from "../support/recording-server.ts";

const login: LoginUnderWay = { redirectUri: "http://127.0.0.1:1/zot/auth/callback/github", state: "a state", nonce: "a nonce", codeVerifier: "v".repeat(43) };

async function setup(more: (github: FakeGithub) => Partial<GithubOptions> = () => ({})) {
  const github = await startFakeGithub();
  const provider = new Github({
    title: "GitHub",
    redirectUri: undefined,
    clientId: github.clientId,
    clientSecret: new Secret(github.clientSecret),
    scopes: ["read:org", "user:email"],
    authorizationUrl: `${github.url}/login/oauth/authorize`,
    tokenUrl: `${github.url}/login/oauth/access_token`,
    apiUrl: `${github.url}/api`,
    rules: { claims: { username: "email", groups: "groups" }, requireVerifiedEmail: true, hostedDomain: undefined, users: new Map(), isOfFile: () => false },
    fetch: outboundFetch,
    clock: systemClock,
    log: silentLog,
    ...more(github),
  });
  return {
    github,
    provider,
    enter: async () => provider.finish(github.visit(await provider.begin(login)), login),
    [Symbol.asyncDispose]: () => github.close(),
  };
}

test("a person is the verified primary address, with organizations and teams as groups", async () => {
  await using at = await setup();
  at.github.organizations = ["Octo-Org"];
  at.github.teams = ["Octo-Org/justice-league"];
  expect(await at.enter()).toMatchObject({
    provider: "github",
    subject: "583231",
    name: "octocat@example.com",
    groups: ["Octo-Org", "Octo-Org/justice-league"],
    email: "octocat@example.com",
    emailVerified: true,
    idToken: undefined,
  });
  expect(at.github.requests[0]).toBe("POST /login/oauth/access_token");
  expect(at.github.requests.slice(1).toSorted()).toEqual([
    "GET /api/user",
    "GET /api/user/emails?per_page=100&page=1",
    "GET /api/user/orgs?per_page=100&page=1",
    "GET /api/user/teams?per_page=100&page=1",
  ]);
});

test("a browser is sent there with PKCE, state and our own address", async () => {
  await using at = await setup();
  const { searchParams } = await at.provider.begin(login);
  expect(Object.fromEntries(searchParams)).toMatchObject({
    response_type: "code",
    client_id: at.github.clientId,
    redirect_uri: login.redirectUri,
    scope: "read:org user:email",
    state: login.state,
    code_challenge_method: "S256",
  });
});

test("lists are read to their end, and no further than twenty pages", async () => {
  await using at = await setup();
  at.github.organizations = Array.from({ length: 250 }, (_, index) => `org-${index}`);
  expect((await at.enter()).groups).toHaveLength(250);
  expect(at.github.requests.filter((line) => line.startsWith("GET /api/user/orgs"))).toHaveLength(3);
  at.github.organizations = Array.from({ length: 2_100 }, (_, index) => `org-${index}`);
  await expect(at.enter()).rejects.toThrow(/more than 20 pages/);
});

test("what the token may not see is left out", async () => {
  await using at = await setup();
  at.github.organizations = ["seen"];
  at.github.when({ path: "/api/user/teams?per_page=100&page=1" }, { status: 403 });
  expect((await at.enter()).groups).toEqual(["seen"]);
});

test.each([
  ["no primary address", [{ email: "a@example.com", primary: false, verified: true }]],
  ["one that is not verified", [{ email: "a@example.com", primary: true, verified: false }]],
])("somebody with %s is refused", async (_, emails) => {
  await using at = await setup();
  at.github.emails = emails;
  await expect(at.enter()).rejects.toThrow(LoginRefused);
});

test("an answer to another login is refused, and the code stays unused", async () => {
  await using at = await setup();
  const back = at.github.visit(await at.provider.begin(login));
  await expect(at.provider.finish(back, { ...login, state: "another" })).rejects.toThrow(/another login/);
  expect(at.github.requests).toEqual([]);
});

test("a code is no good without the verifier that it was asked for with", async () => {
  await using at = await setup();
  const back = at.github.visit(await at.provider.begin(login));
  await expect(at.provider.finish(back, { ...login, codeVerifier: "w".repeat(43) })).rejects.toThrow(/bad_verification_code.*the code was used/);
});

test("a wrong secret is told with what is wrong", async () => {
  await using at = await setup(() => ({ clientSecret: new Secret("wrong") }));
  await expect(at.enter()).rejects.toThrow(/github says incorrect_client_credentials: clientid or clientsecret/);
});

test("a person who says no is refused", async () => {
  await using at = await setup();
  const back = new URL(`${login.redirectUri}?error=access_denied&state=${encodeURIComponent(login.state)}`);
  await expect(at.provider.finish(back, login)).rejects.toThrow(/says access_denied/);
});

test("groups are read anew by what was kept, until GitHub takes it no more", async () => {
  await using at = await setup();
  const { refreshToken } = await at.enter();
  at.github.organizations = ["new"];
  const kept = { refreshToken: refreshToken ?? new Secret("") };
  expect(await at.provider.refresh(kept)).toMatchObject({ groups: ["new"] });
  at.github.tokens.clear();
  expect(await at.provider.refresh(kept)).toBe("ended");
});

test("while its API fails nobody is told that he may not", async () => {
  await using at = await setup();
  const { refreshToken } = await at.enter();
  at.github.when({ path: /^\/api\/user$/ }, { status: 502 });
  await expect(at.provider.refresh({ refreshToken: refreshToken ?? new Secret("") })).rejects.toThrow(ProviderUnavailable);
  await at.github.refuse();
  await expect(at.enter()).rejects.toThrow(ProviderUnavailable);
});

const lists = ["emails", "orgs", "teams"].map((name) => `/api/user/${name}?per_page=100&page=1`);
const illnesses: readonly (readonly [string, Reply])[] = [
  ["a 403 that says nothing", { status: 403 }],
  ["a 403 of too many requests", { status: 403, headers: { "x-ratelimit-remaining": "0", "x-oauth-scopes": "", "x-accepted-oauth-scopes": "user" } }],
  ["a 403 that says when to come again", { status: 403, headers: { "retry-after": "60" } }],
  ["a 429", { status: 429 }],
  ["a 500", { status: 500 }],
  ["a page for people", { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Unicorn!</h1>" }],
];

describe.each(lists)("somebody who is known keeps what they have while %s answers with", (path) => {
  test.each(illnesses)("%s", async (_, reply) => {
    await using at = await setup();
    at.github.organizations = ["mine"];
    const { refreshToken = new Secret("") } = await at.enter();
    at.github.when({ path }, reply);
    await expect(at.provider.refresh({ refreshToken })).rejects.toThrow(ProviderUnavailable);
  });

  test.each(illnesses.slice(1))("%s, and somebody who is not is told to try later", async (_, reply) => {
    await using at = await setup();
    at.github.when({ path }, reply);
    await expect(at.enter()).rejects.toThrow(ProviderUnavailable);
  });
});

test("somebody who is known, whose token was never for teams, has the groups that it is for", async () => {
  await using at = await setup();
  const { refreshToken = new Secret("") } = await at.enter();
  at.github.organizations = ["new"];
  at.github.when({ path: lists[2] ?? "" }, { status: 403, headers: { "x-oauth-scopes": "user:email, user", "x-accepted-oauth-scopes": "read:org, repo" } });
  expect(await at.provider.refresh({ refreshToken })).toMatchObject({ groups: ["new"] });
});

test("no token is in what goes wrong", async () => {
  await using at = await setup();
  at.github.when({ path: /^\/api\/user$/ }, { status: 502, body: "gho_0 is broken" });
  const error = await at.enter().catch((thrown: unknown) => thrown);
  expect(String(error)).not.toContain("gho_");
});
