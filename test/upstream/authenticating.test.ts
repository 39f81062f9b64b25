import { describe, expect, test } from "vitest";
import { TestClock } from "../support/test-clock.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type Authentication } from "../support/fake-upstream.ts";
import { passwordAuth } from "../support/password-auth.ts";
import type { UpstreamRegistryOptions } from "../../src/upstream/upstream-options.ts";
import { call, failureOf, listedAs, readAll, reference, repositoryAt, startUpstreams } from "./asking.ts";

const manifestPath = "/v2/team/app/manifests/latest";
const tokenLine = "GET /token?service=fake&scope=repository%3Ateam%2Fapp%3Apull";

async function setUp({
  authentication = {},
  registry = {},
}: { authentication?: Partial<Extract<Authentication, { kind: "bearer" }>>; registry?: Partial<UpstreamRegistryOptions> } = {}) {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeUpstream());
  const tokens = stack.use(await startFakeTokenService());
  fake.authentication = { kind: "bearer", tokens, ...authentication };
  const image = fake.putImage("team/app", "latest");
  fake.putImage("team/other", "latest");
  const realmHosts = [tokens.host];
  const auth = registry.auth ? { auth: { realmHosts, ...registry.auth } } : {};
  const upstreams = stack.use(startUpstreams([listedAs(fake, { ...registry, ...auth })]));
  const get = (path = "team/app") => upstreams.getManifest(repositoryAt(fake.host, path), reference(), call());
  return { fake, tokens, image, upstreams, get, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const auth = passwordAuth("robot", "secret");

describe("Basic", () => {
  test("is sent once asked for, and then right away", async () => {
    await using set = await setUp({ registry: { auth } });
    set.fake.authentication = { kind: "basic", name: "robot", password: "secret" };
    expect((await set.get()).isPublic).toBe(false);
    await set.get();
    expect(set.fake.log.map(({ headers }) => headers.authorization !== undefined)).toEqual([false, true, true]);
  });

  test("that is refused is DENIED, and not repeated", async () => {
    await using set = await setUp({ registry: { auth: passwordAuth("robot", "wrong") } });
    set.fake.authentication = { kind: "basic", name: "robot", password: "secret" };
    const error = await failureOf(set.get(), "DENIED");
    expect(error.message).not.toContain("wrong");
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`, `GET ${manifestPath}`]);
  });

  test("asked of nobody in particular is DENIED", async () => {
    await using set = await setUp();
    set.fake.authentication = { kind: "basic", name: "robot", password: "secret" };
    await failureOf(set.get(), "DENIED");
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`]);
  });
});

