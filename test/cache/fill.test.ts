import { readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { hostFolder } from "../../src/cache/layout.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { OciError } from "../../src/oci/errors.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { pullBlob, pullCall, pullManifest, range, readBlob, repositoryAt, startTestCache, type TestCache } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";

const mib = 1024 * 1024;

async function arrange({ sizeBytes = 3 * mib + 17, ...options }: { sizeBytes?: number; fillsMax?: number; pullTimeoutMs?: number } = {}) {
  const upstream = await startFakeUpstream();
  const bytes = seededBytes(sizeBytes);
  const digest = upstream.putBlob("team/app", bytes);
  const rig = await startTestCache({ upstreams: [upstream.host], ...options });
  return {
    upstream,
    bytes,
    digest,
    rig,
    repository: repositoryAt(upstream.host, "team/app"),
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

function getOf(digest: string, suffix = ""): string {
  return `GET /v2/team/app/blobs/${digest}${suffix}`;
}

async function published({ store }: TestCache): Promise<void> {
  await store.background.settled();
}

/** What a store's folder looks like after its process was killed. */
async function letOwnerDie({ instance }: TestCache["store"]): Promise<void> {
  const [boot, namespace] = basename(instance.path).split("-");
  await rename(instance.path, join(dirname(instance.path), `${boot}-${namespace}-999999999-1-gone`));
}

async function temporaryFiles({ store }: TestCache): Promise<string[]> {
  return (await readdir(store.layout.temporary(), { recursive: true })).filter((name) => /\.(part|claimed|tmp)$/.test(name));
}

describe("a blob that is not held", () => {
  test("is fetched once, kept, and answered from the disk the second time", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const first = await pullBlob(rig, repository, digest);
    expect(first.bytes.equals(bytes)).toBe(true);
    expect(first).toMatchObject({ kind: "full", outcome: "miss", sizeBytes: bytes.length });
    await published(rig);
    const second = await pullBlob(rig, repository, digest);
    expect(second.bytes.equals(bytes)).toBe(true);
    expect(second.outcome).toBe("hit");
    expect(upstream.requests).toEqual([getOf(digest)]);
    expect((await readFile(rig.store.layout.blob(digest))).equals(bytes)).toBe(true);
    expect((await stat(rig.store.layout.blob(digest))).mode & 0o777).toBe(0o444);
    expect(await temporaryFiles(rig)).toEqual([]);
  });

  test("is asked for once by fifty clients, who all get it as it comes", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob" }, { holdBody: { atBytes: 2 * mib, until: gate.promise } });
    const contents = await Promise.all(Array.from({ length: 50 }, () => rig.cache.getBlob(repository, digest, pullCall())));
    const starts = await Promise.all(contents.map(async (content) => await content.read(Buffer.alloc(1_000), 0)));
    expect(starts.every((length) => length === 1_000)).toBe(true); // While the upstream still holds the rest.
    gate.resolve();
    for (const content of contents) {
      expect((await readBlob(content)).equals(bytes)).toBe(true);
      await content[Symbol.asyncDispose]();
    }
    expect(upstream.requests).toEqual([getOf(digest)]);
  });

  test("goes on arriving when its only client has left", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob" }, { holdBody: { atBytes: mib, until: gate.promise } });
    {
      await using content = await rig.cache.getBlob(repository, digest, pullCall());
      await content.read(Buffer.alloc(10), 0);
    }
    gate.resolve();
    await published(rig);
    expect((await pullBlob(rig, repository, digest)).bytes.equals(bytes)).toBe(true);
    expect(upstream.requests).toEqual([getOf(digest)]);
  });

  test("arrives whole though the upstream cuts it at ten places, without a client noticing", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    let cuts = 0;
    upstream.when({ kind: "blob", times: 10 }, { cutAfterBytes: () => 100_000 + 7_919 * (cuts += 1) });
    const pulled = await pullBlob(rig, repository, digest);
    expect(pulled.bytes.equals(bytes)).toBe(true);
    expect(upstream.requests).toHaveLength(11);
    expect(upstream.requests[0]).toBe(getOf(digest));
    expect(upstream.requests.slice(1).every((request) => /bytes=[1-9][0-9]*-$/.test(request))).toBe(true);
  });

  test.each(["ignored", "wrong-start", "short", "no-content-range", "unsatisfiable"] as const)(
    "arrives whole though the upstream cuts it and its answer to a range is %s",
    async (ranges) => {
      await using all = await arrange({ pullTimeoutMs: 3_000 });
      const { rig, repository, digest, bytes, upstream } = all;
      upstream.when({ kind: "blob", times: 1 }, { cutAfterBytes: mib });
      upstream.when({ kind: "blob" }, { ranges });
      const pulled = await pullBlob(rig, repository, digest);
      expect(pulled.bytes.equals(bytes)).toBe(true);
      await published(rig);
      expect((await readFile(rig.store.layout.blob(digest))).equals(bytes)).toBe(true);
      expect(upstream.requests[0]).toBe(getOf(digest));
      expect(upstream.requests[1]).toMatch(/bytes=[1-9][0-9]*-$/);
    },
  );

  test("is taken up again by a new process where the old one left it", async () => {
    await using all = await arrange({ sizeBytes: 4 * mib });
    const { rig, repository, digest, bytes, upstream } = all;
    upstream.when({ kind: "blob", times: 1 }, { holdBody: { atBytes: 3 * mib, until: new Promise<void>(() => {}) } });
    {
      await using content = await rig.cache.getBlob(repository, digest, pullCall());
      await content.read(Buffer.alloc(10), 3 * mib - 100);
    }
    await rig.cache.close();
    await letOwnerDie(rig.store);
    await using next = await startTestCache({ upstreams: [upstream.host], root: rig.store.layout.root });
    expect((await pullBlob(next, repository, digest)).bytes.equals(bytes)).toBe(true);
    expect(upstream.requests).toHaveLength(2);
    expect(Number(/bytes=([0-9]+)-$/.exec(upstream.requests.at(-1) ?? "")?.[1])).toBeGreaterThan(2 * mib);
  });

  test("whose process was killed when every byte was there, and only its name was missing, is held without asking upstream", async () => {
    await using upstream = await startFakeUpstream();
    const image = buildImage();
    const [layer = image.config] = image.layers;
    upstream.putManifest("team/app", "1", image.manifest.bytes, image.manifest.descriptor.mediaType);
    await using rig = await startTestCache({ upstreams: [upstream.host] });
    const repository = repositoryAt(upstream.host, "team/app");
    await pullManifest(rig, repository, "1");
    const key = `${hostFolder(repository.host)}~${layer.replace(":", "-")}`;
    const path = await rig.store.instance.partPath(key);
    await writeFile(path, image.blobs.get(layer) ?? "");
    await letOwnerDie(rig.store);
    await upstream.close();
    await using next = await startTestCache({ upstreams: [upstream.host], root: rig.store.layout.root });
    expect((await pullBlob(next, repository, layer)).bytes.equals(Buffer.from(image.blobs.get(layer) ?? ""))).toBe(true);
    await next.store.background.settled();
    expect(await pullBlob(next, repository, layer)).toMatchObject({ outcome: "hit" });
  });

  test("that the upstream does not have is unknown, and asked for once", async () => {
    await using all = await arrange();
    const { rig, repository, upstream } = all;
    const unknown = parseDigest(`sha256:${"0".repeat(64)}`);
    for (let times = 0; times < 3; times += 1) await expect(pullBlob(rig, repository, unknown)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    expect(upstream.requests).toEqual([getOf(unknown)]);
  });
});

