import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Secret } from "../../src/oci/secret.ts";
import type { CredentialOptions } from "../../src/upstream/upstream-options.ts";
import { startCanary } from "../support/canary.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startFakeAcr } from "../support/fake-acr.ts";
import { startFakeEntra } from "../support/fake-entra.ts";
import { startFakeGoogle } from "../support/fake-google.ts";
import { startFakeOauth2 } from "../support/fake-oauth2.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

const manifest = "GET /v2/team/app/manifests/latest";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** What clients hear, and behind it what the log says. */
function told(error: Error): string {
  return `${error.message}: ${error.cause instanceof Error ? error.cause.message : ""}`;
}

/** A login service that knows one service principal, and a registry of its tenant that holds an image. */
async function withAzure() {
  const folder = await temporaryFolder();
  const authority = await createTestAuthority(folder.path);
  const trustedBefore = getCACertificates("default");
  setDefaultCACertificates([...trustedBefore, authority.certificate]);
  const entra = await startFakeEntra({ tls: await authority.issue() });
  const acr = await startFakeAcr();
  acr.putImage("team/app", "latest");
  entra.onIssue = (token) => acr.admits.add(token);
  entra.servicePrincipals.push({ clientId: "app", secret: "s3cret" });
  const credential: CredentialOptions = {
    kind: "azure",
    identity: "service-principal",
    tenantId: entra.tenant,
    clientId: "app",
    clientSecret: new Secret("s3cret"),
    authorityHost: entra.url,
  };
  return {
    entra,
    acr,
    credential,
    async [Symbol.asyncDispose]() {
      setDefaultCACertificates(trustedBefore);
      await acr.close();
      await entra.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

describe("a private image of an Azure registry", () => {
  test("is pulled with a refresh token, which goes by POST to the registry's own token service", async () => {
    await using set = await withAzure();
    await using upstreams = startUpstreams([listedAs(set.acr, { auth: { credential: set.credential } })]);
    await set.acr.waitForRequests(1);
    await upstreams.getManifest(repositoryAt(set.acr.host), reference(), call());
    await upstreams.getManifest(repositoryAt(set.acr.host), reference(), call());
    expect(set.acr.requests).toEqual(["POST /oauth2/exchange", manifest, "POST /oauth2/token", manifest, manifest]);
    expect(Object.keys(Object.fromEntries(new URLSearchParams(set.acr.log[2]?.body))).toSorted()).toEqual([
      "client_id",
      "grant_type",
      "refresh_token",
      "scope",
      "service",
    ]);
    expect(set.entra.issued).toHaveLength(1);
  });

  test("is pulled on when the registry ends the refresh token: another is fetched, once", async () => {
    await using set = await withAzure();
    await using upstreams = startUpstreams([listedAs(set.acr, { auth: { credential: set.credential } })]);
    await upstreams.getManifest(repositoryAt(set.acr.host), reference(), call());
    set.acr.forget();
    set.acr.revoke();
    await upstreams.getManifest(repositoryAt(set.acr.host), reference(), call());
    expect(set.acr.requests).toEqual([
      manifest,
      "POST /oauth2/token",
      "GET /oauth2/token?service=fake&scope=repository%3Ateam%2Fapp%3Apull",
      "POST /oauth2/exchange",
      "POST /oauth2/token",
      manifest,
    ]);
    expect(set.entra.issued).toHaveLength(2);
  });

  test("is refused in one line when the secret is wrong, and the registry hears nothing", async () => {
    await using set = await withAzure();
    const credential = { ...set.credential, clientSecret: new Secret("wr0ng") };
    await using upstreams = startUpstreams([listedAs(set.acr, { auth: { credential } })]);
    const error = await failureOf(upstreams.getManifest(repositoryAt(set.acr.host), reference(), call()), "DENIED");
    expect(told(error)).toContain("clientSecret is wrong");
    expect(told(error)).not.toContain("wr0ng");
    expect(set.acr.requests).toEqual([]);
  });
});

describe("a private image of Google's", () => {
  test("is pulled with the machine's own access token, as a password at the registry's token service", async () => {
    await using google = await startFakeGoogle();
    vi.stubEnv("GCE_METADATA_HOST", google.host);
    vi.stubEnv("HOME", "/nowhere");
    await using fake = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    tokens.users.set("oauth2accesstoken", "ya29.fake-1");
    fake.authentication = { kind: "bearer", tokens };
    tokens.privateRepositories.add("team/app");
    fake.putImage("team/app", "latest");
    await using upstreams = startUpstreams([listedAs(fake, { auth: { credential: { kind: "gcp", use: "token" }, realmHosts: [tokens.host] } })]);
    await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(fake.requests).toEqual([manifest, manifest]);
    expect(tokens.requests).toEqual(["GET /token?service=fake&scope=repository%3Ateam%2Fapp%3Apull"]);
    expect(google.requests).toHaveLength(1);
  });
});

describe("a private image behind an OAuth2 token endpoint", () => {
  async function setUp() {
    const folder = await temporaryFolder();
    const idp = await startFakeOauth2();
    const fake = await startFakeUpstream();
    const assertionFile = join(folder.path, "token");
    await writeFile(assertionFile, "the.jwt");
    idp.assertions.add("the.jwt");
    fake.putImage("team/app", "latest");
    fake.authentication = { kind: "basic", name: "robot", password: "access-1" };
    const credential: CredentialOptions = { kind: "oauth2", tokenUrl: idp.tokenUrl, grant: "jwt-bearer", assertionFile, use: "basic", user: "robot" };
    return {
      idp,
      fake,
      credential,
      async [Symbol.asyncDispose]() {
        await fake.close();
        await idp.close();
        await folder[Symbol.asyncDispose]();
      },
    };
  }

  test("is pulled with the token as a password", async () => {
    await using set = await setUp();
    await using upstreams = startUpstreams([listedAs(set.fake, { auth: { credential: set.credential } })]);
    await upstreams.getManifest(repositoryAt(set.fake.host), reference(), call());
    expect(set.fake.requests).toEqual([manifest, manifest]);
    expect(set.idp.requests).toEqual(["POST /realms/corp/token"]);
  });

  test("is shown the token unasked, as a bearer's", async () => {
    await using set = await setUp();
    set.fake.authentication = { kind: "none" };
    await using upstreams = startUpstreams([listedAs(set.fake, { auth: { credential: { ...set.credential, use: "bearer" } } })]);
    await upstreams.getManifest(repositoryAt(set.fake.host), reference(), call());
    expect(set.fake.log.map(({ headers }) => headers.authorization)).toEqual(["Bearer access-1"]);
  });

  test("stays where it is when the registry leads to a stranger: not a byte of the token follows", async () => {
    await using set = await setUp();
    await using canary = await startCanary();
    set.fake.authentication = { kind: "none" };
    set.fake.when({}, { status: 401, headers: { "www-authenticate": `Bearer realm="http://${canary.host}/token",service="x"` } });
    await using upstreams = startUpstreams([listedAs(set.fake, { auth: { credential: set.credential } })]);
    await failureOf(upstreams.getManifest(repositoryAt(set.fake.host), reference(), call()));
    expect(canary.received).toBe("");
    expect(set.idp.requests).toEqual(["POST /realms/corp/token"]);
  });

  test("is pulled by the registry that trusts the endpoint's authority, whatever another with the same options trusts", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    await using idp = await startFakeOauth2({ tls: await authority.issue() });
    await using set = await setUp();
    await using strict = await startFakeUpstream();
    idp.assertions.add("the.jwt");
    const auth = { credential: { ...set.credential, tokenUrl: idp.tokenUrl } };
    await using upstreams = startUpstreams([listedAs(strict, { auth }), listedAs(set.fake, { auth, tls: { ca: authority.certificate } })]);
    await upstreams.getManifest(repositoryAt(set.fake.host), reference(), call());
    const error = await failureOf(upstreams.getManifest(repositoryAt(strict.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(told(error)).toContain("unknown authority");
  });

  test("is an outage while the endpoint is ill, and the registry hears nothing", async () => {
    await using set = await setUp();
    set.idp.when({}, { status: 500 });
    await using upstreams = startUpstreams([listedAs(set.fake, { auth: { credential: set.credential } })]);
    const error = await failureOf(upstreams.getManifest(repositoryAt(set.fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(told(error)).toContain(`${set.idp.host} answered 500`);
    expect(set.fake.requests).toEqual([]);
  });
});
