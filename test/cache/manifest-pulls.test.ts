import { rm, truncate } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { hexOf } from "../../src/oci/digest.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex } from "../support/images.ts";
import { pullCall, pullManifest, repositoryAt, startTestCache, type TestCacheOptions } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";
import { parseReference } from "../../src/oci/reference.ts";

const image = buildImage();
const newer = buildImage({ annotations: { is: "newer" } });
const digest = image.manifest.descriptor.digest;

async function arrange(options: Partial<TestCacheOptions> = {}) {
  const upstream = await startFakeUpstream();
  upstream.putManifest("team/app", "1", image.manifest.bytes, image.manifest.descriptor.mediaType);
  const clock = new TestClock({ startMs: Date.now() });
  const rig = await startTestCache({ upstreams: [upstream.host], clock, ...options });
  const repository = repositoryAt(upstream.host, "team/app");
  return {
    upstream,
    rig,
    clock,
    repository,
    pull: (reference: string, more = {}) => pullManifest(rig, repository, reference, more),
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

const head = "HEAD /v2/team/app/manifests/1";
const getByDigest = `GET /v2/team/app/manifests/${digest}`;

describe("a tag", () => {
  test("is asked for by HEAD, its manifest got by digest, and held by both names", async () => {
    await using all = await arrange();
    const first = await all.pull("1");
    expect(Buffer.from(first.bytes).equals(Buffer.from(image.manifest.bytes))).toBe(true);
    expect(first).toMatchObject({ outcome: "miss", warnings: [], descriptor: image.manifest.descriptor });
    expect(await all.pull("1")).toMatchObject({ outcome: "hit" });
    expect(await all.pull(digest)).toMatchObject({ outcome: "hit" });
    expect(all.upstream.requests).toEqual([head, getByDigest]);
  });

  test("answered by HEAD can be got with the upstream gone", async () => {
    await using all = await arrange();
    const { rig, repository, upstream } = all;
    expect(await rig.cache.headManifest(repository, parseReference("1"), pullCall())).toMatchObject({ digest, outcome: "miss" });
    await upstream.close();
    expect(await all.pull(digest)).toMatchObject({ outcome: "hit" });
    expect(upstream.requests).toEqual([head, getByDigest]);
  });

  test("is one HEAD and one GET for a hundred who ask at once", async () => {
    await using all = await arrange();
    const answers = await Promise.all(Array.from({ length: 100 }, () => all.pull("1")));
    expect(new Set(answers.map((answer) => answer.descriptor.digest))).toEqual(new Set([digest]));
    expect(all.upstream.requests).toEqual([head, getByDigest]);
  });

  test("is revalidated by one HEAD when its time is over, and its record outlives the process", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.clock.advance(59_000);
    await all.pull("1");
    expect(all.upstream.requests).toEqual([head, getByDigest]);
    await all.clock.advance(2_000);
    expect(await all.pull("1")).toMatchObject({ outcome: "hit", warnings: [] });
    expect(all.upstream.requests).toEqual([head, getByDigest, head]);
    await using next = await startTestCache({ upstreams: [all.upstream.host], root: all.rig.store.layout.root, clock: all.clock });
    await all.rig.store.repositories.writeNotes();
    expect(await pullManifest(next, all.repository, "1")).toMatchObject({ outcome: "hit" });
    expect(all.upstream.requests).toHaveLength(3);
  });

  test("is asked for although it is fresh where the caller says so, and stands in with a warning where nobody answers", async () => {
    await using all = await arrange();
    await all.pull("1");
    expect(await all.pull("1", { noCache: true })).toMatchObject({ outcome: "hit", warnings: [] });
    expect(all.upstream.requests).toEqual([head, getByDigest, head]);
    expect(await all.pull("1", { noCache: true, mayFetch: false })).toMatchObject({ outcome: "hit", warnings: [] });
    await all.upstream.close();
    expect(await all.pull("1", { noCache: true })).toMatchObject({ outcome: "stale", descriptor: { digest } });
  });

  test("whose manifest is gone is told so where it may not be fetched, and one that was never here too", async () => {
    await using all = await arrange();
    await all.pull("1");
    await rm(all.rig.store.layout.blob(digest));
    await all.clock.advance(2_000);
    await expect(all.pull("1", { mayFetch: false })).rejects.toThrow(`means ${digest}, which is missing or damaged here, and it may not be fetched`);
    await expect(all.pull("2", { mayFetch: false })).rejects.toThrow("no tag 2");
  });

  test("that was missing a moment ago is asked for again where the caller says so", async () => {
    await using all = await arrange();
    await expect(all.pull("2")).rejects.toThrow();
    all.upstream.putManifest("team/app", "2", image.manifest.bytes, image.manifest.descriptor.mediaType);
    await expect(all.pull("2")).rejects.toThrow();
    expect(await all.pull("2", { noCache: true })).toMatchObject({ outcome: "miss" });
  });

  test("that moved is followed, and what it meant before can still be got by digest", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => 0 } });
    await all.pull("1");
    all.upstream.putManifest("team/app", "1", newer.manifest.bytes, newer.manifest.descriptor.mediaType);
    expect(await all.pull("1")).toMatchObject({ outcome: "miss", descriptor: { digest: newer.manifest.descriptor.digest } });
    expect(await all.pull(digest)).toMatchObject({ outcome: "hit" });
    expect(all.upstream.requests).toEqual([head, getByDigest, head, `GET /v2/team/app/manifests/${newer.manifest.descriptor.digest}`]);
  });

  test("with a time to live of never is not asked for again, `latest` is when it is always to be pulled", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => Infinity }, freshness: { alwaysPullLatest: true } });
    all.upstream.setTag("team/app", "latest", digest);
    await all.pull("1");
    await all.pull("latest");
    await all.clock.advance(365 * 86_400_000);
    await all.pull("1");
    await all.pull("latest");
    expect(all.upstream.requests).toEqual([head, getByDigest, "HEAD /v2/team/app/manifests/latest", "HEAD /v2/team/app/manifests/latest"]);
  });

  test.each([
    ["no digest header", { headers: { "docker-content-digest": undefined } }],
    ["405 to HEAD", { status: 405 }],
  ])("of an upstream with %s is got by tag", async (_, quirk) => {
    await using all = await arrange();
    all.upstream.when({ kind: "manifest", method: "HEAD" }, quirk);
    expect(await all.pull("1")).toMatchObject({ outcome: "miss", descriptor: { digest } });
    expect(all.upstream.requests).toEqual([head, "GET /v2/team/app/manifests/1"]);
    expect(await all.pull(digest)).toMatchObject({ outcome: "hit" });
  });

  test("whose HEAD names a digest that the upstream does not know is got by tag", async () => {
    await using all = await arrange();
    all.upstream.when({ kind: "manifest", method: "HEAD" }, { headers: { "docker-content-digest": `sha256:${"0".repeat(64)}` } });
    expect(await all.pull("1")).toMatchObject({ descriptor: { digest } });
    expect(all.upstream.requests.at(-1)).toBe("GET /v2/team/app/manifests/1");
  });

  test("that is unknown is remembered for five seconds", async () => {
    await using all = await arrange();
    await expect(all.pull("2")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
    await expect(all.pull("2")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
    expect(all.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/2"]);
    all.upstream.setTag("team/app", "2", digest);
    await all.clock.advance(5_001);
    expect(await all.pull("2")).toMatchObject({ outcome: "miss" });
  });
});

describe("an upstream that is away", () => {
  test("leaves held tags in place, with a warning that says since when, and digests without one", async () => {
    await using all = await arrange();
    await all.pull("1");
    const checked = new Date(all.clock.now()).toISOString();
    await all.upstream.close();
    await all.clock.advance(3_600_000);
    expect(await all.pull("1")).toMatchObject({
      outcome: "stale",
      warnings: [`upstream ${all.upstream.host} unavailable; served from cache, last checked ${checked}`],
    });
    expect(await all.pull(digest)).toMatchObject({ outcome: "hit", warnings: [] });
    await expect(all.pull("2")).rejects.toMatchObject({ code: "UPSTREAM_UNAVAILABLE" });
  });

  test("that says nothing delays a held tag by a second and a half, once", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.clock.advance(61_000);
    all.upstream.when({ kind: "manifest" }, { silent: "before headers" });
    const waiting = all.pull("1");
    await all.upstream.waitForRequests(3);
    await all.clock.advance(1_500);
    expect(await waiting).toMatchObject({ outcome: "stale" });
    expect(await all.pull("1")).toMatchObject({ outcome: "stale" });
    expect(all.upstream.requests).toHaveLength(3);
  });

  test("that answers HEAD late and never GET fails what is not held within eighteen seconds in all", async () => {
    await using all = await arrange();
    all.upstream.when({ kind: "manifest", method: "GET" }, { silent: "before headers" });
    const failed = all.pull("1").catch((error: unknown) => error);
    await all.upstream.waitForRequests(2);
    await all.clock.advance(18_001);
    expect(await failed).toMatchObject({ code: "UPSTREAM_TIMEOUT" });
  });

  test("does not stand behind a held tag for longer than staleIfError allows", async () => {
    await using all = await arrange({ rules: { staleIfErrorMs: 120_000 } });
    await all.pull("1");
    await all.upstream.close();
    await all.clock.advance(119_000);
    expect(await all.pull("1")).toMatchObject({ outcome: "stale" });
    await all.clock.advance(2_000);
    await expect(all.pull("1")).rejects.toMatchObject({ code: "UPSTREAM_UNAVAILABLE" });
    expect(await all.pull(digest)).toMatchObject({ outcome: "hit" });
  });

  test("answers an unknown fallback tag as unknown, so that no pull fails for want of signatures", async () => {
    await using all = await arrange();
    await all.upstream.close();
    await expect(all.pull(`sha256-${hexOf(digest)}`)).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  });

  test("that shows a new digest and cannot give it leaves the old one with a warning", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => 0 } });
    await all.pull("1");
    all.upstream.putManifest("team/app", "1", newer.manifest.bytes, newer.manifest.descriptor.mediaType);
    all.upstream.when({ kind: "manifest", method: "GET" }, { status: 500 });
    const answer = await all.pull("1");
    expect(answer).toMatchObject({ outcome: "stale", descriptor: { digest } });
    expect(answer.warnings[0]).toContain("unavailable; served from cache");
  });
});

