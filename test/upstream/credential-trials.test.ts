/** Trying the configuration's credentials: what is told of each, and what registries and token services were asked for it. */
import { describe, expect, test } from "vitest";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { Secret } from "../../src/oci/secret.ts";
import { basicAuthorization } from "../../src/upstream/credentials.ts";
import type { CredentialTrial } from "../../src/upstream/credential-trials.ts";
import type { CredentialOptions, UpstreamAuth, UpstreamOptions, UpstreamRegistryOptions } from "../../src/upstream/upstream-options.ts";
import { startCanary } from "../support/canary.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import type { Quirk } from "../support/quirks.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { TestClock } from "../support/test-clock.ts";
import { listedAs, startUpstreams } from "./asking.ts";
import { startAwsPlace, variablesOf } from "./aws-asking.ts";

const limitMs = 15_000;

async function tryAll(registries: readonly UpstreamRegistryOptions[], options: Partial<UpstreamOptions> = {}): Promise<readonly CredentialTrial[]> {
  await using upstreams = startUpstreams(registries, options);
  return await upstreams.tryCredentials(new Set(registries.map(({ host }) => host)), limitMs);
}

function staticAuth(token: string, scheme: "basic" | "bearer" = "basic"): UpstreamAuth {
  return { credential: { kind: "static", token: new Secret(token), scheme } };
}

const encoded = (user: string, password: string): string => basicAuthorization(user, password).replace("Basic ", "");

describe("a registry that asks for Basic", () => {
  test("takes a password: asked for it, then shown it", async () => {
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "basic", name: "ann", password: "p" };
    expect(await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "p") })])).toEqual([
      {
        host: upstream.host,
        mirror: undefined,
        match: undefined,
        kind: "password",
        identity: "user ann",
        expiresAtMs: undefined,
        verdict: { kind: "accepted" },
      },
    ]);
    expect(upstream.requests).toEqual(["GET /v2/", "GET /v2/"]);
    expect(upstream.log.map(({ headers }) => headers.authorization)).toEqual([undefined, basicAuthorization("ann", "p")]);
  });

  test("refuses a wrong one, and it is shown once", async () => {
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "basic", name: "ann", password: "p" };
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "wrong") })]);
    expect(trial?.verdict).toEqual({ kind: "refused", reason: `${upstream.host} answered 401: it does not take this credential` });
    expect(upstream.requests).toEqual(["GET /v2/", "GET /v2/"]);
  });

  test("sees a static token unasked", async () => {
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "basic", name: "ann", password: "p" };
    const [good] = await tryAll([listedAs(upstream, { auth: staticAuth(encoded("ann", "p")) })]);
    expect(good).toMatchObject({ kind: "static", identity: "user ann", verdict: { kind: "accepted" } });
    expect(upstream.requests).toEqual(["GET /v2/"]);
    const [bad] = await tryAll([listedAs(upstream, { auth: staticAuth("not base64 of two") })]);
    expect(bad).toMatchObject({
      identity: "a token sent as Basic",
      verdict: { kind: "refused", reason: `${upstream.host} answered 401: it does not take this credential` },
    });
  });

  test("says so where no credential is configured", async () => {
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "basic", name: "ann", password: "p" };
    const [trial] = await tryAll([listedAs(upstream)]);
    expect(trial).toMatchObject({
      kind: "none",
      identity: "",
      verdict: { kind: "refused", reason: `${upstream.host} asks for a credential, and none is configured` },
    });
  });
});

