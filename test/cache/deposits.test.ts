import { readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DepositRefused, StoreUnwritable } from "../../src/cache/deposit-failures.ts";
import { Deposits } from "../../src/cache/deposits.ts";
import { HeldManifests } from "../../src/cache/held-manifests.ts";
import { Grants } from "../../src/cache/grants.ts";
import { isThere } from "../../src/cache/atomic-write.ts";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes, type BuiltImage } from "../support/images.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";

const host = parseRegistryHost("registry.example.com");
const other = parseRegistryHost("other.example.com");
const repository = repositoryOf(host, parseRepositoryPath("team/app"));
const tag = parseTag("1");

async function* piecesOf(bytes: Uint8Array, pieceBytes = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

function arrange(store: TestStore): Deposits {
  return new Deposits({ store, clock: store.clock });
}

async function depositImage(deposits: Deposits, image: BuiltImage): Promise<void> {
  for (const [digest, bytes] of image.blobs) await deposits.blob(host, { digest, sizeBytes: bytes.byteLength }, piecesOf(bytes));
  await deposits.manifest(repository, { bytes: image.manifest.bytes, mediaType: image.manifest.descriptor.mediaType });
}

async function temporaryFiles(store: TestStore): Promise<readonly string[]> {
  return (await readdir(store.layout.temporary(), { recursive: true })).filter((name) => name.includes("/"));
}

describe("a blob", () => {
  const bytes = seededBytes(1_000_000);
  const blob = { digest: digestOf(bytes), sizeBytes: bytes.byteLength };

  test("is kept under its digest, for the registry on whose behalf it came and for no other", async () => {
    await using store = await openTestStore();
    expect(await arrange(store).blob(host, blob, piecesOf(bytes))).toBe("kept");
    await using held = await opened(store);
    expect(held.bytes.equals(bytes)).toBe(true);
    expect(await store.provenance.covers(host, blob.digest)).toBe(true);
    expect(await store.provenance.covers(other, blob.digest)).toBe(false);
    expect(await temporaryFiles(store)).toEqual([]);
  });

  const flipped = Buffer.from(bytes);
  flipped[500_000] = (flipped[500_000] ?? 0) ^ 1;

  test.each([
    ["has one flipped byte", flipped, /its bytes are wrong/],
    ["is too short", bytes.subarray(0, 999_999), /999999 bytes instead of 1000000/],
    ["is too long", Buffer.concat([bytes, Buffer.from("x")]), /more than its 1000000 bytes/],
    ["is empty", Buffer.alloc(0), /0 bytes instead of 1000000/],
  ])("that %s is refused by its name, and nothing of it stays", async (_, wrong, reason) => {
    await using store = await openTestStore();
    const refusal = await arrange(store)
      .blob(host, blob, piecesOf(wrong))
      .catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DepositRefused);
    expect(refusal).toMatchObject({ digest: blob.digest, message: expect.stringMatching(reason) });
    expect(await store.blobs.has(blob.digest)).toBe(false);
    expect(await store.provenance.covers(host, blob.digest)).toBe(false);
    expect(await temporaryFiles(store)).toEqual([]);
  });

  test("that is held already is hashed all the same, and not written again", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await deposits.blob(host, blob, piecesOf(bytes));
    const before = await stat(store.layout.blob(blob.digest));
    await expect(deposits.blob(other, blob, piecesOf(flipped))).rejects.toThrow(/its bytes are wrong/);
    expect(await store.provenance.covers(other, blob.digest)).toBe(false);
    expect(await deposits.blob(other, blob, piecesOf(bytes))).toBe("held");
    expect(await store.provenance.covers(other, blob.digest)).toBe(true);
    expect((await stat(store.layout.blob(blob.digest))).ino).toBe(before.ino);
  });

  test("that two bring at once is kept once, and both are told so", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    const outcomes = await Promise.all([host, other, host].map((each) => deposits.blob(each, blob, piecesOf(bytes))));
    expect(outcomes.toSorted()).toContain("kept");
    await using held = await opened(store);
    expect(held.bytes.equals(bytes)).toBe(true);
    expect(await store.provenance.covers(other, blob.digest)).toBe(true);
    expect(await temporaryFiles(store)).toEqual([]);
  });

  test("that is staged once and kept for two registries at once is kept for both", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await using staged = await deposits.stage(piecesOf(bytes));
    expect(staged.digest).toBe(blob.digest);
    await Promise.all([host, other, host, other].map((each) => deposits.keep(each, staged)));
    for (const each of [host, other]) expect(await deposits.covers(each, blob)).toBe(true);
    expect(await temporaryFiles(store)).toEqual([]);
  });

  test("that was held when it was staged and has gone since is refused, not made believe", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await deposits.blob(host, blob, piecesOf(bytes));
    await using staged = await deposits.stage(piecesOf(bytes), { expected: blob });
    await rm(store.layout.blob(blob.digest), { force: true });
    await store.clock.advance(2_000);
    await expect(deposits.keep(host, staged)).rejects.toThrow(/went from the store meanwhile/);
  });

  test("whose source breaks leaves nothing, and the source's own words", async () => {
    await using store = await openTestStore();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 1_000);
      throw new Error("the cable was pulled");
    }
    await expect(arrange(store).blob(host, blob, broken())).rejects.toThrow("the cable was pulled");
    expect(await temporaryFiles(store)).toEqual([]);
  });

  async function opened(store: TestStore): Promise<{ readonly bytes: Buffer } & AsyncDisposable> {
    const file = await store.blobs.open(blob.digest, blob.sizeBytes);
    if (!file) throw new Error("not held");
    const read = Buffer.alloc(blob.sizeBytes);
    await file.handle.read(read, 0, read.byteLength, 0);
    return { bytes: read, [Symbol.asyncDispose]: async () => file.release() };
  }
});

