import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
import { Secret } from "../../src/oci/secret.ts";
import { azureProvider, type AzureContext } from "../../src/upstream/azure.ts";
import type { AzureOptions } from "../../src/upstream/upstream-options.ts";
import { startCanary } from "../support/canary.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startFakeAcr } from "../support/fake-acr.ts";
import { startFakeEntra, type FakeEntra } from "../support/fake-entra.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { unsignedJwt } from "../support/unsigned-jwt.ts";
import { failureOf } from "./asking.ts";
import { fetchOnce, startTokenCalls } from "./token-calls.ts";

const secret = "c1ient~Secret.value";
const exchange = "POST /oauth2/exchange";

let folder: TemporaryFolder;
/** One for all tests: the library remembers for good where it was, and the tokens of identities that it gave. */
let imds: FakeEntra;

beforeAll(async () => {
  imds = await startFakeEntra();
});

afterAll(() => imds.close());

/** A machine that knows nothing of Azure but its metadata service, and finds none of its tools. */
beforeEach(async () => {
  folder = await temporaryFolder();
  vi.stubEnv("HOME", folder.path);
  vi.stubEnv("PATH", folder.path);
  for (const name of Object.keys(process.env)) if (/^(AZURE|MSI|IDENTITY|IMDS)_|_proxy$/i.test(name)) vi.stubEnv(name, undefined);
  vi.stubEnv("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.url);
  imds.forget();
  imds.behave();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await folder[Symbol.asyncDispose]();
});

/** A registry that admits whoever the login service knows: a service principal with a secret, or with a cluster's token. */
async function setUp() {
  const openssl = process.env["PATH"];
  vi.stubEnv("PATH", "/usr/bin:/bin");
  const authority = await createTestAuthority(folder.path);
  const tls = await authority.issue();
  vi.stubEnv("PATH", openssl);
  const trustedBefore = getCACertificates("default");
  setDefaultCACertificates([...trustedBefore, authority.certificate]);
  const entra = await startFakeEntra({ tls });
  const acr = await startFakeAcr();
  const calls = startTokenCalls(acr.url);
  const clock = new TestClock();
  entra.servicePrincipals.push({ clientId: "app", secret, federatedTokens: ["cluster.token"] });
  entra.onIssue = (token) => acr.admits.add(token);
  const principal: AzureOptions = {
    identity: "service-principal",
    tenantId: entra.tenant,
    clientId: "app",
    clientSecret: new Secret(secret),
    authorityHost: entra.url,
  };
  return {
    entra,
    acr,
    clock,
    principal,
    who: `azure ${acr.host} as service principal app`,
    provider: (options: AzureOptions, more: Partial<AzureContext> = {}) => azureProvider(options, { ...calls, clock, ...more }),
    async [Symbol.asyncDispose]() {
      setDefaultCACertificates(trustedBefore);
      await calls[Symbol.asyncDispose]();
      await acr.close();
      await entra.close();
    },
  };
}

/** A registry that admits whom the instance metadata service vouches for. */
async function setUpMachine() {
  const acr = await startFakeAcr();
  const calls = startTokenCalls(acr.url);
  imds.onIssue = (token) => acr.admits.add(token);
  return {
    acr,
    provider: (options: AzureOptions) => azureProvider(options, calls),
    async [Symbol.asyncDispose]() {
      await calls[Symbol.asyncDispose]();
      await acr.close();
    },
  };
}

/** What was asked, without the library's own number of the request. */
function withoutId(requests: readonly string[]): readonly string[] {
  return requests.map((line) => line.replace(/\?client-request-id=.*/, ""));
}

function loginLines(tenant: string): readonly string[] {
  return [`GET /${tenant}/v2.0/.well-known/openid-configuration`, `POST /${tenant}/oauth2/v2.0/token`];
}

describe("a refresh token of an Azure registry", () => {
  test("comes for a service principal: its Entra token goes to the registry's own origin", async () => {
    await using set = await setUp();
    const { content, expiresAtMs } = await fetchOnce(set.provider(set.principal));
    expect(content).toEqual({ kind: "identity", token: expect.stringMatching(/^eyJ/) });
    expect(expiresAtMs).toBe(set.clock.now() + 3 * 3_600_000);
    expect(withoutId(set.entra.requests)).toEqual(loginLines(set.entra.tenant));
    expect(new URLSearchParams(set.entra.log.at(-1)?.body).get("scope")).toContain("https://containerregistry.azure.net/.default");
    expect(set.acr.requests).toEqual([exchange]);
    expect(Object.fromEntries(new URLSearchParams(set.acr.log[0]?.body))).toEqual({
      grant_type: "access_token",
      service: set.acr.host,
      tenant: set.entra.tenant,
      access_token: set.entra.issued[0],
    });
  });

  test("comes for a workload identity, and the cluster's token is read anew each time", async () => {
    await using set = await setUp();
    const federatedTokenFile = join(folder.path, "token");
    const { clientSecret: _, ...principal } = set.principal;
    const provider = set.provider({ ...principal, identity: "workload", federatedTokenFile });
    await writeFile(federatedTokenFile, "cluster.token\n");
    expect((await fetchOnce(provider)).content?.kind).toBe("identity");
    expect(new URLSearchParams(set.entra.log.at(-1)?.body).get("client_assertion")).toBe("cluster.token");
    set.entra.servicePrincipals[0] = { clientId: "app", federatedTokens: ["the.next"] };
    await writeFile(federatedTokenFile, "the.next");
    expect((await fetchOnce(provider)).content?.kind).toBe("identity");
    expect(set.acr.requests).toEqual([exchange, exchange]);
  });

  test.each<[AzureOptions, string]>([
    [{ identity: "workload" }, "by what the cluster puts into the environment"],
    [{}, "by the default chain"],
  ])("comes for a workload identity: %j, %s", async (options) => {
    await using set = await setUp();
    await writeFile(join(folder.path, "token"), "cluster.token");
    vi.stubEnv("AZURE_TENANT_ID", set.entra.tenant);
    vi.stubEnv("AZURE_CLIENT_ID", "app");
    vi.stubEnv("AZURE_FEDERATED_TOKEN_FILE", join(folder.path, "token"));
    const { authorityHost } = set.principal;
    expect((await fetchOnce(set.provider({ ...options, authorityHost }))).content?.kind).toBe("identity");
    expect(withoutId(set.entra.requests)).toEqual(loginLines(set.entra.tenant));
  });

  test("comes for the machine's own identity, and for one that is assigned to it", async () => {
    await using set = await setUpMachine();
    imds.managedIdentities.add("11-22");
    expect((await fetchOnce(set.provider({ identity: "managed" }))).content?.kind).toBe("identity");
    expect((await fetchOnce(set.provider({ identity: "managed", clientId: "11-22" }))).content?.kind).toBe("identity");
    const line = "GET /metadata/identity/oauth2/token/?api-version=2018-02-01&resource=https%3A%2F%2Fcontainerregistry.azure.net";
    expect(imds.requests).toEqual([line, `${line}&client_id=11-22`]);
    expect(imds.log[0]?.headers["metadata"]).toBe("true");
    expect(new URLSearchParams(set.acr.log[0]?.body).get("tenant")).toBe(imds.tenant);
  });

  test("each fetch of a service principal asks anew: nothing is held here", async () => {
    await using set = await setUp();
    const provider = set.provider(set.principal);
    await fetchOnce(provider);
    await fetchOnce(provider);
    expect(set.entra.issued).toHaveLength(2);
    expect(set.acr.requests).toEqual([exchange, exchange]);
  });

  test.each([
    ["says it lives an hour, by a clock that is a day ahead", { iat: 2_000_086_400, exp: 2_000_090_000 }, 3_600_000],
    ["says nothing of its life", {}, 3 * 3_600_000],
    ["ends before it begins", { iat: 2_000_000_000, exp: 1_999_999_999 }, 3 * 3_600_000],
  ])("that %s", async (_, claims, lifeMs) => {
    await using set = await setUp();
    set.acr.when({ kind: "token" }, { status: 200, body: JSON.stringify({ refresh_token: unsignedJwt(claims) }) });
    expect((await fetchOnce(set.provider(set.principal))).expiresAtMs).toBe(set.clock.now() + lifeMs);
  });
});

describe("Azure's login service refuses", () => {
  test.each([
    [
      { clientSecret: new Secret("wr0ng") },
      "AADSTS7000215: Invalid client secret provided. Ensure the secret",
      "clientSecret is wrong (its value is wanted, not its id)",
    ],
    [{ clientId: "other" }, "AADSTS700016: Application with identifier 'other' was not found", "clientId is unknown in this tenant"],
    [{ tenantId: "99999999-0000-0000-0000-000000000000" }, "(AADSTS90002)", "tenantId is unknown"],
  ] as const)("%j: one line says what to mend", async (options, said, cure) => {
    await using set = await setUp();
    const { message, cause } = await failureOf(fetchOnce(set.provider({ ...set.principal, ...options })), "DENIED");
    expect(message).toContain(`azure ${set.acr.host} as service principal `);
    expect(message).toContain(said);
    expect(message).toContain(cure);
    expect(message).not.toMatch(/\n|wr0ng|Trace ID|Correlation/);
    expect(cause).toBeUndefined();
    expect(set.acr.requests).toEqual([]);
  });

  test("a token that no federated credential fits", async () => {
    await using set = await setUp();
    await writeFile(join(folder.path, "token"), "another.cluster");
    const options: AzureOptions = { ...set.principal, identity: "workload", federatedTokenFile: join(folder.path, "token") };
    const { message } = await failureOf(fetchOnce(set.provider(options)), "DENIED");
    expect(message).toContain("AADSTS700213");
    expect(message).toContain("check its issuer, subject and audience");
    expect(message).not.toContain("another.cluster");
  });

  test.each([
    ["a secret", { identity: "service-principal", clientSecret: undefined }, "clientSecret is a required parameter"],
    ["a tenant", { identity: "service-principal", tenantId: undefined }, "tenantId is a required parameter"],
    ["a client", { identity: "workload", clientId: undefined }, "clientId is a required parameter"],
    ["the token's file", { identity: "workload", federatedTokenFile: "/nothing/here" }, "federatedTokenFile /nothing/here: there is no such file"],
    ["all of it", { identity: undefined, tenantId: undefined, clientId: "nobody" }, "nothing in Azure's default chain says who we are here"],
  ] as const)("nobody: %s is missing, and that is said", async (_, options, said) => {
    await using set = await setUp();
    const { message } = await failureOf(fetchOnce(set.provider({ ...set.principal, ...options })), "DENIED");
    expect(message).toContain(said);
    expect(message).not.toContain("\n");
  });

  test("a machine without that identity", async () => {
    await using set = await setUpMachine();
    const { message } = await failureOf(fetchOnce(set.provider({ identity: "managed", clientId: "44-55" })), "DENIED");
    expect(message).toContain(`azure ${set.acr.host} as managed identity 44-55: `);
    expect(message).toContain("Identity not found");
    expect(message).toContain("is the identity 44-55 assigned to this machine?");
    expect(set.acr.requests).toEqual([]);
  });
});

describe("Azure's login service is away", () => {
  test.each([
    ["500", { status: 500, body: "oh" }, "Azure answered 500"],
    ["busy", { status: 400, body: JSON.stringify({ error: "x", error_description: "AADSTS90033: A transient error has occurred." }) }, "is busy (AADSTS90033)"],
    ["a page", { body: "<html>" }, "no usable answer from https://127.0.0.1"],
    ["no token", { body: "{}" }, "Response had no"],
    ["a cut connection", { drop: true }, "no usable answer from https://127.0.0.1"],
  ] as const)("%s is an outage", async (_, quirk, said) => {
    await using set = await setUp();
    set.entra.when({ kind: "token" }, quirk);
    const { message } = await failureOf(fetchOnce(set.provider(set.principal)), "UPSTREAM_UNAVAILABLE");
    expect(message).toContain(said);
    expect(message).not.toMatch(/\n|Headers:/);
    expect(set.acr.requests).toEqual([]);
  });

  test("silence ends with the caller's deadline, the request with it", async () => {
    await using set = await setUp();
    set.entra.when({ kind: "token" }, { silent: "before headers" });
    const deadline = new AbortController();
    const work = failureOf(set.provider(set.principal).fetch(deadline.signal), "UPSTREAM_TIMEOUT");
    await set.entra.waitForRequests(2);
    deadline.abort(new OciError("UPSTREAM_TIMEOUT", "too late"));
    expect((await work).message).toBe("too late");
    await set.entra.waitFor(() => set.entra.connections.open === 0, "the connection's end");
  });

  test.each([
    ["is ill", { status: 500, body: "oh" }, "Azure answered 500"],
    ["is being updated", { status: 404, body: "not now" }, "Azure answered 404"],
    ["cuts the connection", { drop: true }, "no usable answer from the instance metadata service; this machine may have none"],
  ] as const)("a metadata service that %s is an outage", async (name, quirk, said) => {
    await using set = await setUpMachine();
    imds.when({}, quirk);
    const options: AzureOptions = { identity: "managed", clientId: name };
    expect((await failureOf(fetchOnce(set.provider(options)), "UPSTREAM_UNAVAILABLE")).message).toContain(said);
    expect(set.acr.requests).toEqual([]);
  });

  test("a metadata service that is silent ends with the caller's deadline", async () => {
    await using set = await setUpMachine();
    imds.when({}, { silent: "before headers" });
    const deadline = new AbortController();
    const work = failureOf(set.provider({ identity: "managed", clientId: "silent" }).fetch(deadline.signal), "UPSTREAM_TIMEOUT");
    await imds.waitForRequests(1);
    deadline.abort(new OciError("UPSTREAM_TIMEOUT", "too late"));
    expect((await work).message).toBe("too late");
  });
});

describe("an Azure registry", () => {
  test("that refuses the identity: one line says what to check, without the token", async () => {
    await using set = await setUp();
    set.entra.onIssue = () => {};
    const { message } = await failureOf(fetchOnce(set.provider(set.principal)), "DENIED");
    expect(message).toBe(
      `${set.who}: ${set.acr.host} answered 401 (UNAUTHORIZED: authentication required, visit https://aka.ms/acr/authorization); ` +
        "is it an Azure registry of this tenant, has the identity the role AcrPull, and do its network rules let us in?",
    );
  });

  test("that repeats the token it was sent: it is not in the message", async () => {
    await using set = await setUp();
    set.entra.onIssue = (token) =>
      set.acr.when({ kind: "token" }, { status: 403, body: JSON.stringify({ errors: [{ code: "DENIED", message: `no ${token}!` }] }) });
    const { message } = await failureOf(fetchOnce(set.provider(set.principal)), "DENIED");
    expect(message).toContain("(DENIED: no ***!)");
    expect(message).not.toContain("eyJ");
  });

  test.each([
    ["500", { status: 500 }, "answered 500"],
    ["a page", { body: "<html>" }, "it is no JSON object"],
    ["no token", { body: "{}" }, "no refresh_token in it"],
    ["a cut connection", { drop: true }, "connection closed by"],
  ] as const)("%s at the exchange is an outage", async (_, quirk, said) => {
    await using set = await setUp();
    set.acr.when({ kind: "token" }, quirk);
    const { message } = await failureOf(fetchOnce(set.provider(set.principal)), "UPSTREAM_UNAVAILABLE");
    expect(message).toContain(set.who);
    expect(message).toContain(said);
    expect(set.acr.requests).toEqual([exchange]);
  });

  test("that leads elsewhere with the exchange: the Entra token does not follow", async () => {
    await using set = await setUp();
    await using canary = await startCanary();
    set.acr.when({ kind: "token" }, { redirectTo: `http://${canary.host}/oauth2/exchange`, redirectStatus: 308 });
    expect((await failureOf(fetchOnce(set.provider(set.principal)), "DENIED")).message).toContain(`leads to ${canary.host}, where no credential follows`);
    expect(canary.connections).toBe(0);
  });
});

test("without Microsoft's library, the error says how to get it", async () => {
  await using set = await setUp();
  const load = () => import("@azure/identity-that-is-not-here" as "@azure/identity");
  expect((await failureOf(fetchOnce(set.provider(set.principal, { load })), "DENIED")).message).toBe(
    `${set.who}: the package @azure/identity is not installed beside ociregistry; run: npm install @azure/identity`,
  );
});
