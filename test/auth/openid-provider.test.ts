/** Logging in with an OpenID provider: a real one, set up as Authentik is. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseClientKey } from "../../src/auth/openid/client-proof.ts";
import { Discovery } from "../../src/auth/openid/discovery.ts";
import { OpenidProvider, type OpenidProviderOptions } from "../../src/auth/openid/openid-provider.ts";
import type { PersonRules } from "../../src/auth/openid/person.ts";
import { LoginRefused, ProviderUnavailable, type LoginUnderWay } from "../../src/auth/openid/provider.ts";
import { ProviderTokens } from "../../src/auth/openid/provider-tokens.ts";
import { Background } from "../../src/oci/background.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { defaultRedirectUri, startOpenidProvider, type Ill, type OpenidProvider as Authentik } from "../support/openid-provider.ts";
import { outboundFetch } from "../support/outbound-fetch.ts";

const login: LoginUnderWay = { redirectUri: defaultRedirectUri, state: "a-state-of-its-own", nonce: "a-nonce-of-its-own", codeVerifier: "v".repeat(43) };
const rules: PersonRules = {
  claims: { username: "email", groups: "groups" },
  requireVerifiedEmail: false,
  hostedDomain: undefined,
  users: new Map(),
  isOfFile: () => false,
};

interface Change extends Partial<OpenidProviderOptions> {
  readonly issuer?: string;
  readonly metadataUrl?: string;
}

/** Ours, as it would be configured for `authentik`. */
function ours(
  authentik: Pick<Authentik, "issuer" | "clientId" | "clientSecret">,
  { issuer = authentik.issuer, metadataUrl, ...more }: Change = {},
): OpenidProvider {
  const background = new Background(silentLog);
  const parts = { fetch: outboundFetch, clock: systemClock, background, log: silentLog };
  const discovery = new Discovery({ name: "oidc", issuer: metadataUrl === undefined ? issuer : undefined, metadataUrl, ...parts });
  const clientId = more.clientId ?? authentik.clientId;
  const tokens = new ProviderTokens({ name: "oidc", clientId, discovery, rules: more.rules ?? rules, userinfoCheck: "never", ...parts });
  return new OpenidProvider({
    name: "oidc",
    title: "authentik",
    redirectUri: undefined,
    clientId,
    proof: new Secret(authentik.clientSecret),
    scopes: ["openid", "profile", "email", "groups"],
    rules,
    discovery,
    tokens,
    ...parts,
    ...more,
  });
}