describe("a tag that the upstream refuses or no longer has", () => {
  test.each([
    [{ status: 403 }, "access refused by", "DENIED"],
    [{ status: 404 }, "gone from", "MANIFEST_UNKNOWN"],
  ])("with %j is served with a warning, or refused when that is the rule", async (quirk, words, code) => {
    await using all = await arrange({ rules: { tagTtlMs: () => 0 } });
    await all.pull("1");
    all.upstream.when({ kind: "manifest" }, quirk);
    expect((await all.pull("1")).warnings[0]).toContain(`${words} ${all.upstream.host}; served from cache, last checked `);
    await using strict = await startTestCache({
      upstreams: [all.upstream.host],
      root: all.rig.store.layout.root,
      clock: all.clock,
      rules: { tagTtlMs: () => 0, whenDeniedMs: 0, whenGoneMs: 0 },
    });
    await expect(pullManifest(strict, all.repository, "1")).rejects.toMatchObject({ code });
    expect(await pullManifest(strict, all.repository, digest)).toMatchObject({ outcome: "hit" });
  });

  test("is served for a day after a refusal, unless told otherwise", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => 0 } });
    await all.pull("1");
    all.upstream.when({ kind: "manifest" }, { status: 401 });
    await all.clock.advance(86_300_000);
    expect(await all.pull("1")).toMatchObject({ outcome: "stale" });
    await all.clock.advance(200_000);
    await expect(all.pull("1")).rejects.toMatchObject({ code: "DENIED" });
  });
});