describe("Bearer", () => {
  test.each(["token", "access_token"] as const)("takes the token from `%s`, and keeps it", async (tokenField) => {
    await using set = await setUp();
    set.tokens.tokenField = tokenField;
    await set.get();
    await set.get();
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`, `GET ${manifestPath}`, `GET ${manifestPath}`]);
    expect(set.tokens.requests).toEqual([tokenLine]);
    expect(set.tokens.log[0]?.headers.authorization).toBeUndefined();
  });

  test("buys a token of its own for each repository, without being asked twice", async () => {
    await using set = await setUp();
    await set.get();
    await set.get("team/other");
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`, `GET ${manifestPath}`, "GET /v2/team/other/manifests/latest"]);
    expect(set.tokens.requests).toEqual([tokenLine, tokenLine.replace("app", "other")]);
  });

  test("buys with the credential, which the registry never sees", async () => {
    await using set = await setUp({ registry: { auth } });
    set.tokens.users.set("robot", "secret");
    set.tokens.privateRepositories.add("team/app");
    expect((await set.get()).isPublic).toBe(false);
    expect(set.tokens.log[0]?.headers.authorization).toBe(`Basic ${Buffer.from("robot:secret").toString("base64")}`);
    for (const { headers } of set.fake.log) expect(headers.authorization ?? "Bearer").toMatch(/^Bearer/);
  });

  test("with a refused credential is DENIED without the secret", async () => {
    await using set = await setUp({ registry: { auth } });
    const error = await failureOf(set.get(), "DENIED");
    expect(error.message).not.toContain("secret");
    expect(error.source).toBe("upstream");
  });

  test("understands several schemes in one challenge", async () => {
    await using set = await setUp({ authentication: { severalSchemes: true } });
    await set.get();
    expect(set.tokens.requests).toEqual([tokenLine]);
  });

  test("makes up the scope that a challenge leaves out", async () => {
    await using set = await setUp({ authentication: { withoutScope: true } });
    await set.get();
    expect(set.tokens.requests).toEqual([tokenLine]);
  });

  test("asks /v2/ for the challenge that a 401 leaves out", async () => {
    await using set = await setUp({ authentication: { challenge: "ping only" } });
    await set.get();
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`, "GET /v2/", `GET ${manifestPath}`]);
    expect(set.tokens.requests).toEqual([tokenLine]);
  });

  test("without a challenge anywhere is DENIED", async () => {
    await using set = await setUp({ authentication: { challenge: "never" } });
    await failureOf(set.get(), "DENIED");
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`, "GET /v2/"]);
  });

  test.each([undefined, 400, 403] as const)("drops a token that ended early, and asks once more (said by %s)", async (expiredStatus) => {
    await using set = await setUp(expiredStatus === undefined ? {} : { authentication: { expiredStatus } });
    await set.get();
    set.tokens.expireAll();
    set.fake.forget();
    await set.get();
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`, `GET ${manifestPath}`]);
    expect(set.tokens.requests).toEqual([tokenLine, tokenLine]);
  });

  test("a second 401 is final", async () => {
    await using set = await setUp();
    set.tokens.givesUselessTokens = true;
    await failureOf(set.get(), "DENIED");
    expect(set.fake.requests).toHaveLength(2);
    expect(set.tokens.requests).toHaveLength(1);
  });

  test("is fetched once for all who wait", async () => {
    await using set = await setUp();
    await Promise.all(Array.from({ length: 20 }, () => set.get()));
    expect(set.tokens.requests).toEqual([tokenLine]);
  });

  test("an anonymous token may open what is public", async () => {
    await using set = await setUp({ registry: { public: true } });
    expect((await set.get()).isPublic).toBe(true);
  });

  test("never follows a redirect to another origin", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    await set.get();
    const [blobDigest] = [...set.image.blobs.keys()];
    if (!blobDigest) throw new Error("no blob");
    await using blob = await set.upstreams.getBlob(repositoryAt(set.fake.host), blobDigest, call());
    await readAll(blob);
    expect(set.fake.log.at(-1)?.headers.authorization).toMatch(/^Bearer/);
    expect(set.fake.cdn.log).toHaveLength(1);
    expect(set.fake.cdn.authorizationSeen).toBe(false);
  });
});

describe("a token service that fails", () => {
  test.each([
    ["503", { status: 503 }, "UPSTREAM_UNAVAILABLE"],
    ["429", { status: 429, headers: { "retry-after": "7" } }, "UPSTREAM_THROTTLED"],
    ["404", { status: 404 }, "UPSTREAM_UNAVAILABLE"],
    ["403", { status: 403 }, "DENIED"],
    ["a page", { status: 200, body: "<html></html>" }, "UPSTREAM_UNAVAILABLE"],
    ["JSON without a token", { status: 200, body: "{}" }, "UPSTREAM_UNAVAILABLE"],
    ["a token with a line break", { status: 200, body: '{"token":"a\\nb"}' }, "UPSTREAM_UNAVAILABLE"],
    ["200 KiB", { status: 200, body: JSON.stringify({ token: "x".repeat(200_000) }) }, "UPSTREAM_UNAVAILABLE"],
    ["nothing", { drop: true }, "UPSTREAM_UNAVAILABLE"],
  ] as const)("with %s", async (_, quirk, code) => {
    await using set = await setUp();
    set.tokens.when({ kind: "token" }, quirk);
    await failureOf(set.get(), code);
    expect(set.fake.requests).toEqual([`GET ${manifestPath}`]);
    expect(set.tokens.requests).toEqual([tokenLine]);
  });

  test("is left alone for as long as its 429 asks", async () => {
    await using set = await setUp();
    set.tokens.when({ kind: "token" }, { status: 429, headers: { "retry-after": "7" } });
    await failureOf(set.get(), "UPSTREAM_THROTTLED");
    const error = await failureOf(set.get(), "UPSTREAM_THROTTLED");
    expect(error.retryAfterMs).toBeLessThanOrEqual(7_000);
    expect(set.tokens.requests).toHaveLength(1);
  });
});

describe("a realm elsewhere", () => {
  test("never gets the credential", async () => {
    await using set = await setUp({ registry: { auth: { ...auth, realmHosts: [] } } });
    const error = await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("realmHosts");
    expect(set.tokens.requests).toEqual([]);
  });

  test.each(["ftp://127.0.0.1/token", "http://user:secret@127.0.0.1/token", "http://"])("that is %s is asked nothing", async (realm) => {
    await using set = await setUp({ authentication: { realm } });
    await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    expect(set.tokens.requests).toEqual([]);
  });
});

test("a token service that moved is found by asking the registry anew, with the next request", async () => {
  await using set = await setUp();
  await using elsewhere = await startFakeTokenService();
  await set.get();
  set.tokens.expireAll();
  await set.tokens.refuse();
  set.fake.authentication = { kind: "bearer", tokens: elsewhere };
  await failureOf(set.get("team/other"), "UPSTREAM_UNAVAILABLE");
  expect((await set.get("team/other")).descriptor.digest).toBeDefined();
  expect(elsewhere.requests).toEqual([tokenLine.replace("app", "other")]);
});

test("a registry that asks for no token any more needs no token service", async () => {
  await using set = await setUp();
  await set.get();
  await set.tokens.refuse();
  set.fake.authentication = { kind: "none" };
  await failureOf(set.get("team/other"), "UPSTREAM_UNAVAILABLE");
  expect((await set.get("team/other")).descriptor.digest).toBeDefined();
});

test("tokens are renewed before they end, behind the backs of those who ask", async () => {
  const clock = new TestClock();
  await using fake = await startFakeUpstream();
  await using tokens = await startFakeTokenService();
  fake.authentication = { kind: "bearer", tokens };
  fake.putImage("team/app", "latest");
  await using upstreams = startUpstreams([listedAs(fake)], { clock });
  const get = () => upstreams.getManifest(repositoryAt(fake.host), reference(), call());
  await get();
  await clock.advance(200_000);
  await get();
  expect(tokens.requests).toHaveLength(1);
  await clock.advance(45_000);
  await get();
  await tokens.waitForRequests(2);
  expect(fake.requests).toHaveLength(4);
});
