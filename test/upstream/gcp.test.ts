import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { OciError } from "../../src/oci/errors.ts";
import { silentLog } from "../../src/oci/log.ts";
import { gcpProvider } from "../../src/upstream/gcp.ts";
import { gcpJsonKeySource } from "../../src/upstream/gcp-json-key.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { newServiceAccountKey, startFakeGoogle } from "../support/fake-google.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { failureOf } from "./asking.ts";
import { fetchOnce } from "./token-calls.ts";

const metadataLine =
  "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform.read-only";
const account = "puller@project.iam.gserviceaccount.com";
const neverAborted = new AbortController().signal;

let folder: TemporaryFolder;

/** A machine that knows nothing of Google: a home of its own, no proxy, nothing in the environment. */
beforeEach(async () => {
  folder = await temporaryFolder();
  vi.stubEnv("HOME", folder.path);
  for (const name of [
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
    "GCE_METADATA_IP",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
  ])
    vi.stubEnv(name, undefined);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await folder[Symbol.asyncDispose]();
});

async function writeKey(name: string, content: unknown): Promise<string> {
  const path = join(folder.path, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

async function withMetadataServer() {
  const google = await startFakeGoogle();
  vi.stubEnv("GCE_METADATA_HOST", google.host);
  return google;
}

/** Google's own token endpoint, whose name the library has built in: a proxy leads there, and its certificate is trusted. */
async function withTokenEndpoint() {
  const authority = await createTestAuthority(folder.path);
  const trustedBefore = getCACertificates("default");
  setDefaultCACertificates([...trustedBefore, authority.certificate]);
  const google = await startFakeGoogle({ tls: await authority.issue({ names: ["oauth2.googleapis.com"] }) });
  const proxy = await startConnectProxy(google.port);
  vi.stubEnv("HTTPS_PROXY", proxy.url);
  return {
    google,
    proxy,
    async [Symbol.asyncDispose]() {
      setDefaultCACertificates(trustedBefore);
      await proxy[Symbol.asyncDispose]();
      await google.close();
    },
  };
}

describe("on a machine of Google's", () => {
  test("the metadata server gives a token, and is asked for nothing else", async () => {
    await using google = await withMetadataServer();
    google.expiresInSeconds = 1_200;
    const beforeMs = Date.now();
    const { content, expiresAtMs = 0 } = await fetchOnce(gcpProvider({}));
    expect(content).toEqual({ kind: "basic", user: "oauth2accesstoken", password: "ya29.fake-1" });
    expect(expiresAtMs).toBeGreaterThanOrEqual(beforeMs + 1_200_000);
    expect(expiresAtMs).toBeLessThanOrEqual(Date.now() + 1_200_000);
    expect(google.requests).toEqual([metadataLine]);
    expect(google.log[0]?.headers["metadata-flavor"]).toBe("Google");
  });

  test("each fetch asks anew: nothing is held here", async () => {
    await using google = await withMetadataServer();
    const provider = gcpProvider({});
    await fetchOnce(provider);
    expect((await fetchOnce(provider)).content).toMatchObject({ password: "ya29.fake-2" });
    expect(google.requests).toEqual([metadataLine, metadataLine]);
  });

  test.each([
    [404, "refused with 404 (not found); give this machine or pod a service account"],
    [403, "refused with 403 (not found); give this machine or pod a service account"],
  ])("that has no service account, %i says what is missing", async (status, said) => {
    await using google = await withMetadataServer();
    google.when({}, { status, body: "not found" });
    const { message } = await failureOf(fetchOnce(gcpProvider({})), "DENIED");
    expect(message).toContain(said);
    expect(message).toContain("outside Google Cloud give keyFile, or set GOOGLE_APPLICATION_CREDENTIALS");
    expect(google.requests).toEqual([metadataLine]);
  });

  test.each([
    ["is ill", { status: 500 }, "answered 500"],
    ["answers a page", { body: "<html>" }, "an answer that makes no sense"],
    ["answers without a token", { body: "{}" }, "there is no access token in the answer"],
    ["is none of Google's", { headers: { "metadata-flavor": undefined } }, "incorrect Metadata-Flavor header"],
    ["cuts the connection", { drop: true }, "no usable answer (socket hang up)"],
  ] as const)("whose metadata server %s, it is an outage", async (_, quirk, said) => {
    await using google = await withMetadataServer();
    google.when({}, quirk);
    const { message } = await failureOf(fetchOnce(gcpProvider({})), "UPSTREAM_UNAVAILABLE");
    expect(message).toContain("gcp, Google's default credentials: ");
    expect(message).toContain(said);
  });

  test("whose metadata server is silent, the caller's deadline ends it, and a hint says what a machine elsewhere needs", async () => {
    await using google = await withMetadataServer();
    google.when({}, { silent: "before headers" });
    const deadline = new AbortController();
    const work = failureOf(gcpProvider({}).fetch(deadline.signal), "UPSTREAM_TIMEOUT");
    await google.waitForRequests(1);
    deadline.abort(new OciError("UPSTREAM_TIMEOUT", "too late"));
    expect((await work).message).toContain("outside Google Cloud give keyFile");
  });

  test("a caller who leaves hears their own reason", async () => {
    await using google = await withMetadataServer();
    google.when({}, { silent: "before headers" });
    const caller = new AbortController();
    const work = failureOf(gcpProvider({}).fetch(caller.signal), "OVERLOADED");
    await google.waitForRequests(1);
    caller.abort(new OciError("OVERLOADED", "shutting down"));
    expect((await work).message).toBe("shutting down");
  });
});

describe("with the key of a service account", () => {
  test("a signed JWT buys a token at Google's endpoint", async () => {
    await using set = await withTokenEndpoint();
    const { publicKey, file } = newServiceAccountKey(account);
    set.google.serviceAccounts.set(account, publicKey);
    const keyFile = await writeKey("key.json", file);
    const { content, expiresAtMs = 0 } = await fetchOnce(gcpProvider({ keyFile }));
    expect(content).toEqual({ kind: "basic", user: "oauth2accesstoken", password: "ya29.fake-1" });
    expect(expiresAtMs - Date.now()).toBeGreaterThan(3_500_000);
    expect(set.google.requests).toEqual(["POST /token"]);
    expect(set.proxy.targets).toEqual(["oauth2.googleapis.com:443"]);
  });

  test("so it does when GOOGLE_APPLICATION_CREDENTIALS names the file, and when gcloud wrote it", async () => {
    await using set = await withTokenEndpoint();
    const { publicKey, file } = newServiceAccountKey(account);
    set.google.serviceAccounts.set(account, publicKey);
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", await writeKey("key.json", file));
    expect((await fetchOnce(gcpProvider({}))).content).toMatchObject({ password: "ya29.fake-1" });
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", undefined);
    await mkdir(join(folder.path, ".config/gcloud"), { recursive: true });
    await writeKey(".config/gcloud/application_default_credentials.json", file);
    expect((await fetchOnce(gcpProvider({}))).content).toMatchObject({ password: "ya29.fake-2" });
    expect(set.google.requests).toEqual(["POST /token", "POST /token"]);
  });

  test("that Google no longer knows, one line says so", async () => {
    await using set = await withTokenEndpoint();
    set.google.serviceAccounts.set(account, newServiceAccountKey(account).publicKey);
    const keyFile = await writeKey("key.json", newServiceAccountKey(account).file);
    const { message, cause } = await failureOf(fetchOnce(gcpProvider({ keyFile })), "DENIED");
    expect(message).toBe(
      `gcp, key file ${keyFile}: refused with 400 (invalid_grant: Invalid JWT Signature); was the key deleted, its account disabled, or is this machine's clock wrong?`,
    );
    expect(cause).toBeUndefined();
    expect(set.google.requests).toEqual(["POST /token"]);
  });

  test.each([
    ["is ill", { status: 503 }, "answered 503", 2],
    ["answers a page", { body: "<html>" }, "there is no access token in the answer", 1],
    ["cuts the connection", { drop: true }, "socket hang up", 2],
  ] as const)("and an endpoint that %s, it is an outage", async (_, quirk, said, requests) => {
    await using set = await withTokenEndpoint();
    const { publicKey, file } = newServiceAccountKey(account);
    set.google.serviceAccounts.set(account, publicKey);
    set.google.when({}, quirk);
    const keyFile = await writeKey("key.json", file);
    expect((await failureOf(fetchOnce(gcpProvider({ keyFile })), "UPSTREAM_UNAVAILABLE")).message).toContain(said);
    expect(set.google.requests).toHaveLength(requests);
  });

  test("and an endpoint that is silent, the deadline ends the request itself", async () => {
    await using set = await withTokenEndpoint();
    set.google.when({}, { silent: "before headers" });
    const keyFile = await writeKey("key.json", newServiceAccountKey(account).file);
    const deadline = new AbortController();
    const work = failureOf(gcpProvider({ keyFile }).fetch(deadline.signal), "UPSTREAM_TIMEOUT");
    await set.google.waitForRequests(1);
    deadline.abort(new OciError("UPSTREAM_TIMEOUT", "too late"));
    expect((await work).message).toBe("too late");
    await set.google.waitFor(() => set.google.connections.open === 0, "the connection's end");
  });
});

describe("with workload identity federation", () => {
  async function externalAccount(tokenUrl: string, file: string): Promise<string> {
    return writeKey("federation.json", {
      type: "external_account",
      audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_url: tokenUrl,
      credential_source: { file },
    });
  }

  test("a token of the cluster is exchanged for one of Google's, without a word on stderr", async () => {
    await using google = await startFakeGoogle();
    google.federatedTokens.add("cluster.token");
    const warn = vi.spyOn(console, "warn");
    const keyFile = await externalAccount(`${google.url}/v1/token`, await writeKey("cluster-token", "cluster.token"));
    expect((await fetchOnce(gcpProvider({ keyFile }))).content).toEqual({ kind: "basic", user: "oauth2accesstoken", password: "ya29.fake-1" });
    expect(google.requests).toEqual(["POST /v1/token"]);
    expect(Object.fromEntries(new URLSearchParams(google.log[0]?.body))).toMatchObject({
      subject_token: "cluster.token",
      scope: "https://www.googleapis.com/auth/cloud-platform.read-only",
    });
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test("that Google refuses, or whose token is not there, one line says so", async () => {
    await using google = await startFakeGoogle();
    const present = await externalAccount(`${google.url}/v1/token`, await writeKey("cluster-token", "cluster.token"));
    const refused = await failureOf(fetchOnce(gcpProvider({ keyFile: present })), "DENIED");
    expect(refused.message).toContain("The given credential is rejected by the attribute condition");
    expect(refused.message).not.toContain("cluster.token");
    const absent = await externalAccount(`${google.url}/v1/token`, join(folder.path, "nothing"));
    expect((await failureOf(fetchOnce(gcpProvider({ keyFile: absent })), "DENIED")).message).toContain(`The file at ${folder.path}/nothing does not exist`);
    expect(google.requests).toEqual(["POST /v1/token"]);
  });
});

/** What no message may hold. */
const marker = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC";

describe("a key file that is", () => {
  test.each([
    ["no JSON", `-----BEGIN PRIVATE KEY-----\n${marker}`, "it is no JSON object"],
    ["a list", [marker], "it is no JSON object"],
    ["of a person", { type: "authorized_user", refresh_token: marker }, "its type is authorized_user; keyFile takes service_account and external_account"],
    ["of no type", { private_key: marker }, "its type is missing"],
    [
      "damaged",
      { type: "service_account", client_email: account, private_key: `-----BEGIN PRIVATE KEY-----\n${marker}\n-----END PRIVATE KEY-----\n` },
      "its client_email or private_key is missing or damaged",
    ],
    ["without an address", { type: "service_account", private_key: marker }, "its client_email or private_key is missing or damaged"],
    ["a federation without a source", { type: "external_account" }, "it has no credential_source"],
    ["a federation without an audience", { type: "external_account", credential_source: { format: { type: marker } } }, "gcp, key file"],
    ["empty", " ", "it is empty"],
  ])("%s is named with what is wrong, and never quoted", async (_, content, said) => {
    const keyFile = await writeKey("key.json", content);
    const { message } = await failureOf(fetchOnce(gcpProvider({ keyFile })), "DENIED");
    expect(message).toContain(keyFile);
    expect(message).toContain(said);
    expect(message).not.toContain(marker);
  });

  test.each([
    ["no JSON", `-----BEGIN PRIVATE KEY-----\n${marker}`],
    ["damaged", { type: "service_account", client_email: account, private_key: marker }],
    ["absent", undefined],
  ])("%s, named by GOOGLE_APPLICATION_CREDENTIALS", async (_, content) => {
    const path = content === undefined ? join(folder.path, "nothing.json") : await writeKey("key.json", content);
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", path);
    const { message, cause } = await failureOf(fetchOnce(gcpProvider({})), "DENIED");
    expect(message).not.toContain(marker.slice(0, 10));
    expect(cause).toBeUndefined();
  });
});

describe("the key file as a password", () => {
  function source(keyFile?: string) {
    const clock = new TestClock();
    return { clock, credentials: gcpJsonKeySource({ keyFile }, { clock, log: silentLog, background: new Background(silentLog) }) };
  }

  test("is what lies there now, a broken one apart", async () => {
    const first = JSON.stringify(newServiceAccountKey(account).file);
    const keyFile = await writeKey("key.json", `${first}\n`);
    const { clock, credentials } = source(keyFile);
    const before = await credentials.current("any", neverAborted);
    expect(before).toMatchObject({ kind: "basic", user: "_json_key", password: first });
    if (!before) throw new Error("no credential");
    expect(credentials.status()).toBeUndefined();
    await clock.advance(1_000);
    expect(await credentials.renew(before, "any", neverAborted)).toBe(false);
    const second = JSON.stringify(newServiceAccountKey(account).file);
    await writeKey("key.json", second);
    await clock.advance(1_000);
    expect(await credentials.renew(before, "any", neverAborted)).toBe(true);
    await writeKey("key.json", "{");
    await clock.advance(1_000);
    expect(await credentials.current("any", neverAborted)).toMatchObject({ password: second });
    expect(credentials.status()?.reason).toContain(`gcp keyFile ${keyFile}: it is not the key of a service account`);
  });

  test.each([
    ["a federation", { type: "external_account", credential_source: {} }, "it is not the key of a service account; make a new key"],
    ["damaged", { type: "service_account", client_email: account, private_key: marker }, "it is not the key of a service account"],
    ["absent", undefined, "there is none at "],
  ])("that is %s is told, without a piece of it", async (_, content, said) => {
    const keyFile = content === undefined ? join(folder.path, "nothing.json") : await writeKey("key.json", content);
    const { message } = await failureOf(source(keyFile).credentials.current("any", neverAborted), "DENIED");
    expect(message).toContain(keyFile);
    expect(message).toContain(said);
    expect(message).not.toContain(marker);
  });
});

test("without Google's library, the error says how to get it", async () => {
  const load = () => import("google-auth-library-that-is-not-here" as "google-auth-library");
  expect((await failureOf(fetchOnce(gcpProvider({}, { load })), "DENIED")).message).toBe(
    "gcp, Google's default credentials: the package google-auth-library is not installed beside ociregistry; run: npm install google-auth-library",
  );
});
