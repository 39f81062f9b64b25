import { appendFile, rm, utimes } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { parseReference } from "../../src/oci/reference.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache, type TestCacheOptions } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";

const image = buildImage();
const other = buildImage({ annotations: { other: "yes" } });
const { digest, mediaType } = image.manifest.descriptor;
const one = parseReference("1");
const byDigest = parseReference(digest);
const small = seededBytes(20_000, "small");

/** A cache that holds an image and a small blob, and has just answered each of them from what it holds. */
async function arrange(options: Partial<TestCacheOptions> = {}) {
  const clock = new TestClock();
  const upstream = await startFakeUpstream();
  const blob = upstream.putBlob("a", small);
  upstream.putManifest("a", "1", image.manifest.bytes, mediaType);
  const rig = await startTestCache({ upstreams: [upstream.host], clock, ...options });
  const repository = repositoryAt(upstream.host, "a");
  const pullAll = async (): Promise<void> => {
    await pullManifest(rig, repository, "1");
    await pullManifest(rig, repository, digest);
    await pullBlob(rig, repository, blob);
    await rig.store.background.settled();
  };
  await pullAll();
  await pullAll();
  return {
    upstream,
    rig,
    clock,
    blob,
    repository,
    pullAll,
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

describe("what is at hand", () => {
  test("is what a pull would answer, and asks nobody", async () => {
    await using all = await arrange();
    const { rig, repository, blob, upstream } = all;
    const before = upstream.requests.length;
    expect(rig.cache.manifestAtHand(repository, one)).toEqual(await pullManifest(rig, repository, "1"));
    expect(rig.cache.manifestAtHand(repository, byDigest)).toEqual(await pullManifest(rig, repository, digest));
    expect(rig.cache.blobAtHand(repository, blob)).toMatchObject({ descriptor: { digest: blob, sizeBytes: 20_000 }, outcome: "hit" });
    expect(Buffer.from(rig.cache.blobAtHand(repository, blob)?.bytes ?? []).equals(small)).toBe(true);
    expect(upstream.requests).toHaveLength(before);
  });

  test("is nothing that was never asked for, and nothing of another repository", async () => {
    await using all = await arrange();
    const { rig, repository, blob, upstream } = all;
    const elsewhere = repositoryAt(upstream.host, "b");
    expect(rig.cache.manifestAtHand(repository, parseReference("2"))).toBeUndefined();
    expect(rig.cache.manifestAtHand(elsewhere, one)).toBeUndefined();
    expect(rig.cache.manifestAtHand(elsewhere, byDigest)).toBeUndefined();
    expect(rig.cache.blobAtHand(elsewhere, blob)).toBeUndefined();
  });

  test("is not believed for longer than a second without a look at the disk", async () => {
    await using all = await arrange();
    const { rig, repository, blob, clock, pullAll } = all;
    await clock.advance(1_000);
    expect(rig.cache.manifestAtHand(repository, one)).toBeUndefined();
    expect(rig.cache.manifestAtHand(repository, byDigest)).toBeUndefined();
    expect(rig.cache.blobAtHand(repository, blob)).toBeUndefined();
    await pullAll();
    expect(rig.cache.manifestAtHand(repository, one)).toBeDefined();
    expect(rig.cache.manifestAtHand(repository, byDigest)).toBeDefined();
    expect(rig.cache.blobAtHand(repository, blob)).toBeDefined();
  });

  test.each(["tag", "manifest", "bytes"] as const)("ends within a second of its %s being removed", async (kind) => {
    await using all = await arrange();
    const { rig, repository, clock, upstream } = all;
    const { layout } = rig.store;
    const paths = { tag: layout.tag(repository, "1" as never), manifest: layout.manifest(repository, digest), bytes: layout.blob(digest) };
    await rm(paths[kind]);
    await clock.advance(1_000);
    expect(rig.cache.manifestAtHand(repository, one)).toBeUndefined();
    const before = upstream.requests.length;
    expect((await pullManifest(rig, repository, "1")).bytes.byteLength).toBe(image.manifest.bytes.byteLength);
    expect(upstream.requests.length).toBeGreaterThan(before);
  });

  test.each(["delivery", "link", "bytes"] as const)("of blobs ends within a second of the %s being removed", async (kind) => {
    await using all = await arrange();
    const { rig, repository, clock, blob, upstream } = all;
    const { layout } = rig.store;
    await rm({ delivery: layout.delivery(repository.host, blob), link: layout.link(repository, blob), bytes: layout.blob(blob) }[kind]);
    await clock.advance(1_000);
    expect(rig.cache.blobAtHand(repository, blob)).toBeUndefined();
    const before = upstream.requests.length;
    expect((await pullBlob(rig, repository, blob)).bytes.equals(small)).toBe(true);
    expect(upstream.requests.length).toBeGreaterThan(before);
  });

  test("ends with the tag's time to live", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => 500 } });
    const { rig, repository, clock } = all;
    expect(rig.cache.manifestAtHand(repository, one)).toBeDefined();
    await clock.advance(500);
    expect(rig.cache.manifestAtHand(repository, one)).toBeUndefined();
    expect(rig.cache.manifestAtHand(repository, byDigest)).toBeDefined();
  });

  test("is the tag's new meaning as soon as one pull has learned it", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => 500 } });
    const { rig, repository, clock, upstream } = all;
    upstream.putManifest("a", "1", other.manifest.bytes, other.manifest.descriptor.mediaType);
    await clock.advance(500);
    expect((await pullManifest(rig, repository, "1")).descriptor.digest).toBe(other.manifest.descriptor.digest);
    expect(rig.cache.manifestAtHand(repository, one)).toBeUndefined();
    await pullManifest(rig, repository, "1");
    expect(rig.cache.manifestAtHand(repository, one)?.descriptor.digest).toBe(other.manifest.descriptor.digest);
  });

  test("follows a reload of the rules at once", async () => {
    await using all = await arrange();
    const { rig, repository } = all;
    const never = { tagTtlMs: () => 0, staleIfErrorMs: 0, whenDeniedMs: 0, whenGoneMs: 0 };
    rig.cache.reconfigure({ airGapped: false, alwaysPullLatest: false, rulesOf: () => never });
    expect(rig.cache.manifestAtHand(repository, one)).toBeUndefined();
  });

  test("is never what somebody wrote over, once the disk has been looked at", async () => {
    await using all = await arrange();
    const { rig, repository, clock } = all;
    const path = rig.store.layout.manifest(repository, digest);
    await appendFile(path, "x");
    await utimes(path, new Date(0), new Date(0));
    await clock.advance(1_000);
    expect(rig.cache.manifestAtHand(repository, byDigest)).toBeUndefined();
    expect((await pullManifest(rig, repository, digest)).outcome).toBe("miss");
    await pullManifest(rig, repository, digest);
    expect(Buffer.from(rig.cache.manifestAtHand(repository, byDigest)?.bytes ?? []).equals(Buffer.from(image.manifest.bytes))).toBe(true);
  });

  test("is small: a large manifest is looked up each time", async () => {
    await using all = await arrange();
    const { rig, repository, upstream } = all;
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType, config: image.manifest.descriptor, layers: [], annotations: { a: "x".repeat(70_000) } }),
    );
    upstream.putManifest("a", "large", bytes, mediaType);
    await pullManifest(rig, repository, "large");
    expect((await pullManifest(rig, repository, "large")).outcome).toBe("hit");
    expect(rig.cache.manifestAtHand(repository, parseReference("large"))).toBeUndefined();
  });
});