describe("wrong bytes", () => {
  test("reach nobody whole and are not kept; the registry is asked once more", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    upstream.when({ kind: "blob" }, { wrongBytes: { atBytes: 5 } });
    const content = await rig.cache.getBlob(repository, digest, pullCall());
    const seen: number[] = [];
    const failure = await (async () => {
      for (let position = 0; ;) {
        const length = await content.read(Buffer.alloc(mib), position);
        position += length;
        seen.push(position);
        if (length === 0) return undefined;
      }
    })().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OciError);
    expect(Math.max(...seen)).toBeLessThanOrEqual(bytes.length - 64 * 1024);
    await content[Symbol.asyncDispose]();
    await published(rig);
    expect(upstream.requests).toEqual([getOf(digest), getOf(digest)]);
    expect(await temporaryFiles(rig)).toEqual([]);
    await expect(stat(rig.store.layout.blob(digest))).rejects.toThrow("ENOENT");
  });

  test("that come once harm only who had read some of them", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    upstream.when({ kind: "blob", times: 1 }, { wrongBytes: { atBytes: 5 } });
    const patient = await rig.cache.getBlob(repository, digest, pullCall());
    await published(rig);
    expect((await readBlob(patient)).equals(bytes)).toBe(true);
    await patient[Symbol.asyncDispose]();
    expect((await pullBlob(rig, repository, digest)).outcome).toBe("hit");
  });

  test("of a small blob are an error before any answer, never a cut", async () => {
    await using all = await arrange({ sizeBytes: 64 * 1024 });
    const { rig, repository, digest, upstream } = all;
    upstream.when({ kind: "blob" }, { wrongBytes: true });
    await expect(rig.cache.getBlob(repository, digest, pullCall())).rejects.toMatchObject({ code: "UPSTREAM_UNAVAILABLE" });
  });

  test("a part with a torn prefix is begun again from nothing", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const key = `${hostFolder(repository.host)}~${digest.replace(":", "-")}`;
    const path = await rig.store.instance.partPath(key);
    await writeFile(path, seededBytes(mib, "other"));
    await rig.store.instance.leave(path, key);
    const content = await rig.cache.getBlob(repository, digest, pullCall());
    await published(rig);
    await content[Symbol.asyncDispose]();
    expect(upstream.requests).toEqual([getOf(digest, ` bytes=${mib - 1}-`), getOf(digest)]);
    expect((await pullBlob(rig, repository, digest)).bytes.equals(bytes)).toBe(true);
  });
});