describe("a registry with a token service", () => {
  test("takes a token that the password bought, for no repository in particular", async () => {
    await using tokens = await startFakeTokenService();
    await using upstream = await startFakeUpstream();
    tokens.users.set("ann", "p");
    upstream.authentication = { kind: "bearer", tokens };
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "p", [tokens.host]) })]);
    expect(trial).toMatchObject({ identity: "user ann", verdict: { kind: "accepted" } });
    expect(tokens.requests).toEqual(["GET /token?service=fake"]);
    expect(upstream.requests).toEqual(["GET /v2/", "GET /v2/"]);
  });

  test("refuses a password that buys none", async () => {
    await using tokens = await startFakeTokenService();
    await using upstream = await startFakeUpstream();
    tokens.users.set("ann", "p");
    upstream.authentication = { kind: "bearer", tokens };
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "wrong", [tokens.host]) })]);
    expect(trial?.verdict).toEqual({ kind: "refused", reason: `${tokens.host} gives no token for it` });
    expect(upstream.requests).toEqual(["GET /v2/"]);
  });

  test("is not judged where no credential is configured: only a pull can tell what is public", async () => {
    await using tokens = await startFakeTokenService();
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "bearer", tokens };
    const [trial] = await tryAll([listedAs(upstream)]);
    expect(trial?.verdict.kind).toBe("unjudged");
    expect(tokens.requests).toEqual([]);
  });

  test("elsewhere is sent nothing, and the setting is named that would change that", async () => {
    await using canary = await startCanary();
    await using tokens = await startFakeTokenService();
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "bearer", tokens, realm: `http://${canary.host}/token` };
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "p") })]);
    expect(trial?.verdict).toEqual({
      kind: "failed",
      reason: expect.stringMatching(new RegExp(`${canary.host}, which is not listed in its auth.realmHosts$`)),
    });
    expect(canary.connections).toBe(0);
  });
});

describe("a registry that tells nothing of the credential", () => {
  test("lets anybody in", async () => {
    await using upstream = await startFakeUpstream();
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "p") })]);
    expect(trial?.verdict).toEqual({ kind: "unjudged", reason: `${upstream.host} lets anybody in at /v2/` });
    expect(upstream.log.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("has no /v2/", async () => {
    await using upstream = await startFakeUpstream();
    upstream.when({ kind: "ping" }, { status: 404 });
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "p") })]);
    expect(trial?.verdict).toEqual({ kind: "unjudged", reason: `${upstream.host} has no /v2/, so only a pull can tell` });
  });
});

describe("what keeps a credential from being tried", () => {
  test("a registry that is ill, or away", async () => {
    await using upstream = await startFakeUpstream();
    upstream.when({ kind: "ping" }, { status: 503 });
    const registry = listedAs(upstream, { auth: passwordAuth("ann", "p") });
    expect((await tryAll([registry]))[0]?.verdict).toEqual({ kind: "failed", reason: expect.stringContaining("answered 503") });
    await upstream.close();
    expect((await tryAll([registry]))[0]?.verdict).toEqual({ kind: "failed", reason: `connection refused by ${upstream.host}` });
  });

  test("silence: all of them end at the same moment, each by its own deadline", async () => {
    const clock = new TestClock();
    await using one = await startFakeUpstream();
    await using other = await startFakeUpstream();
    for (const upstream of [one, other]) upstream.when({ kind: "ping" }, { silent: "before headers" });
    const trials = tryAll(
      [one, other].map((upstream) => listedAs(upstream, { auth: staticAuth("t") })),
      { clock, deadlines: { headersMs: 60_000 } },
    );
    await Promise.all([one.waitForRequests(1), other.waitForRequests(1)]);
    await clock.advance(limitMs);
    expect((await trials).map(({ verdict }) => verdict)).toEqual([
      { kind: "failed", reason: `no answer within ${limitMs} ms` },
      { kind: "failed", reason: `no answer within ${limitMs} ms` },
    ]);
  });

  test("a challenge that nothing can meet", async () => {
    await using upstream = await startFakeUpstream();
    upstream.when({ kind: "ping" }, { status: 401, headers: { "www-authenticate": "Negotiate" } });
    const [trial] = await tryAll([listedAs(upstream, { auth: passwordAuth("ann", "p") })]);
    expect(trial?.verdict).toEqual({ kind: "refused", reason: `${upstream.host} answered 401: it names no way to show it a credential` });
    expect(upstream.requests).toEqual(["GET /v2/"]);
  });

  test("a credential that cannot be had: the registry is not asked", async () => {
    await using upstream = await startFakeUpstream();
    const credential: CredentialOptions = { kind: "exec", protocol: "docker", command: "docker-credential-nobody-has-this", args: [] };
    const [trial] = await tryAll([listedAs(upstream, { auth: { credential } })]);
    expect(trial).toMatchObject({
      kind: "exec",
      identity: `docker-credential-nobody-has-this for ${upstream.host}`,
      verdict: { kind: "failed", reason: expect.stringMatching(/^there is no such program; /) },
    });
    expect(upstream.requests).toEqual([]);
  });
});