describe("air-gapped", () => {
  test("what is held is served without a warning however old, what is not is unknown, and nobody is asked", async () => {
    await using all = await arrange();
    await all.pull("1");
    await using offline = await startTestCache({ upstreams: [], root: all.rig.store.layout.root, clock: all.clock, freshness: { airGapped: true } });
    await all.clock.advance(86_400_000 * 400);
    expect(await pullManifest(offline, all.repository, "1")).toMatchObject({ outcome: "hit", warnings: [] });
    expect(all.upstream.requests).toEqual([head, getByDigest]);
  });
});

describe("what lies torn on the disk", () => {
  test("is fetched again: a manifest's bytes that were cut short or removed", async () => {
    await using all = await arrange();
    const { store } = all.rig;
    await all.pull("1");
    await truncate(store.layout.blob(digest), 10);
    await all.clock.advance(1_001);
    expect((await all.pull("1")).bytes.byteLength).toBe(image.manifest.bytes.byteLength);
    await rm(store.layout.blob(digest));
    await all.clock.advance(1_001);
    expect((await all.pull("1")).bytes.byteLength).toBe(image.manifest.bytes.byteLength);
    expect(all.upstream.requests).toEqual([head, getByDigest, head, getByDigest, head, getByDigest]);
  });
});

test("children of a held index that came by way of another repository of the registry need no second look upstream", async () => {
  await using all = await arrange();
  const index = buildIndex([image, newer]);
  all.upstream.putManifest("team/other", "1", index.manifest.bytes, index.manifest.descriptor.mediaType);
  await all.pull("1");
  const other = repositoryAt(all.upstream.host, "team/other");
  await pullManifest(all.rig, other, "1");
  const before = all.upstream.requests.length;
  expect(await pullManifest(all.rig, other, digest)).toMatchObject({ descriptor: image.manifest.descriptor });
  expect(all.upstream.requests).toHaveLength(before);
});

