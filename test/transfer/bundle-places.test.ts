import { createHash } from "node:crypto";
import { readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Deposits } from "../../src/cache/deposits.ts";
import { HeldImages } from "../../src/cache/held-images.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { hexOf, parseDigest, type Digest } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { writeBundle } from "../../src/transfer/bundle-output.ts";
import { BundleReader } from "../../src/transfer/bundle-reader.ts";
import { openStream } from "../../src/transfer/byte-source.ts";
import { importBundle } from "../../src/transfer/import.ts";
import { takeReceipt } from "../../src/transfer/store-receipt.ts";
import { findWanted } from "../../src/transfer/wanted-images.ts";
import { exported, importInto, openSide, pullsWhole, seenIn, type Side } from "../support/bundle-sides.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { requireRoot } from "../support/programs.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { pullBlob, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const name = "quay.io/team/app:1";
const app = buildIndex([buildImage({ layers: [{ "usr/app": seededBytes(700_000, "app") }] }), buildImage({ platform: "linux/arm64" })]);

let folder: TemporaryFolder;
let here: Side;
let there: Side;
const file = (path: string): string => join(folder.path, path);

beforeEach(async () => {
  folder = await temporaryFolder();
  [here, there] = [await openSide(), await openSide()];
  await here.keep(name, app);
});

afterEach(async () => {
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

test.runIf(requireRoot())("a full disk is told, shows nothing, and the next import finishes once there is room", { timeout: 60_000 }, async () => {
  await exported(here, { images: [name], output: file("images.tar") });
  await using disk = await mountSmallDisk(4 * 1024 * 1024);
  await using cache = await startTestCache({ upstreams: [], root: join(disk.path, "store"), freshness: { airGapped: true } });
  const side: Side = Object.assign(cache, { deposits: new Deposits({ store: cache.store, clock: systemClock }), keep: () => Promise.resolve() });
  await disk.fill(300_000);
  await expect(importInto(side, file("images.tar"))).rejects.toThrow(/cannot be written to the store: .*ENOSPC/);
  expect(await seenIn(side, [name])).toEqual([]);
  await disk.relieve();
  await importInto(side, file("images.tar"));
  expect(await pullsWhole(side, name, app)).toBe(true);
});

test("two imports of one bundle at once both end well", async () => {
  await exported(here, { images: [name], output: file("images.tar.zst") });
  await Promise.all([importInto(there, file("images.tar.zst")), importInto(there, file("images.tar.zst"))]);
  expect(await pullsWhole(there, name, app)).toBe(true);
});

test("a pipe that gives a byte at a time is as good as a file", async () => {
  const small = buildImage({ layers: [{ a: "b" }] });
  await here.keep("quay.io/team/small:1", small);
  await exported(here, { images: ["quay.io/team/small:1"], output: file("small.tar") });

  const bytes = await readFile(file("small.tar"));
  async function* drops(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.byteLength; at++) yield bytes.subarray(at, at + 1);
  }
  await using source = await openStream(drops());
  const reader = new BundleReader({ source, next: undefined });
  await importBundle({ store: there.store, clock: systemClock, reader, keepTags: false, signal: AbortSignal.timeout(60_000) });
  expect(await pullsWhole(there, "quay.io/team/small:1", small)).toBe(true);
});

test("a pipe whose reader goes away ends the export with its error", async () => {
  const bytes = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(100_000);
  };
  const closed = new Writable({ write: (_piece, _encoding, done) => done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" })) });
  await expect(writeBundle(bytes(), { output: "-", standardOutput: () => closed })).rejects.toThrow("write EPIPE");
});

test("digests of SHA-512 are carried, whose names are too long for plain tar", async () => {
  const layer = Buffer.from("a layer that somebody named by SHA-512");
  const digest = parseDigest(`sha512:${createHash("sha512").update(layer).digest("hex")}`);
  const config = Buffer.from("{}");
  const configDigest = parseDigest(`sha256:${createHash("sha256").update(config).digest("hex")}`);
  const repository = repositoryAt("quay.io", "team/long");
  for (const [named, bytes] of [
    [digest, layer],
    [configDigest, config],
  ] as const) {
    await here.deposits.blob(repository.host, { digest: named, sizeBytes: bytes.byteLength }, piece(bytes));
  }
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: configDigest, size: config.byteLength },
      layers: [{ mediaType: "application/octet-stream", digest, size: layer.byteLength }],
    }),
  );
  await here.deposits.tag(repository, parseTag("1"), await here.deposits.manifest(repository, { bytes: manifest }), { checkedAtMs: 1 });
  await exported(here, { images: ["quay.io/team/long:1"], output: file("long.tar") });
  await importInto(there, file("long.tar"));
  expect((await pullBlob(there, repository, digest)).bytes.equals(layer)).toBe(true);
});