test.each([
  ["longer than its blob", 4 * mib],
  ["empty", 0],
])("what is left of a download, %s, is not gone on with", async (_, leftBytes) => {
  await using all = await arrange();
  const { rig, repository, digest, bytes, upstream } = all;
  const key = `${hostFolder(repository.host)}~${digest.replace(":", "-")}`;
  const path = await rig.store.instance.partPath(key);
  await writeFile(path, seededBytes(leftBytes, "other"));
  await rig.store.instance.leave(path, key);
  expect((await pullBlob(rig, repository, digest)).bytes.equals(bytes)).toBe(true);
  expect(upstream.requests.at(-1)).toBe(getOf(digest));
  await published(rig);
  expect(await temporaryFiles(rig)).toEqual([]);
});

describe("the held-back tail", () => {
  test("waits for the digest while everything before it is out", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob" }, { holdBody: { atBytes: bytes.length - 1, until: gate.promise } });
    await using content = await rig.cache.getBlob(repository, digest, pullCall());
    const tail = bytes.length - 64 * 1024;
    let position = 0;
    while (position < tail) position += await content.read(Buffer.alloc(mib), position);
    expect(position).toBe(tail);
    const last = content.read(Buffer.alloc(mib), position);
    const first = await Promise.race([last.then(() => "tail"), upstream.waitForBytes(bytes.length - 1).then(() => "upstream has sent all but a byte")]);
    expect(first).toBe("upstream has sent all but a byte");
    gate.resolve();
    expect(await last).toBe(64 * 1024);
  });

  test("is held back from a range that reaches it, and from none that ends before", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob" }, { holdBody: { atBytes: bytes.length - 1, until: gate.promise } });
    const tail = bytes.length - 64 * 1024;
    const before = await pullBlob(rig, repository, digest, { ranges: [range(tail - 100, tail - 1)] });
    expect(before.bytes.equals(bytes.subarray(tail - 100, tail))).toBe(true);
    await using content = await rig.cache.getBlob(repository, digest, { ...pullCall(), ranges: [range(tail - 100, tail + 99)] });
    const target = Buffer.alloc(200);
    expect(await content.read(target, tail - 100)).toBe(100);
    const reaching = content.read(target.subarray(100), tail);
    const first = await Promise.race([reaching.then(() => "tail"), upstream.waitForBytes(bytes.length - 1).then(() => "upstream has sent all but a byte")]);
    expect(first).toBe("upstream has sent all but a byte");
    gate.resolve();
    expect(await reaching).toBe(100);
    expect(target.equals(bytes.subarray(tail - 100, tail + 100))).toBe(true);
    expect(upstream.requests).toEqual([getOf(digest)]);
  });

  test("is never given when the bytes were wrong, nor a range that reaches it", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    upstream.when({ kind: "blob" }, { wrongBytes: { atBytes: bytes.length - 1 } });
    const tail = bytes.length - 64 * 1024;
    const pulled = await Promise.allSettled([pullBlob(rig, repository, digest), pullBlob(rig, repository, digest, { ranges: [range(tail)] })]);
    const failed = { status: "rejected", reason: { code: "UPSTREAM_UNAVAILABLE" } };
    expect(pulled).toMatchObject([failed, failed]);
    expect(upstream.requests).toEqual([getOf(digest), getOf(digest)]);
    await published(rig);
    expect(await temporaryFiles(rig)).toEqual([]);
  });
});