describe("referrers", () => {
  const signature = buildArtifact(image.manifest, { artifactType: "application/vnd.example.signature" });

  test("are asked once a minute, filtered here, and known when the upstream is away", async () => {
    await using all = await arrange();
    const { rig, upstream, repository, clock } = all;
    upstream.putManifest("team/app", undefined, signature.manifest.bytes, signature.manifest.descriptor.mediaType);
    const list = (artifactType?: string) =>
      rig.cache.listReferrers(repository, digest, { ...pullCall(), ...(artifactType === undefined ? {} : { artifactType }) });
    expect((await list()).manifests.map((descriptor) => descriptor.digest)).toEqual([signature.manifest.descriptor.digest]);
    expect((await list("application/vnd.example.signature")).manifests).toHaveLength(1);
    expect((await list("application/vnd.example.other")).manifests).toHaveLength(0);
    expect(upstream.requests).toEqual([`GET /v2/team/app/referrers/${digest}`]);
    await upstream.close();
    await clock.advance(61_000);
    const offline = await list();
    expect(offline.manifests).toHaveLength(1);
    expect(offline.warnings[0]).toContain("unavailable; served from cache");
  });

  test("never asked before are none, with a warning, while the upstream is away; that is not remembered", async () => {
    await using all = await arrange();
    const { rig, upstream, repository } = all;
    upstream.putManifest("team/app", undefined, signature.manifest.bytes, signature.manifest.descriptor.mediaType);
    const again = upstream.when({ kind: "referrers" }, { status: 503 });
    const list = () => rig.cache.listReferrers(repository, digest, pullCall());
    const warning = `upstream ${upstream.host} cannot be asked; what refers to this may be more than is known here`;
    expect(await list()).toMatchObject({ manifests: [], outcome: "stale", warnings: [warning] });
    again();
    expect((await list()).manifests).toHaveLength(1);
  });

  test("that were pulled are listed with no upstream at all", async () => {
    await using all = await arrange();
    const { rig, upstream, repository } = all;
    upstream.putManifest("team/app", "sig", signature.manifest.bytes, signature.manifest.descriptor.mediaType);
    await all.pull("sig");
    const { manifests } = await rig.cache.listReferrers(repository, digest, pullCall({ mayFetch: false }));
    expect(manifests).toMatchObject([{ digest: signature.manifest.descriptor.digest, artifactType: "application/vnd.example.signature" }]);
  });
});

test("tags known here are listed with a warning while the upstream is away", async () => {
  await using all = await arrange();
  const { rig, upstream, repository } = all;
  upstream.setTag("team/app", "2", digest);
  await all.pull("1");
  expect(await rig.cache.listTags(repository, pullCall())).toMatchObject({ tags: ["1", "2"], outcome: "passed" });
  await upstream.close();
  const known = await rig.cache.listTags(repository, pullCall());
  expect(known).toMatchObject({ tags: ["1"], outcome: "stale" });
  expect(known.warnings[0]).toContain("unavailable; served from cache");
});