describe("a registry of Amazon's", () => {
  const account = "111122223333";

  /** Tries one that is called as Amazon's are, and lies here. */
  async function tryEcr(region: string | undefined, quirk: Quirk = {}): Promise<CredentialTrial | undefined> {
    await using place = await startAwsPlace();
    place.environment(variablesOf(place.aws.addUser(account, "puller")));
    await using upstream = await startFakeUpstream();
    upstream.when({ kind: "ping" }, quirk);
    const host = parseRegistryHost(`${account}.dkr.ecr.eu-west-1.amazonaws.com:${upstream.port}`, { scheme: "http" });
    const auth: UpstreamAuth = { credential: { kind: "ecr", endpoint: place.aws.url, region } };
    const [trial] = await tryAll([{ host, scheme: "http", auth }], { resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) });
    expect(place.aws.asked).toEqual([`ecr:GetAuthorizationToken ${account} ${region ?? "eu-west-1"}`]);
    expect(upstream.requests).toEqual(["GET /v2/"]);
    return trial;
  }

  test("tells whose token it is, and until when", async () => {
    const trial = await tryEcr(undefined);
    expect(trial).toMatchObject({ kind: "ecr", identity: `ecr ${account} in eu-west-1: user AWS`, verdict: { kind: "accepted" } });
    expect(trial?.expiresAtMs).toBeGreaterThan(Date.now());
  });

  test("tells of a region that is not its own when it refuses", async () => {
    const trial = await tryEcr("us-east-1", { status: 401, headers: { "www-authenticate": 'Basic realm="https://aws.example/"' } });
    expect(trial?.verdict).toEqual({
      kind: "refused",
      reason: expect.stringMatching(/^region us-east-1 in providerOpts, but the host says eu-west-1; .* answered 401: it does not take this credential$/),
    });
  });
});

describe("each credential is tried", () => {
  test("by repository, at mirrors and at the registry, each with its own and no other", async () => {
    await using upstream = await startFakeUpstream();
    await using mirror = await startFakeUpstream();
    upstream.authentication = { kind: "basic", name: "a", password: "p" };
    const registry = listedAs(upstream, {
      auth: staticAuth(encoded("rest", "p")),
      scopedAuth: [{ match: "team-a/**", matches: (path) => path.startsWith("team-a/"), auth: staticAuth(encoded("a", "p")) }],
      endpoints: [{ url: `${mirror.url}/prefix`, auth: staticAuth("m", "bearer") }],
    });
    const trials = await tryAll([registry]);
    expect(trials.map(({ mirror: at, match, identity, verdict }) => [at, match, identity, verdict.kind])).toEqual([
      [`${mirror.url}/prefix`, undefined, "a bearer token", "accepted"],
      [undefined, undefined, "user rest", "refused"],
      [undefined, "team-a/**", "user a", "accepted"],
    ]);
    expect(mirror.log.map(({ line, headers }) => [line, headers.authorization])).toEqual([["GET /v2/", "Bearer m"]]);
    expect(new Set(upstream.log.map(({ headers }) => headers.authorization))).toEqual(new Set([basicAuthorization("a", "p"), basicAuthorization("rest", "p")]));
    expect(upstream.requests).toEqual(["GET /v2/", "GET /v2/"]);
  });

  test("not at a registry that only its mirrors stand for, nor where only some repositories have one", async () => {
    await using upstream = await startFakeUpstream();
    await using mirror = await startFakeUpstream();
    const scoped = { match: "a/**", matches: () => true, auth: staticAuth("a") };
    const trials = await tryAll([listedAs(upstream, { scopedAuth: [scoped], endpoints: [{ url: mirror.url }], originFallback: false })]);
    expect(trials.map(({ mirror: at, kind }) => [at, kind])).toEqual([[`${mirror.url}/`, "none"]]);
    expect((await tryAll([listedAs(upstream, { scopedAuth: [scoped] })])).map(({ match }) => match)).toEqual(["a/**"]);
  });
});
