/** `docker login -p ACCESS-TOKEN`: what docker keeps goes on when that token has ended, for as long as the provider stands by the person. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { join } from "node:path";
import { unheardMsMax } from "../../src/auth/accounts.ts";
import { basicHeader } from "../../src/auth/basic.ts";
import { FileRecords } from "../../src/auth/file-records.ts";
import { Discovery } from "../../src/auth/openid/discovery.ts";
import { LoginRefused, ProviderUnavailable } from "../../src/auth/openid/provider.ts";
import { ProviderTokens } from "../../src/auth/openid/provider-tokens.ts";
import { TokenLogins } from "../../src/auth/openid/token-logins.ts";
import { ProviderGrants } from "../../src/auth/provider-grants.ts";
import { SealingKeys } from "../../src/auth/sealing-keys.ts";
import type { Grants } from "../../src/auth/token-service.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { startFakeIssuer, type FakeIssuer } from "../support/fake-issuer.ts";
import { outboundFetch } from "../support/outbound-fetch.ts";
import { ellipticKey, jwkOf, signToken } from "../support/signed-tokens.ts";
import { StrictProvider } from "../support/strict-provider.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { passwordLine, startTokenService, type OwnTokenService } from "../support/token-service.ts";
import { unsignedClaims } from "../support/unsigned-jwt.ts";

const key = ellipticKey();
const groupsTtlMs = 900_000;
const scope = "repository:team/app:pull";
const opened = [{ type: "repository", name: "team/app", actions: ["pull"] }];
/** For those in `dev`. */
const grants: Grants = { admitsAnonymous: false, allowsCatalog: () => true, allows: (principal) => principal?.groups.includes("dev") === true };

let folder: TemporaryFolder;
let clock: TestClock;
let issuer: FakeIssuer;
let provider: StrictProvider;
let providerGrants: ProviderGrants;
let service: OwnTokenService;

beforeEach(async () => {
  folder = await temporaryFolder();
  clock = new TestClock();
  issuer = await startFakeIssuer();
  issuer.keys = [jwkOf(key, { kid: "one" })];
  provider = new StrictProvider();
  provider.groups = ["dev"];
  const background = new Background(silentLog);
  const parts = { fetch: outboundFetch, clock, background, log: silentLog };
  const discovery = new Discovery({ name: "oidc", issuer: issuer.issuer, metadataUrl: undefined, ...parts });
  const rules = {
    claims: { username: "preferred_username", groups: "groups" },
    requireVerifiedEmail: false,
    hostedDomain: undefined,
    users: new Map<string, string>(),
    isOfFile: () => false,
  };
  const tokens = new ProviderTokens({ name: "oidc", clientId: "registry", discovery, rules, userinfoCheck: "never", ...parts });
  const records = new FileRecords({ folder: join(folder.path, "records"), clock, background });
  const keys = new SealingKeys({ given: undefined, records, clock });
  providerGrants = new ProviderGrants({ providers: [provider], records, keys, groupsTtlMs, onWord: () => {}, clock, log: silentLog });
  const telling = [new TokenLogins({ providers: [tokens], onLogin: () => {}, log: silentLog })];
  service = await startTokenService({ folder: folder.path, grants, passwords: [passwordLine("alice", "secret")], clock, telling, providerGrants });
});

afterEach(async () => {
  await service[Symbol.asyncDispose]();
  await issuer.close();
  await folder[Symbol.asyncDispose]();
});

function accessToken(): string {
  const nowSeconds = Math.floor(clock.now() / 1_000);
  const claims = { iss: issuer.issuer, aud: "registry", sub: "1", iat: nowSeconds, exp: nowSeconds + 3_600, preferred_username: "alice", groups: ["dev"] };
  return signToken(key, claims, { kid: "one" });
}

interface Bought {
  readonly status: number;
  /** What the token opens. */
  readonly access: unknown;
  readonly refreshToken: string | undefined;
}

async function read(response: Response): Promise<Bought> {
  const body = (await response.json()) as Record<string, unknown>; // Every answer of ours is an object.
  const refreshToken = body["refresh_token"];
  return {
    status: response.status,
    access: unsignedClaims(String(body["token"]))?.["access"],
    refreshToken: typeof refreshToken === "string" ? refreshToken : undefined,
  };
}