describe("a full disk", () => {
  test("refuses what it has no room for before it is full of it, and says how much there is", async () => {
    await using disk = await mountSmallDisk(8 * 1024 * 1024);
    await using store = await openTestStore({ root: join(disk.path, "store") });
    const bytes = seededBytes(20 * 1024 * 1024);
    let piecesRead = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of piecesOf(bytes)) {
        piecesRead += 1;
        yield piece;
      }
    }
    const refusal = arrange(store).blob(host, { digest: digestOf(bytes), sizeBytes: bytes.byteLength }, counted());
    await expect(refusal).rejects.toThrow(StoreUnwritable);
    await expect(refusal).rejects.toThrow(/has 20971520 bytes, and the disk has room for [0-9]+/);
    expect(piecesRead).toBe(0);
  });

  test("has nothing to do with a temporary folder that somebody removed: it is made again", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    const bytes = seededBytes(1_000);
    await deposits.blob(host, { digest: digestOf(bytes), sizeBytes: 1_000 }, piecesOf(bytes));
    await rm(store.layout.temporary(), { recursive: true });
    const more = seededBytes(1_000, "more");
    expect(await deposits.blob(host, { digest: digestOf(more), sizeBytes: 1_000 }, piecesOf(more))).toBe("kept");
  });

  test("that fills up on the way leaves nothing of the blob, and is told of; with room it goes on", async () => {
    await using disk = await mountSmallDisk(8 * 1024 * 1024);
    await using store = await openTestStore({ root: join(disk.path, "store") });
    const deposits = arrange(store);
    const bytes = seededBytes(4 * 1024 * 1024);
    const blob = { digest: digestOf(bytes), sizeBytes: bytes.byteLength };
    async function* filling(): AsyncGenerator<Uint8Array> {
      let isFull = false;
      for await (const piece of piecesOf(bytes)) {
        yield piece;
        if (!isFull) await disk.fill(100_000);
        isFull = true;
      }
    }
    await expect(deposits.blob(host, blob, filling())).rejects.toThrow(/cannot be written to the store: ENOSPC/);
    expect(await temporaryFiles(store)).toEqual([]);
    expect(store.status()).toMatchObject({ writable: false });
    await disk.relieve();
    expect(await deposits.blob(host, blob, piecesOf(bytes))).toBe("kept");
    expect(store.status()).toEqual({ writable: true });
  });
});

