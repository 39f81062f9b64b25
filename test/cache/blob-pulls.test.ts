import { rm, truncate, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { parseDigest } from "../../src/oci/digest.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { pullBlob, pullCall, pullManifest, range, readBlob, repositoryAt, startTestCache, type TestCacheOptions } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";

const mib = 1024 * 1024;

async function arrange({ sizeBytes = 300_000, ...options }: { sizeBytes?: number } & Partial<TestCacheOptions> = {}) {
  const upstream = await startFakeUpstream();
  const bytes = seededBytes(sizeBytes, "layer");
  const digest = upstream.putBlob("team/app", bytes);
  const rig = await startTestCache({ upstreams: [upstream.host], ...options });
  const repository = repositoryAt(upstream.host, "team/app");
  const hold = async () => (await pullBlob(rig, repository, digest), await rig.store.background.settled(), upstream.forget());
  return { upstream, rig, repository, bytes, digest, hold, [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()) };
}

describe("HEAD of a blob", () => {
  test("that is not held asks upstream by HEAD and downloads nothing", async () => {
    await using all = await arrange();
    expect(await all.rig.cache.headBlob(all.repository, parseDigest(all.digest), pullCall())).toMatchObject({ sizeBytes: 300_000, outcome: "passed" });
    expect(all.upstream.requests).toEqual([`HEAD /v2/team/app/blobs/${all.digest}`]);
    expect(all.upstream.bytesSent.total).toBe(0);
  });

  test("that a held manifest names asks nobody", async () => {
    await using all = await arrange();
    const image = buildImage();
    for (const bytes of image.blobs.values()) all.upstream.putBlob("team/app", bytes);
    all.upstream.putManifest("team/app", "1", image.manifest.bytes, image.manifest.descriptor.mediaType);
    await pullManifest(all.rig, all.repository, "1");
    all.upstream.forget();
    for (const [digest, bytes] of image.blobs)
      expect(await all.rig.cache.headBlob(all.repository, digest, pullCall())).toMatchObject({ sizeBytes: bytes.length });
    expect(all.upstream.requests).toEqual([]);
  });

  test("that is held asks nobody, even when it is large", async () => {
    await using all = await arrange();
    await all.hold();
    expect(await all.rig.cache.headBlob(all.repository, parseDigest(all.digest), pullCall())).toMatchObject({ sizeBytes: 300_000, outcome: "hit" });
    expect(all.upstream.requests).toEqual([]);
  });
});

describe("a held blob", () => {
  test("is served with the upstream gone, without a warning", async () => {
    await using all = await arrange();
    await all.hold();
    await all.upstream.close();
    expect(await pullBlob(all.rig, all.repository, all.digest)).toMatchObject({ outcome: "hit" });
  });

  test.each([
    ["truncated", async (path: string) => await truncate(path, 100_000)],
    ["emptied", async (path: string) => await truncate(path, 0)],
    ["removed", async (path: string) => await rm(path)],
    ["longer than it should be", async (path: string) => await (await rm(path), writeFile(path, Buffer.alloc(400_000)))],
  ])("that was %s is never served so, and heals", async (_, damage) => {
    const clock = new TestClock();
    await using all = await arrange({ clock });
    await all.hold();
    await damage(all.rig.store.layout.blob(parseDigest(all.digest)));
    await clock.advance(1_001); // What is in memory is trusted for a second.
    const pulled = await pullBlob(all.rig, all.repository, all.digest);
    expect(pulled.bytes.equals(all.bytes)).toBe(true);
    expect(all.upstream.requests).toEqual([`GET /v2/team/app/blobs/${all.digest}`]);
    await all.rig.store.background.settled();
    expect((await pullBlob(all.rig, all.repository, all.digest)).outcome).toBe("hit");
  });

  test("that is small and flipped in one bit is fetched again", async () => {
    await using all = await arrange({ sizeBytes: 2_000 });
    await all.hold();
    const path = all.rig.store.layout.blob(parseDigest(all.digest));
    await rm(path);
    const flipped = Buffer.from(all.bytes);
    flipped[700] = (flipped[700] ?? 0) ^ 1;
    await writeFile(path, flipped);
    await using again = await startTestCache({ upstreams: [all.upstream.host], root: all.rig.store.layout.root });
    expect((await pullBlob(again, all.repository, all.digest)).bytes.equals(all.bytes)).toBe(true);
    expect(all.upstream.requests).toHaveLength(1);
  });

  test.each([
    ["whole", undefined],
    ["in ranges", [range(2 * mib, 3 * mib - 1), range(mib, mib + 99), { suffixBytes: 5 }]],
  ])("that is cut short while it is read, %s, goes on with what its registry sends, and heals", async (_, ranges) => {
    await using all = await arrange({ sizeBytes: 3 * mib });
    await all.hold();
    const { rig, repository, digest, bytes } = all;
    await using content = await rig.cache.getBlob(repository, parseDigest(digest), { ...pullCall(), ...(ranges ? { ranges } : {}) });
    expect(content.outcome).toBe("hit");
    await truncate(rig.store.layout.blob(parseDigest(digest)), 2.5 * mib);
    const expected = ranges ? Buffer.concat([bytes.subarray(2 * mib), bytes.subarray(mib, mib + 100), bytes.subarray(-5)]) : bytes;
    expect((await readBlob(content)).equals(expected)).toBe(true);
    expect(all.upstream.requests).toEqual([`GET /v2/team/app/blobs/${digest}`]);
    await rig.store.background.settled();
    expect(await pullBlob(rig, repository, digest)).toMatchObject({ outcome: "hit", bytes: { length: bytes.length } });
  });

  test("that is cut short while it is read, and may not be fetched, is not ended as if it were whole", async () => {
    await using all = await arrange({ sizeBytes: 3 * mib });
    await all.hold();
    await using content = await all.rig.cache.getBlob(all.repository, parseDigest(all.digest), pullCall({ mayFetch: false }));
    await truncate(all.rig.store.layout.blob(parseDigest(all.digest)), mib);
    await expect(readBlob(content)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    expect(all.upstream.requests).toEqual([]);
  });

  test("whose link was lost is shown again by the manifest that names it, with no upstream", async () => {
    await using all = await arrange();
    const image = buildImage();
    const [layer] = image.layers;
    for (const bytes of image.blobs.values()) all.upstream.putBlob("team/app", bytes);
    all.upstream.putManifest("team/app", "1", image.manifest.bytes, image.manifest.descriptor.mediaType);
    await pullManifest(all.rig, all.repository, "1");
    await pullBlob(all.rig, all.repository, layer ?? "");
    await all.rig.store.background.settled();
    await rm(all.rig.store.layout.links(all.repository), { recursive: true });
    await all.upstream.close();
    await using again = await startTestCache({ upstreams: [all.upstream.host], root: all.rig.store.layout.root });
    expect((await pullBlob(again, all.repository, layer ?? "")).outcome).toBe("hit");
  });
});

describe("downloads that nobody waits for", () => {
  test("are bounded: the oldest pause, and are gone on with when somebody asks again", async () => {
    await using all = await arrange({ sizeBytes: 4 * mib });
    const { rig, repository, upstream } = all;
    const digests = Array.from({ length: 10 }, (_, at) => upstream.putBlob("team/app", seededBytes(4 * mib, `left ${at}`)));
    const never = new Promise<void>(() => {});
    const free = upstream.when({ kind: "blob" }, { holdBody: { atBytes: mib, until: never } });
    for (const digest of digests) {
      await using content = await rig.cache.getBlob(repository, digest, pullCall());
      await content.read(Buffer.alloc(1), mib - 1_000);
    }
    await expect.poll(() => rig.cache.fillCounts().running).toBe(8);
    free();
    upstream.forget();
    const [oldest = ""] = digests;
    expect((await pullBlob(rig, repository, oldest)).bytes.equals(seededBytes(4 * mib, "left 0"))).toBe(true);
    expect(upstream.requests).toHaveLength(1);
    expect(Number(/bytes=([0-9]+)-$/.exec(upstream.requests[0] ?? "")?.[1])).toBeGreaterThan(mib / 2);
  });
});

test("fifty clients with parallel open-ended ranges cost the upstream hardly more than the blob", async () => {
  await using all = await arrange({ sizeBytes: 48 * mib });
  const { rig, repository, digest, bytes, upstream } = all;
  upstream.when({ kind: "blob", ranged: false }, { bytesPerSecond: 24 * mib });
  const part = 8 * mib;
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      await Promise.all(
        Array.from({ length: 6 }, async (_, at) => {
          await using content = await rig.cache.getBlob(repository, parseDigest(digest), { ...pullCall(), ranges: [range(at * part)] });
          const target = Buffer.alloc(part);
          for (let filled = 0; filled < part;) filled += await content.read(target.subarray(filled), at * part + filled);
          expect(target.equals(bytes.subarray(at * part, (at + 1) * part))).toBe(true);
        }),
      );
    }),
  );
  expect(upstream.bytesSent.total / bytes.length).toBeLessThanOrEqual(1.1);
}, 60_000);

test("two caches on one folder see what the other has put there", async () => {
  await using all = await arrange();
  await using other = await startTestCache({ upstreams: [all.upstream.host], root: all.rig.store.layout.root });
  await all.hold();
  expect(await pullBlob(other, all.repository, all.digest)).toMatchObject({ outcome: "hit" });
  expect(all.upstream.requests).toEqual([]);
});

describe("nothing may be fetched", () => {
  test("and a blob that is not held is unknown", async () => {
    await using all = await arrange();
    await expect(pullBlob(all.rig, all.repository, all.digest, { mayFetch: false })).rejects.toMatchObject({ code: "BLOB_UNKNOWN", source: "local" });
    expect(all.upstream.requests).toEqual([]);
  });
});
