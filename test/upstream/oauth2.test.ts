import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
import { Secret } from "../../src/oci/secret.ts";
import { oauth2Provider } from "../../src/upstream/oauth2.ts";
import type { Oauth2Options } from "../../src/upstream/upstream-options.ts";
import { startCanary } from "../support/canary.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startFakeOauth2, type FakeOauth2 } from "../support/fake-oauth2.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { failureOf } from "./asking.ts";
import { fetchOnce, startTokenCalls } from "./token-calls.ts";

const secret = "s3cret/with+odd chars&:%";

/** A server that knows one client and one JWT, a registry behind TLS, and a clock that stands still. */
async function setUp() {
  const idp = await startFakeOauth2();
  const folder = await temporaryFolder();
  const calls = startTokenCalls("https://registry.corp", { listed: [idp.url] });
  const clock = new TestClock();
  const assertionFile = join(folder.path, "token");
  await writeFile(assertionFile, "the.jwt.itself\n");
  idp.clients.set("puller", secret);
  idp.assertions.add("the.jwt.itself");
  const client = { tokenUrl: idp.tokenUrl, grant: "client-credentials", clientId: "puller", clientSecret: new Secret(secret), use: "bearer" } as const;
  const jwt = { tokenUrl: idp.tokenUrl, grant: "jwt-bearer", assertionFile, use: "bearer" } as const;
  return {
    idp,
    clock,
    client,
    jwt,
    assertionFile,
    calls,
    provider: (options: Oauth2Options) => oauth2Provider(options, { ...calls, clock }),
    async [Symbol.asyncDispose]() {
      await calls[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
      await idp.close();
    },
  };
}

function formOf(idp: FakeOauth2): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(idp.log.at(-1)?.body));
}

describe("an OAuth2 token", () => {
  test("comes for client credentials, which go as Basic and not in the form", async () => {
    await using set = await setUp();
    const issued = await fetchOnce(set.provider({ ...set.client, scope: "registry:read", audience: "registry.corp" }));
    expect(issued).toEqual({ content: { kind: "bearer", token: "access-1" }, expiresAtMs: set.clock.now() + 3_600_000 });
    expect(set.idp.requests).toEqual(["POST /realms/corp/token"]);
    expect(formOf(set.idp)).toEqual({ grant_type: "client_credentials", scope: "registry:read", audience: "registry.corp" });
  });

  test("comes for a client that shows a JWT in place of a secret", async () => {
    await using set = await setUp();
    const { clientSecret: _, ...client } = set.client;
    expect((await fetchOnce(set.provider({ ...client, assertionFile: set.assertionFile }))).content).toEqual({ kind: "bearer", token: "access-1" });
    expect(formOf(set.idp)).toEqual({
      grant_type: "client_credentials",
      client_id: "puller",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: "the.jwt.itself",
    });
  });

  test("comes for a JWT as the grant, and the file is read anew each time", async () => {
    await using set = await setUp();
    const provider = set.provider(set.jwt);
    await fetchOnce(provider);
    expect(formOf(set.idp)).toEqual({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: "the.jwt.itself" });
    await writeFile(set.assertionFile, "the.next.one");
    set.idp.assertions.add("the.next.one");
    await fetchOnce(provider);
    expect(formOf(set.idp)["assertion"]).toBe("the.next.one");
  });

  test("comes in exchange for another token", async () => {
    await using set = await setUp();
    const issued = await fetchOnce(set.provider({ ...set.jwt, grant: "token-exchange", audience: "registry.corp" }));
    expect(issued.content).toEqual({ kind: "bearer", token: "access-1" });
    expect(formOf(set.idp)).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: "the.jwt.itself",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      audience: "registry.corp",
    });
  });

  test("is shown as a password where the registry wants one", async () => {
    await using set = await setUp();
    expect((await fetchOnce(set.provider({ ...set.client, use: "basic", user: "robot" }))).content).toEqual({
      kind: "basic",
      user: "robot",
      password: "access-1",
    });
    expect((await fetchOnce(set.provider({ ...set.client, use: "basic" }))).content).toEqual({ kind: "basic", user: "<token>", password: "access-2" });
  });

  test.each([
    [undefined, 300_000],
    ["900", 900_000],
    [0, 300_000],
    [-1, 300_000],
    ["soon", 300_000],
    [null, 300_000],
  ])("whose expires_in is %j lives for %i ms", async (expiresIn, lifeMs) => {
    await using set = await setUp();
    set.idp.fields = { token_type: "bearer", expires_in: expiresIn };
    expect((await fetchOnce(set.provider(set.client))).expiresAtMs).toBe(set.clock.now() + lifeMs);
  });
});