describe("ranges", () => {
  test("of a held blob are exact, in the order asked", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes } = all;
    await pullBlob(rig, repository, digest);
    await published(rig);
    const pulled = await pullBlob(rig, repository, digest, { ranges: [range(2_000_000, 2_000_099), range(5, 9), { suffixBytes: 3 }] });
    expect(pulled).toMatchObject({ kind: "partial", outcome: "hit" });
    expect(pulled.bytes.equals(Buffer.concat([bytes.subarray(2_000_000, 2_000_100), bytes.subarray(5, 10), bytes.subarray(-3)]))).toBe(true);
  });

  test("of an absent blob begin one fill, whatever was asked", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const pulled = await Promise.all([range(1_000_000), range(10, 19), range(0)].map((spec) => pullBlob(rig, repository, digest, { ranges: [spec] })));
    expect(pulled.map(({ bytes: part }) => part.length)).toEqual([bytes.length - 1_000_000, 10, bytes.length]);
    expect(pulled[0]?.bytes.equals(bytes.subarray(1_000_000))).toBe(true);
    expect(upstream.requests).toEqual([getOf(digest)]);
  });

  test("beyond the end are refused with the size, and the fill goes on", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes } = all;
    await expect(pullBlob(rig, repository, digest, { ranges: [range(bytes.length)] })).rejects.toMatchObject({
      code: "RANGE_INVALID",
      sizeBytes: bytes.length,
    });
    await expect(pullBlob(rig, repository, digest, { ranges: [range(9, 3)] })).rejects.toMatchObject({ code: "RANGE_INVALID", sizeBytes: bytes.length });
    await published(rig);
    expect((await pullBlob(rig, repository, digest)).outcome).toBe("hit");
  });

  test("far ahead of a slow fill are fetched on their own, shared by those who ask the same", async () => {
    await using all = await arrange({ sizeBytes: 64 * mib });
    const { rig, repository, digest, bytes, upstream } = all;
    upstream.when({ kind: "blob", ranged: false }, { bytesPerSecond: 2 * mib });
    await using first = await rig.cache.getBlob(repository, digest, pullCall());
    await first.read(Buffer.alloc(10), 0);
    const ahead = await Promise.all([1, 2, 3].map(() => pullBlob(rig, repository, digest, { ranges: [range(40 * mib, 40 * mib + 99_999)] })));
    for (const { bytes: part } of ahead) expect(part.equals(bytes.subarray(40 * mib, 40 * mib + 100_000))).toBe(true);
    expect(upstream.requests).toEqual([getOf(digest), getOf(digest, ` bytes=${40 * mib}-${40 * mib + 99_999}`)]);
  });
});

test("an empty blob is whole whatever range is asked of it", async () => {
  await using all = await arrange({ sizeBytes: 0 });
  const { rig, repository, digest } = all;
  for (let times = 0; times < 2; times += 1)
    expect(await pullBlob(rig, repository, digest, { ranges: [range(0, 5)] })).toMatchObject({ kind: "full", sizeBytes: 0 });
});

test("a blob without a length is chunked through, then held with its size", async () => {
  await using all = await arrange();
  const { rig, repository, digest, bytes, upstream } = all;
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob" }, { chunked: true, holdBody: { atBytes: mib, until: gate.promise } });
  await using content = await rig.cache.getBlob(repository, digest, pullCall());
  expect(content.descriptor.sizeBytes).toBeUndefined();
  gate.resolve();
  expect((await readBlob(content)).equals(bytes)).toBe(true);
  await published(rig);
  expect(await pullBlob(rig, repository, digest)).toMatchObject({ outcome: "hit", sizeBytes: bytes.length });
});