/** As `docker login` asks. */
async function login(password: string, user = "alice"): Promise<Bought> {
  const headers = { authorization: basicHeader({ user, password }) };
  return await read(await fetch(`${service.realm}?account=${user}&client_id=docker&offline_token=true&service=registry.test`, { headers }));
}

/** As docker does when it pulls, with what it kept of the login. */
async function pull(refreshToken: string | undefined): Promise<Bought> {
  const form = { grant_type: "refresh_token", refresh_token: refreshToken ?? "", client_id: "docker", service: "registry.test", scope };
  return await read(await fetch(service.realm, { method: "POST", body: new URLSearchParams(form) }));
}

describe("who has signed in with a browser once, and logs in by an access token,", () => {
  test("pulls for a day and a half, though the token ended within the hour, and the provider is asked once in a quarter of an hour", async () => {
    await providerGrants.keep(provider.login("first"));
    const { status, refreshToken } = await login(accessToken());
    expect([status, refreshToken]).toEqual([200, expect.stringMatching(/^ocr_/)]);
    for (let hour = 0; hour < 36; hour++) {
      for (let count = 0; count < 3; count++) expect(await pull(refreshToken)).toMatchObject({ status: 200, access: opened });
      await clock.advance(3_600_000);
    }
    expect(provider.shown).toHaveLength(35);
  });

  test("opens nothing within the time of a group that was taken away", async () => {
    await providerGrants.keep(provider.login("first"));
    const { refreshToken } = await login(accessToken());
    provider.groups = ["guests"];
    expect((await pull(refreshToken)).access).toEqual(opened);
    await clock.advance(groupsTtlMs);
    expect(await pull(refreshToken)).toMatchObject({ status: 200, access: [] });
  });

  test.each([
    ["is disabled there", () => (provider.failure = new LoginRefused("disabled"))],
    ["is signed out there of all logins", () => provider.good.clear()],
    ["has another name there", () => (provider.person = "bob")],
  ])("is refused within that time once he %s, and stays so when he is back", async (_, change) => {
    await providerGrants.keep(provider.login("first"));
    const { refreshToken } = await login(accessToken());
    change();
    await clock.advance(groupsTtlMs);
    expect((await pull(refreshToken)).status).toBe(401);
    Object.assign(provider, { failure: undefined, person: "alice" });
    await providerGrants.keep(provider.login("second"));
    expect((await pull(refreshToken)).status).toBe(401);
    expect((await pull((await login(accessToken())).refreshToken)).status).toBe(200);
  });

  test("pulls while the provider is away, for a day; then nobody can tell, until it is there again", async () => {
    await providerGrants.keep(provider.login("first"));
    const { refreshToken } = await login(accessToken());
    provider.failure = new ProviderUnavailable("oidc", "no answer");
    await clock.advance(unheardMsMax);
    expect((await pull(refreshToken)).status).toBe(200);
    await clock.advance(60_000);
    expect((await pull(refreshToken)).status).toBe(503);
    provider.failure = undefined;
    await clock.advance(60_000);
    expect(await pull(refreshToken)).toMatchObject({ status: 200, access: opened });
  });

  test("goes on as the provider's, whatever becomes of a line of that name in the file of passwords", async () => {
    await providerGrants.keep(provider.login("first"));
    const [ofProvider, ofFile] = [await login(accessToken()), await login("secret")];
    service.htpasswd.reload(passwordLine("alice", "another"));
    expect([(await pull(ofProvider.refreshToken)).status, (await pull(ofFile.refreshToken)).status]).toEqual([200, 401]);
  });
});

test("who has never signed in with a browser is given nothing that lasts: the access token itself is shown again until it ends", async () => {
  const token = accessToken();
  expect(await login(token)).toMatchObject({ status: 200, refreshToken: undefined });
  await clock.advance(3_600_000);
  expect((await login(token)).status).toBe(200);
  await clock.advance(61_000);
  expect((await login(token)).status).toBe(401);
});