describe("an OAuth2 token endpoint that refuses", () => {
  test("the secret: one line says so, and does not show it", async () => {
    await using set = await setUp();
    const error = await failureOf(fetchOnce(set.provider({ ...set.client, clientSecret: new Secret("wr0ng-secret") })), "DENIED");
    expect(error.message).toBe(
      `oauth2 client-credentials at ${set.idp.host} as puller: ${set.idp.host} answered 401 (invalid_client: Invalid client or Invalid client credentials); ` +
        "check clientId and clientSecret (sent as HTTP Basic), or the client's assertionFile",
    );
    expect(set.idp.requests).toHaveLength(1);
  });

  test.each([
    [{ grant: "jwt-bearer" }, "invalid_grant: Token has expired", "check that the JWT in assertionFile has not ended"],
    [{ grant: "token-exchange", audience: "nowhere" }, "invalid_target: unknown audience", "check audience"],
  ] as const)("%j: %s", async (options, said, cure) => {
    await using set = await setUp();
    set.idp.assertions.clear();
    const { message } = await failureOf(fetchOnce(set.provider({ ...set.jwt, ...options })), "DENIED");
    expect(message).toContain(said);
    expect(message).toContain(cure);
  });

  test("and repeats what we sent: it is not in the message", async () => {
    await using set = await setUp();
    const encoded = Buffer.from(`puller:${new URLSearchParams({ "": secret }).toString().slice(1)}`).toString("base64");
    const description = `cannot use ${secret} nor ${encodeURIComponent(secret)} nor ${encoded}\nnor eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.sig`;
    set.idp.when({}, { status: 400, body: JSON.stringify({ error: "invalid_request", error_description: description }) });
    const error = await failureOf(fetchOnce(set.provider(set.client)), "DENIED");
    expect(error.message).toContain("cannot use *** nor *** nor");
    for (const canary of [secret, "s3cret", encoded, "eyJ"]) expect(error.message).not.toContain(canary);
    expect(error.message).not.toContain("\n");
  });

  test.each([
    [404, "check tokenUrl"],
    [405, "check tokenUrl"],
    [403, "check tokenUrl and its credentials"],
  ])("with %i and a page: it is told to check the URL", async (status, cure) => {
    await using set = await setUp();
    set.idp.when({}, { status, body: "<html>" });
    const { message } = await failureOf(fetchOnce(set.provider(set.client)), "DENIED");
    expect(message).toContain(`answered ${status}; `);
    expect(message).toContain(cure);
  });

  test("with a redirect: nothing follows it", async () => {
    await using set = await setUp();
    await using canary = await startCanary();
    set.idp.when({}, { redirectTo: `http://${canary.host}/token?q=1` });
    const { message } = await failureOf(fetchOnce(set.provider(set.client)), "DENIED");
    expect(message).toContain(`answered 307 and leads to ${canary.host}, where no credential follows; name the endpoint itself`);
    expect(canary.connections).toBe(0);
  });
});