describe("a manifest", () => {
  const image = buildImage();

  test("is refused while a blob that it names is missing, and is then nowhere to be seen", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    const [first, ...rest] = [...image.blobs];
    for (const [digest, bytes] of rest) await deposits.blob(host, { digest, sizeBytes: bytes.byteLength }, piecesOf(bytes));
    await expect(deposits.manifest(repository, { bytes: image.manifest.bytes })).rejects.toThrow(`it names ${first?.[0]}, which is not held`);
    expect(await store.repositories.findManifest(repository, image.manifest.descriptor.digest)).toBeUndefined();
    await expect(deposits.tag(repository, tag, image.manifest.descriptor.digest, { checkedAtMs: 1 })).rejects.toThrow(/does not hold it/);
    expect(await store.repositories.listTags(repository)).toEqual([]);
  });

  test("is refused over bytes that only another registry delivered: naming a private digest gives no right to it", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    for (const [digest, bytes] of image.blobs) await deposits.blob(other, { digest, sizeBytes: bytes.byteLength }, piecesOf(bytes));
    await expect(deposits.manifest(repository, { bytes: image.manifest.bytes })).rejects.toThrow(/which is not held/);
  });

  test("of other bytes than its digest, and what is no manifest, are refused by name", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    const { digest } = image.manifest.descriptor;
    await expect(deposits.manifest(repository, { bytes: Buffer.from('{"layers":[]}'), digest })).rejects.toThrow(digest);
    await expect(deposits.manifest(repository, { bytes: Buffer.from("no JSON") })).rejects.toThrow(DepositRefused);
    expect(await store.blobs.has(digest)).toBe(false);
  });

  test("with its blobs and its tag is what a pull finds, and its referrer stands under it", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await depositImage(deposits, image);
    const index = buildIndex([image]);
    const digest = await deposits.manifest(repository, { bytes: index.manifest.bytes, mediaType: index.manifest.descriptor.mediaType });
    await deposits.tag(repository, tag, digest, { checkedAtMs: 5_000 });
    const signature = buildArtifact(index.manifest);
    await depositImage(deposits, signature);
    expect(await store.repositories.findTag(repository, tag)).toMatchObject({ digest, checkedAtMs: 5_000 });
    const held = new HeldManifests({ store, grants: new Grants(store) });
    expect((await held.find(repository, digest))?.bytes).toEqual(Buffer.from(index.manifest.bytes));
    expect(await store.referrers.listHeld(repository, digest)).toEqual([signature.manifest.descriptor.digest]);
  });

  test("of an index may lack children: an image is complete on the platforms that were brought", async () => {
    await using store = await openTestStore();
    const index = buildIndex([image, buildImage({ platform: "linux/arm64" })]);
    expect(await arrange(store).manifest(repository, { bytes: index.manifest.bytes })).toBe(index.manifest.descriptor.digest);
  });
});

describe("beside a prune", () => {
  const image = buildImage();
  const layer = image.layers[0] ?? image.config;

  test("what was brought a long time ago is not taken for what nobody needs any more, once it is brought again", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await depositImage(deposits, image);
    const path = store.layout.blob(layer);
    await utimes(path, 1_000, 1_000);
    const { mtimeMs } = await stat(path);
    expect(await deposits.vouch(other, { digest: layer, sizeBytes: image.blobs.get(layer)?.byteLength ?? 0 })).toBe(true);
    expect(await store.blobs.remove(layer, { mtimeMs })).toBe("changed");
    expect(await store.blobs.has(layer)).toBe(true);
  });

  test("that takes a blob at the worst moment, a manifest is refused and not seen, or the blob is there", async () => {
    let refused = 0;
    for (let round = 0; round < 30; round += 1) {
      await using store = await openTestStore();
      const deposits = arrange(store);
      for (const [digest, bytes] of image.blobs) await deposits.blob(host, { digest, sizeBytes: bytes.byteLength }, piecesOf(bytes));
      const { digest } = image.manifest.descriptor;
      const deposit = deposits.manifest(repository, { bytes: image.manifest.bytes }).catch((error: unknown) => error);
      await takeAway(store, digest, round);
      const outcome = await deposit;
      const isSeen = await isThere(store.layout.manifest(repository, digest));
      expect([round, isSeen]).toEqual([round, outcome === digest]);
      if (isSeen) expect([round, await store.blobs.has(layer)]).toEqual([round, true]);
      if (outcome instanceof DepositRefused) refused += 1;
    }
    expect(refused).toBeGreaterThan(0);
  });

  /** Waits for some turns, and removes the layer unless the record says by now that it is needed. */
  async function takeAway(store: TestStore, needer: Digest, turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    const { mtimeMs } = await stat(store.layout.blob(layer));
    if (!(await isThere(store.layout.manifest(repository, needer)))) await store.blobs.remove(layer, { mtimeMs });
  }
});

