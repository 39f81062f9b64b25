import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { buildArtifact, buildImage } from "../support/images.ts";
import type { UpstreamRegistryOptions } from "../../src/upstream/upstream-options.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

async function setUp(options: Partial<UpstreamRegistryOptions> = {}, { prefix = "" }: { prefix?: string } = {}) {
  const stack = new AsyncDisposableStack();
  const mirror = stack.use(await startFakeUpstream());
  const origin = stack.use(await startFakeUpstream());
  const endpoints = [{ url: `${mirror.url}${prefix}` }];
  const upstreams = stack.use(startUpstreams([listedAs(origin, { endpoints, ...options })], { deadlines: { connectMs: 300, headersMs: 300, totalMs: 800 } }));
  const mirrorSource = `${origin.host} via ${mirror.url}${prefix}`;
  const get = (more = {}) => upstreams.getManifest(repositoryAt(origin.host), reference(), call(more));
  return { mirror, origin, upstreams, mirrorSource, get, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("a mirror", () => {
  test("is asked first, and the registry not at all while it knows", async () => {
    await using set = await setUp();
    set.mirror.putImage("team/app", "latest");
    expect((await set.get()).source).toBe(set.mirrorSource);
    expect(set.mirror.requests).toEqual(["GET /v2/team/app/manifests/latest"]);
    expect(set.origin.requests).toEqual([]);
  });

  test("with a path has it before every name", async () => {
    await using set = await setUp({}, { prefix: "/dockerhub" });
    set.mirror.putImage("dockerhub/team/app", "latest");
    expect((await set.get()).source).toBe(set.mirrorSource);
    expect(set.mirror.requests).toEqual(["GET /v2/dockerhub/team/app/manifests/latest"]);
  });

  test.each([
    ["lacks it", { status: 404 }],
    ["refuses it", { status: 403 }],
    ["is ill", { status: 503 }],
    ["is throttled", { status: 429 }],
    ["is silent", { silent: "before headers" as const }],
    ["shows a page", { status: 200, body: "<html>" }],
  ])("that %s leaves it to the registry", async (_, quirk) => {
    await using set = await setUp();
    set.mirror.when({}, quirk);
    set.origin.putImage("team/app", "latest");
    expect((await set.get()).source).toBe(set.origin.host);
    expect(set.mirror.requests).toHaveLength(1);
    expect(set.origin.requests).toEqual(["GET /v2/team/app/manifests/latest"]);
  });

  test("that gave wrong bytes is passed over when told so", async () => {
    await using set = await setUp();
    set.mirror.putImage("team/app", "latest");
    set.origin.putImage("team/app", "latest");
    expect((await set.get({ avoid: [set.mirrorSource] })).source).toBe(set.origin.host);
    expect(set.mirror.requests).toEqual([]);
    const error = await failureOf(set.get({ avoid: [set.mirrorSource, set.origin.host] }), "UPSTREAM_UNAVAILABLE");
    expect(error.source).toBe("local");
  });

  test("never gets the registry's credential", async () => {
    await using set = await setUp({ auth: passwordAuth("robot", "secret") });
    set.mirror.authentication = { kind: "basic", name: "robot", password: "secret" };
    set.origin.authentication = { kind: "basic", name: "robot", password: "secret" };
    set.origin.putImage("team/app", "latest");
    await set.get();
    expect(set.mirror.log.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(set.origin.log.at(-1)?.headers.authorization).toMatch(/^Basic/);
  });

  test("gets its own credential, which the registry does not", async () => {
    await using set = await setUp();
    const endpoints = [{ url: set.mirror.url, auth: passwordAuth("robot", "secret") }];
    set.upstreams.reconfigure({ registries: [listedAs(set.origin, { endpoints })], unlisted: "deny", clock: systemClock, log: silentLog });
    set.mirror.authentication = { kind: "basic", name: "robot", password: "secret" };
    set.mirror.putImage("team/app", "latest");
    expect((await set.get()).source).toBe(set.mirrorSource);
    expect(set.mirror.log.at(-1)?.headers.authorization).toMatch(/^Basic/);
    expect(set.origin.requests).toEqual([]);
  });

  test("is the last word with originFallback: false", async () => {
    await using set = await setUp({ originFallback: false });
    set.origin.putImage("team/app", "latest");
    await failureOf(set.get(), "MANIFEST_UNKNOWN");
    expect(set.origin.requests).toEqual([]);
  });

  test("that is away makes another's 404 no last word", async () => {
    await using set = await setUp({ originFallback: false });
    await using second = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(set.origin, { originFallback: false, endpoints: [{ url: set.mirror.url }, { url: second.url }] })]);
    await set.mirror.refuse();
    await failureOf(upstreams.getManifest(repositoryAt(set.origin.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(second.requests).toHaveLength(1);
  });
});

test.each(["missing", "empty"])("a mirror whose referrers are %s leaves them to the registry", async (kind) => {
  await using set = await setUp();
  const image = buildImage();
  set.origin.putImage("team/app", "latest", image);
  set.mirror.putImage("team/app", "latest", image);
  const signature = set.origin.putImage("team/app", undefined, buildArtifact(image.manifest));
  if (kind === "missing") set.mirror.when({ kind: "referrers" }, { referrers: "missing" });
  const answer = await set.upstreams.listReferrers(repositoryAt(set.origin.host), image.manifest.descriptor.digest, call());
  expect(answer).toMatchObject({ manifests: [{ digest: signature.manifest.descriptor.digest }], source: set.origin.host });
});

test("mirrors and registry that all hang share the time there is", async () => {
  await using set = await setUp();
  set.mirror.when({}, { bytesPerSecond: 1, status: 200, body: "{}" });
  set.origin.when({}, { silent: "before headers" });
  const start = performance.now();
  await failureOf(set.get(), "UPSTREAM_TIMEOUT");
  expect(performance.now() - start).toBeLessThan(2_000);
  expect([set.mirror.requests.length, set.origin.requests.length]).toEqual([1, 1]);
});

test("what the registry itself says of absence counts, whatever became of its mirror", async () => {
  await using set = await setUp();
  await set.mirror.refuse();
  await failureOf(set.get(), "MANIFEST_UNKNOWN");
  expect(set.upstreams.status()).toMatchObject([{ state: "ready" }]);
});