describe("with Authentik's stand-in", () => {
  let authentik: Authentik;
  const alice = { email: "Alice@example.com", email_verified: false, preferred_username: "alice", groups: ["ops", "dev"] };

  beforeAll(async () => {
    authentik = await startOpenidProvider({ people: new Map() });
  });
  beforeEach(async () => {
    await authentik.accept().catch(() => {}); // It listens already.
    authentik.people.clear();
    authentik.people.set("alice-id", alice);
    authentik.visitor = "alice-id";
    authentik.requests.length = 0;
    authentik.ills.clear();
  });
  afterAll(() => authentik?.[Symbol.asyncDispose]());

  async function enter(provider: OpenidProvider): ReturnType<OpenidProvider["finish"]> {
    return await provider.finish(await authentik.visit(await provider.begin(login)), login);
  }

  test("a person comes back with name, groups and address, by the code flow with PKCE", async () => {
    const identity = await enter(ours(authentik));
    expect(identity).toMatchObject({
      provider: "oidc",
      subject: "alice-id",
      name: "Alice@example.com",
      groups: ["dev", "ops"],
      email: "Alice@example.com",
      emailVerified: false,
    });
    expect(identity.refreshToken).toBeInstanceOf(Secret);
    const asked = authentik.requests.filter((line) => !line.includes("/enter/") && !line.includes("/auth"));
    expect(asked).toEqual([
      "GET /application/o/registry/.well-known/openid-configuration",
      "POST /application/o/registry/token",
      "GET /application/o/registry/jwks",
      "GET /application/o/registry/userinfo",
    ]);
  });

  test("a browser is sent there with state, nonce, the challenge, and exactly our address", async () => {
    const { searchParams } = await ours(authentik).begin(login);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      response_type: "code",
      client_id: "registry",
      redirect_uri: defaultRedirectUri,
      scope: "openid profile email groups",
      state: login.state,
      nonce: login.nonce,
      code_challenge_method: "S256",
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    });
  });

  test("the discovery document may be named in place of the issuer", async () => {
    const metadataUrl = `${authentik.issuer}.well-known/openid-configuration`;
    expect(await enter(ours(authentik, { metadataUrl }))).toMatchObject({ name: "Alice@example.com" });
  });

  test("an address that is linked to a name of ours is that name, whatever its case", async () => {
    const users = new Map([["alice@example.com", "alice"]]);
    authentik.people.set("alice-id", { ...alice, email_verified: true });
    expect(await enter(ours(authentik, { rules: { ...rules, users } }))).toMatchObject({ name: "alice" });
    authentik.people.set("alice-id", alice);
    await expect(enter(ours(authentik, { rules: { ...rules, users } }))).rejects.toThrow(/linked to a name here.*email_verified/);
  });

  test("an unverified address is refused where verified ones are required, and the log can say why", async () => {
    const error: unknown = await enter(ours(authentik, { rules: { ...rules, requireVerifiedEmail: true } })).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LoginRefused);
    expect(String(error)).toMatch(/email_verified.*Authentik/);
  });

  test.each<[string, Partial<LoginUnderWay>]>([
    ["state", { state: "another" }],
    ["nonce", { nonce: "another" }],
    ["verifier", { codeVerifier: "w".repeat(43) }],
  ])("an answer that belongs to another login is refused: %s", async (_, other) => {
    const provider = ours(authentik);
    const back = await authentik.visit(await provider.begin(login));
    await expect(provider.finish(back, { ...login, ...other })).rejects.toThrow(LoginRefused);
  });

  test("an answer of another provider is refused by its iss", async () => {
    const provider = ours(authentik);
    const back = await authentik.visit(await provider.begin(login));
    back.searchParams.set("iss", "https://elsewhere.example.com/");
    await expect(provider.finish(back, login)).rejects.toThrow(LoginRefused);
    expect(authentik.requests.filter((line) => line.startsWith("POST"))).toEqual([]);
  });

  test("a code is good once", async () => {
    const provider = ours(authentik);
    const back = await authentik.visit(await provider.begin(login));
    await provider.finish(back, login);
    await expect(provider.finish(back, login)).rejects.toThrow(/invalid_grant/);
  });

  test("a person who says no is refused", async () => {
    authentik.visitor = undefined;
    await expect(enter(ours(authentik))).rejects.toThrow(/openid provider oidc says access_denied/);
  });

  test("a wrong client secret is told in a line with its cure", async () => {
    await expect(enter(ours(authentik, { proof: new Secret("wrong") }))).rejects.toThrow(/oidc says invalid_client.*: clientid or clientsecret are not those/);
  });

  test("an issuer that lacks its slash is told with the right value, and nobody is asked twice at once", async () => {
    const provider = ours(authentik, { issuer: authentik.issuer.slice(0, -1) });
    await expect(provider.begin(login)).rejects.toThrow(`calls itself "${authentik.issuer}": write the issuer exactly so`);
    await expect(provider.begin(login)).rejects.toThrow(ProviderUnavailable);
    expect(authentik.requests).toEqual(["GET /application/o/registry/.well-known/openid-configuration"]);
  });

  test("an issuer that is none is told what others look like", async () => {
    await expect(ours(authentik, { issuer: `${authentik.origin}/nothing/` }).begin(login)).rejects.toThrow(/status 404.*application\/o\/SLUG\//);
  });

  test("groups are read anew, and a person who is disabled is no more", async () => {
    const provider = ours(authentik);
    const first = await enter(provider);
    authentik.people.set("alice-id", { ...alice, groups: ["dev"] });
    const second = await provider.refresh({ refreshToken: first.refreshToken ?? new Secret("") });
    if (second === "ended") throw new Error("it ended");
    expect(second).toMatchObject({ subject: "alice-id", groups: ["dev"] });
    authentik.people.delete("alice-id");
    expect(await provider.refresh({ refreshToken: second.refreshToken ?? new Secret("") })).toBe("ended");
  });

  test("nobody's login ends because the provider is away, or because our own secret is wrong", async () => {
    const first = await enter(ours(authentik));
    const kept = { refreshToken: first.refreshToken ?? new Secret("") };
    await expect(ours(authentik, { proof: new Secret("wrong") }).refresh(kept)).rejects.toThrow(ProviderUnavailable);
    const provider = ours(authentik);
    await provider.begin(login);
    await authentik.refuse();
    await expect(provider.refresh(kept)).rejects.toThrow(ProviderUnavailable);
  });

  test.each<[string, Ill]>([
    ["with a page of its proxy", { status: 502, body: "<html>Bad gateway</html>" }],
    ["with a page and a good status", { status: 200, body: "<html>Maintenance</html>" }],
    ["that there is nothing", { status: 404, body: "" }],
    ["that we ask too often", { status: 429, contentType: "application/json", body: '{"error":"slow_down"}' }],
    ["that it is ill", { status: 500, contentType: "application/json", body: '{"error":"server_error"}' }],
    ["what is no answer", { status: 200, contentType: "application/json", body: '{"access_' }],
  ])("nobody's login ends because the provider answers %s", async (_, ill) => {
    const provider = ours(authentik);
    const first = await enter(provider);
    const kept = { refreshToken: first.refreshToken ?? new Secret("") };
    authentik.ills.set("/token", ill);
    await expect(provider.refresh(kept)).rejects.toThrow(ProviderUnavailable);
    authentik.ills.clear();
    expect(await provider.refresh(kept)).toMatchObject({ subject: "alice-id" });
  });

  test.each(["/userinfo", "/jwks"])("a refresh token that came just before the provider fell ill at %s is not lost", async (path) => {
    const first = await enter(ours(authentik));
    const provider = ours(authentik);
    await provider.begin(login);
    authentik.ills.set(path, { status: 503, body: "<html>later</html>" });
    const failed: unknown = await provider.refresh({ refreshToken: first.refreshToken ?? new Secret("") }).catch((error: unknown) => error);
    if (!(failed instanceof ProviderUnavailable)) throw new Error(`it did not fail as it should: ${String(failed)}`);
    expect(failed.refreshToken?.reveal()).toMatch(/./);
    expect(failed.refreshToken?.reveal()).not.toBe(first.refreshToken?.reveal());
    authentik.ills.clear();
    expect(await ours(authentik).refresh({ refreshToken: failed.refreshToken ?? new Secret("") })).toMatchObject({ subject: "alice-id" });
  });

  test("keys that are others by now are asked for, and no login fails", async () => {
    const provider = ours(authentik);
    await enter(provider);
    authentik.rotateKeys();
    expect(await enter(provider)).toMatchObject({ subject: "alice-id" });
  });

  test("a person is sent to log out there too", async () => {
    const provider = ours(authentik);
    const { idToken } = await enter(provider);
    const url = await provider.endSessionUrl({ postLogoutRedirectUri: "http://127.0.0.1:1/login", idTokenHint: idToken });
    expect(url?.href.split("?", 1)[0]).toBe(`${authentik.issuer}session/end`);
    expect(Object.fromEntries(url?.searchParams ?? [])).toMatchObject({
      post_logout_redirect_uri: "http://127.0.0.1:1/login",
      client_id: "registry",
      id_token_hint: idToken?.reveal(),
    });
  });

  test("no secret is in what goes wrong", async () => {
    const error: unknown = await enter(ours(authentik, { proof: new Secret("planted-secret") })).catch((thrown: unknown) => thrown);
    expect(String(error)).not.toContain("planted-secret");
  });
});

test("groups that only userinfo tells of are found there", async () => {
  await using provider = await startOpenidProvider({ people: new Map([["bob", { email: "bob@example.com", groups: ["quiet"] }]]), tellsInTokens: false });
  provider.visitor = "bob";
  const own = ours(provider);
  expect(await own.finish(await provider.visit(await own.begin(login)), login)).toMatchObject({ name: "bob@example.com", groups: ["quiet"] });
});

test("a client may show a private key in place of a secret", async () => {
  const { generateKeyPairSync } = await import("node:crypto");
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), use: "sig", alg: "ES256", kid: "ours" };
  await using provider = await startOpenidProvider({
    people: new Map([["bob", { email: "bob@example.com" }]]),
    client: { client_secret: undefined, token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } },
  });
  provider.visitor = "bob";
  const own = ours(provider, { proof: parseClientKey(privateKey.export({ type: "pkcs8", format: "pem" }).toString()) });
  expect(await own.finish(await provider.visit(await own.begin(login)), login)).toMatchObject({ subject: "bob" });
});

test("a key that no provider takes is refused when it is read, and not quoted", () => {
  expect(() => parseClientKey("-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----")).toThrow(/^holds no private key/);
});