describe("when somebody else removes what was kept", () => {
  const image = buildImage();
  const { digest } = image.manifest.descriptor;

  test("a manifest whose own bytes go as it is written is refused, and not seen", async () => {
    await using store = await openTestStore();
    const putManifest = store.repositories.putManifest.bind(store.repositories);
    store.repositories.putManifest = async (...record) => {
      await putManifest(...record);
      await rm(store.layout.blob(digest));
    };
    await expect(depositImage(arrange(store), image)).rejects.toThrow(`${digest}: it was removed from the store meanwhile`);
    expect(await store.repositories.findManifest(repository, digest)).toBeUndefined();
  });

  test("a tag does not get a meaning that is gone, however lately it was seen", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await depositImage(deposits, image);
    await store.repositories.findManifest(repository, digest);
    await rm(store.layout.manifest(repository, digest));
    await expect(deposits.tag(repository, tag, digest)).rejects.toThrow("does not hold it");
    expect(await store.repositories.findTag(repository, tag)).toBeUndefined();
  });

  test.each([
    ["its record", (store: TestStore) => store.layout.manifest(repository, digest), digest],
    ["its bytes", (store: TestStore) => store.layout.blob(digest), digest],
    ["a layer", (store: TestStore) => store.layout.blob(image.layers[0] ?? expect.fail()), image.layers[0] ?? expect.fail()],
  ])("what is confirmed has to be whole: not without %s", async (_, path, gone) => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await depositImage(deposits, image);
    await deposits.confirm(repository, [digest]);
    await rm(path(store));
    await expect(deposits.confirm(repository, [digest])).rejects.toThrow(`${gone}: it was removed from the store meanwhile: bring it again`);
  });

  test("what was confirmed is touched: whoever was about to remove it leaves it", async () => {
    await using store = await openTestStore();
    const deposits = arrange(store);
    await depositImage(deposits, image);
    const needed = [digest, ...image.blobs.keys()];
    for (const one of needed) await utimes(store.layout.blob(one), 1, 1);
    await deposits.confirm(repository, [digest]);
    for (const one of needed) expect((await stat(store.layout.blob(one))).mtimeMs).toBe(store.clock.now());
  });
});

test("a tag that means the same as before is not written again, and never made older", async () => {
  await using store = await openTestStore();
  const deposits = arrange(store);
  const image = buildImage();
  await depositImage(deposits, image);
  const { digest } = image.manifest.descriptor;
  await deposits.tag(repository, tag, digest, { checkedAtMs: 5_000 });
  const before = await stat(store.layout.tag(repository, tag));
  await deposits.tag(repository, tag, digest, { checkedAtMs: 4_000 });
  expect(await store.repositories.findTag(repository, tag)).toMatchObject({ checkedAtMs: 5_000 });
  await deposits.tag(repository, tag, digest, { checkedAtMs: 6_000 });
  expect(await store.repositories.findTag(repository, tag)).toMatchObject({ checkedAtMs: 6_000 });
  expect((await stat(store.layout.tag(repository, tag))).ino).toBe(before.ino);
});