describe("an OAuth2 token endpoint that is ill", () => {
  test.each([
    ["500", { status: 500, body: "oh" }, "answered 500"],
    ["a passing error", { status: 400, body: '{"error":"temporarily_unavailable"}' }, "temporarily_unavailable"],
    ["a page", { body: "<html>" }, "it is no JSON object"],
    ["nothing", { status: 204 }, "it is no JSON object"],
    ["an array", { body: '["access_token"]' }, "it is no JSON object"],
    ["no token", { body: '{"token_type":"Bearer"}' }, "no access_token in it"],
    ["a token that no header can carry", { body: '{"access_token":"a\\r\\nb: c"}' }, "no access_token in it"],
    ["an endless body", { endless: true, body: "x".repeat(1_000) }, "an answer of more than 131072 bytes"],
    ["a connection that ends", { drop: true }, "connection closed by"],
  ] as const)("%s is an outage", async (_, quirk, said) => {
    await using set = await setUp();
    set.idp.when({}, quirk);
    const error = await failureOf(fetchOnce(set.provider(set.client)), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toMatch(/^oauth2 client-credentials at 127\.0\.0\.1:\d+ as puller: /);
    expect(error.message).toContain(said);
    expect(set.idp.requests).toHaveLength(1);
  });

  test("a 429 says when to come back", async () => {
    await using set = await setUp();
    set.idp.when({}, { status: 429, headers: { "retry-after": "7" } });
    expect((await failureOf(fetchOnce(set.provider(set.client)), "UPSTREAM_THROTTLED")).retryAfterMs).toBe(7_000);
  });

  test.each(["before headers", "after headers"] as const)("and silent %s: the caller's deadline ends it", async (silent) => {
    await using set = await setUp();
    set.idp.when({}, { silent });
    const deadline = new AbortController();
    const work = failureOf(set.provider(set.client).fetch(deadline.signal), "UPSTREAM_TIMEOUT");
    await set.idp.waitForRequests(1);
    const late = new OciError("UPSTREAM_TIMEOUT", "too late");
    deadline.abort(late);
    expect((await work).message).toContain("too late");
  });

  test("a token of a type that needs a key of its own is refused", async () => {
    await using set = await setUp();
    set.idp.fields = { token_type: "DPoP", expires_in: 60 };
    expect((await failureOf(fetchOnce(set.provider(set.client)), "DENIED")).message).toContain("no bearer tokens");
  });
});

describe("what an operator can write wrong for OAuth2", () => {
  test.each([
    ["not a url", "tokenUrl is no http or https URL"],
    ["/relative", "tokenUrl is no http or https URL"],
    ["https://user:pass@idp.corp/token", "carries a user"],
    ["http://idp.corp/token", "is reached without TLS, and no secret is sent so; write https://idp.corp"],
    ["http://10.0.0.1/token", "is reached without TLS"],
  ])("%s", async (tokenUrl, said) => {
    await using set = await setUp();
    const error = await failureOf(fetchOnce(set.provider({ ...set.client, tokenUrl })), "DENIED");
    expect(error.message).toContain(said);
    expect(error.message).not.toContain("pass@");
    expect(set.idp.requests).toEqual([]);
  });

  test("http is taken for a registry that is reached by http itself", async () => {
    await using set = await setUp();
    const tokenUrl = `http://idp.corp:${set.idp.port}/realms/corp/token`;
    await using calls = startTokenCalls("http://registry.corp", { listed: [tokenUrl] });
    expect((await fetchOnce(oauth2Provider({ ...set.client, tokenUrl }, calls))).content).toEqual({ kind: "bearer", token: "access-1" });
  });

  test.each([
    ["there is no such file", "nothing-here"],
    ["it is a folder", "."],
    ["it is empty", "empty"],
    ["it is longer than", "long"],
  ])("an assertionFile of which %s", async (said, name) => {
    await using set = await setUp();
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "empty"), " \n");
    await writeFile(join(folder.path, "long"), "x".repeat(70_000));
    const assertionFile = join(folder.path, name);
    const { message } = await failureOf(fetchOnce(set.provider({ ...set.jwt, assertionFile })), "DENIED");
    expect(message).toBe(`oauth2 jwt-bearer at ${set.idp.host}: assertionFile ${assertionFile}: ${said}${name === "long" ? " 65536 bytes" : ""}`);
    expect(set.idp.requests).toEqual([]);
  });

  test.each([
    [{ grant: "client-credentials" }, "it needs clientId and clientSecret, or an assertionFile"],
    [{ grant: "jwt-bearer" }, "it needs an assertionFile"],
    [{ grant: "token-exchange" }, "it needs an assertionFile"],
  ] as const)("%j with nothing to show", async (options, said) => {
    await using set = await setUp();
    expect((await failureOf(fetchOnce(set.provider({ tokenUrl: set.idp.tokenUrl, use: "bearer", ...options })), "DENIED")).message).toContain(said);
  });

  test("a certificate of an unknown authority is an outage that says so, and tls.ca mends it", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    await using idp = await startFakeOauth2({ tls: await authority.issue() });
    idp.clients.set("puller", secret);
    const options = { tokenUrl: idp.tokenUrl, grant: "client-credentials", clientId: "puller", clientSecret: new Secret(secret), use: "bearer" } as const;
    await using strangers = startTokenCalls("https://registry.corp", { listed: [idp.url] });
    expect((await failureOf(fetchOnce(oauth2Provider(options, strangers)), "UPSTREAM_UNAVAILABLE")).message).toContain("unknown authority");
    await using friends = startTokenCalls("https://registry.corp", { listed: [idp.url], tls: { ca: authority.certificate } });
    expect((await fetchOnce(oauth2Provider(options, friends))).content).toEqual({ kind: "bearer", token: "access-1" });
  });
});