test("beyond the places of a registry fills wait their turn", async () => {
  await using all = await arrange({ fillsMax: 1 });
  const { rig, repository, digest, upstream } = all;
  const other = upstream.putBlob("team/app", seededBytes(mib, "second"));
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob", times: 1 }, { holdBody: { atBytes: 1_000, until: gate.promise } });
  const first = pullBlob(rig, repository, digest);
  await upstream.waitForRequests(1);
  const second = pullBlob(rig, repository, other);
  await expect.poll(() => rig.cache.fillCounts()).toMatchObject({ running: 1, waiting: 1 });
  expect(upstream.requests).toEqual([getOf(digest)]);
  gate.resolve();
  await Promise.all([first, second]);
  expect(upstream.requests).toEqual([getOf(digest), getOf(other)]);
});

test("a fill that crawls goes on at the next endpoint, at its offset", async () => {
  await using mirror = await startFakeUpstream();
  await using origin = await startFakeUpstream();
  const bytes = seededBytes(2 * mib);
  const digest = mirror.putBlob("team/app", bytes);
  origin.putBlob("team/app", bytes);
  mirror.when({ kind: "blob" }, { holdBody: { atBytes: mib, until: new Promise<void>(() => {}) } });
  const clock = new TestClock();
  await using rig = await startTestCache({ upstreams: [{ host: origin.host, endpoints: [{ url: mirror.url }] }], clock });
  await using content = await rig.cache.getBlob(repositoryAt(origin.host, "team/app"), digest, pullCall());
  await mirror.waitForBytes(mib);
  await clock.advance(10_001); // Two looks: one may fall into the fast beginning.
  expect((await readBlob(content)).equals(bytes)).toBe(true);
  expect(mirror.requests).toEqual([getOf(digest)]);
  expect(origin.requests).toHaveLength(1);
  expect(origin.requests[0]).toMatch(/ bytes=[0-9]{6,}-$/);
});

test("with its queue full a registry's absent manifests are refused early, and what is held is not", async () => {
  await using all = await arrange({ fillsMax: 1 });
  const { rig, repository, upstream } = all;
  const image = buildImage();
  const held = upstream.putManifest("team/app", "held", image.manifest.bytes, image.manifest.descriptor.mediaType);
  await pullManifest(rig, repository, "held");
  const newer = buildImage({ annotations: { is: "newer" } });
  upstream.putManifest("team/app", "absent", newer.manifest.bytes, newer.manifest.descriptor.mediaType);
  upstream.when({ kind: "blob" }, { silent: "before headers" });
  const pulls = Array.from({ length: 257 }, (_, at) =>
    pullBlob(rig, repository, `sha256:${at.toString(16).padStart(64, "0")}`).catch((error: unknown) => error),
  );
  await expect.poll(() => rig.cache.fillCounts()).toMatchObject({ running: 1, waiting: 256 });
  await expect(pullBlob(rig, repository, `sha256:${"f".repeat(64)}`)).rejects.toMatchObject({ code: "OVERLOADED", retryAfterMs: expect.any(Number) });
  await expect(pullManifest(rig, repository, "absent")).rejects.toMatchObject({ code: "OVERLOADED" });
  expect((await pullManifest(rig, repository, held)).outcome).toBe("hit");
  await rig.cache.close();
  await Promise.all(pulls);
});

test("however many ask while a download ends, it is not begun again", async () => {
  await using all = await arrange({ sizeBytes: 400_000 });
  const { rig, repository, digest, bytes, upstream } = all;
  let isOver = false;
  const first = pullBlob(rig, repository, digest).finally(() => (isOver = true));
  const asked: ReturnType<typeof pullBlob>[] = [];
  // One more in every turn of the event loop, from before the download to after its end.
  for (let after = 0; after < 50; after += isOver ? 1 : 0) {
    asked.push(pullBlob(rig, repository, digest));
    await new Promise(setImmediate);
  }
  for (const pulled of [await first, ...(await Promise.all(asked))]) expect(pulled.bytes.equals(bytes)).toBe(true);
  expect(upstream.requests).toEqual([getOf(digest)]);
});