test("what an import has taken is touched every 20 minutes, however long one blob takes, so that no sweep takes it before it is named", async () => {
  const layers = ["one", "two", "three"].map((part) => ({ [`usr/${part}`]: seededBytes(700_000, part) }));
  const large = buildImage({ layers });
  const [held, taken, slow] = large.layers.toSorted();
  if (held === undefined || taken === undefined || slow === undefined) expect.fail("an image of three layers");
  await here.keep(name, large);
  await exported(here, { images: [name], output: file("images.tar") });
  const heldBytes = large.blobs.get(held) ?? expect.fail();
  await there.deposits.blob(repositoryAt("quay.io", "team/app").host, { digest: held, sizeBytes: heldBytes.byteLength }, piecesOf(heldBytes));

  const bytes = await readFile(file("images.tar"));
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
  async function* stick(): AsyncGenerator<Uint8Array> {
    const at = bytes.indexOf(`blobs/sha256/${hexOf(slow ?? expect.fail())}`) + 100_000;
    yield bytes.subarray(0, at);
    await arrived;
    yield bytes.subarray(at);
  }
  const clock = new TestClock();
  await using source = await openStream(stick());
  const reader = new BundleReader({ source, next: undefined });
  const importing = importBundle({ store: there.store, clock, reader, keepTags: false, signal: AbortSignal.timeout(60_000) });
  const ageOf = async (digest: Digest): Promise<number> => (await stat(there.store.layout.blob(digest)).catch(() => undefined))?.mtimeMs ?? 0;
  await expect.poll(() => ageOf(taken)).toBeGreaterThan(1_000);
  for (let times = 0; times < 3; times += 1) {
    await expect.poll(() => clock.waiting).toBe(1);
    for (const digest of [held, taken]) await utimes(there.store.layout.blob(digest), 1, 1);
    await clock.advance(20 * 60_000);
    for (const digest of [held, taken]) await expect.poll(() => ageOf(digest)).toBeGreaterThan(1_000);
  }
  arrive();
  await importing;
  expect(clock.waiting).toBe(0);
  expect(await pullsWhole(there, name, large)).toBe(true);
});

test("an import beside which somebody removes a part of an image fails, and the next one brings it whole", async () => {
  await exported(here, { images: [name], output: file("images.tar") });
  const child = app.images[1]?.manifest.descriptor.digest ?? expect.fail();
  removeBeforeIndex(there, child);
  await expect(importInto(there, file("images.tar"))).rejects.toThrow(`${child}: it was removed from the store meanwhile`);
  await importInto(there, file("images.tar"));
  expect(await pullsWhole(there, name, app)).toBe(true);
});

test("a receipt's hold does not shorten a pin that lasts longer", async () => {
  const repository = repositoryAt("quay.io", "team/app");
  const { digest } = app.manifest.descriptor;
  const { pins } = here.store;
  const images = new HeldImages({ store: here.store });
  const take = (holdMs: number) => takeReceipt({ images, pins, clock: systemClock, holdMs, digestsOnly: true, signal: AbortSignal.timeout(30_000) });
  await take(1_000_000);
  const [first] = await pins.list(repository);
  await take(500_000);
  expect((await pins.list(repository))[0]?.untilMs).toBe(first?.untilMs);
  await pins.put(repository, { kind: "digest", digest }, { reason: "for good" });
  await take(2_000_000);
  expect(await pins.list(repository)).toMatchObject([{ reason: "for good" }]);
});

test("what was used since a time is found by its pulls, and tags by their names", async () => {
  await here.keep("quay.io/team/app:other", app);
  await here.keep("docker.io/library/idle:1", buildImage({ layers: [{ a: "idle" }] }));
  await utimes(here.store.layout.manifest(repositoryAt("quay.io", "team/app"), app.manifest.descriptor.digest), new Date(), new Date(2_000_000_000_000));
  const images = new HeldImages({ store: here.store });
  const find = async (more: { matches?: (word: string) => boolean; usedAfterMs?: number }): Promise<readonly string[]> => {
    const options = { images, matches: undefined, usedAfterMs: -Infinity, signal: AbortSignal.timeout(30_000), ...more };
    return (await findWanted(options)).map(({ repository, tags }) => `${repository.path}:${tags.join(",")}`);
  };
  expect(await find({})).toEqual(["library/idle:1", "team/app:1,other"]);
  expect(await find({ usedAfterMs: 1_900_000_000_000 })).toEqual(["team/app:1,other"]);
  expect(await find({ matches: (word) => word.endsWith(":other") })).toEqual(["team/app:other"]);
});

test("signatures stay behind where nobody wants them", async () => {
  const signature = buildArtifact(app.manifest);
  await here.keep(`quay.io/team/app@${signature.manifest.descriptor.digest}`, signature);
  const all = await exported(here, { images: [name], output: file("all.tar") });
  const bare = await exported(here, { images: [name], output: file("bare.tar"), referrers: false });
  expect(all.blobCount - bare.blobCount).toBe(3);
});

async function* piece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Once: a child goes when it is here and its index is not yet, as a prune in another process would have it. */
function removeBeforeIndex({ store }: Side, child: Digest): void {
  const { repositories } = store;
  const putManifest = repositories.putManifest.bind(repositories);
  repositories.putManifest = async (repository, record) => {
    if (record.digest === app.manifest.descriptor.digest) {
      repositories.putManifest = putManifest;
      await rm(store.layout.manifest(repository, child));
    }
    await putManifest(repository, record);
  };
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
