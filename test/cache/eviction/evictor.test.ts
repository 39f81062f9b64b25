/** A store that is filled beyond its size: it stays within it, and nobody's pull fails. */
import { readdir, stat } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { Evictor, type EvictorSettings } from "../../../src/cache/eviction/evictor.ts";
import { keepNothing } from "../../../src/cache/eviction/rules.ts";
import { HeldImages } from "../../../src/cache/held-images.ts";
import type { FillRoom } from "../../../src/cache/fill-room.ts";
import { systemClock } from "../../../src/oci/clock.ts";
import { parseReference } from "../../../src/oci/reference.ts";
import type { Repository } from "../../../src/oci/repository.ts";
import { heldNames, missingParts } from "../../support/deposited-images.ts";
import { startFakeUpstream } from "../../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../../support/images.ts";
import { KeptLog } from "../../support/kept-log.ts";
import { lookUntil } from "../../support/looking.ts";
import { mountSmallDisk } from "../../support/small-disk.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache, type TestCache } from "../../support/test-cache.ts";

const layerBytes = 256 * 1024;
const mebibyte = 1024 * 1024;
/** What a manifest that has just come takes with its records, before it is counted. */
const recordsBytes = 64 * 1024;

function imageOf(name: string): BuiltImage {
  return buildImage({ layers: [{ "usr/shared": seededBytes(layerBytes, "shared") }, { [`usr/${name}`]: seededBytes(layerBytes, name) }] });
}

interface Rig extends AsyncDisposable {
  readonly rig: TestCache;
  readonly evictor: Evictor;
  readonly upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  repository(name: string): Repository;
  /** All of an image, as a client pulls it; how each blob was answered. */
  pull(name: string): Promise<readonly string[]>;
  held(): Promise<readonly string[]>;
}

async function arrange(settings: Partial<EvictorSettings> & { totalBytes?: number }, images: readonly string[], root?: string): Promise<Rig> {
  const upstream = await startFakeUpstream();
  for (const name of images) upstream.putImage(name, "1", imageOf(name));
  const { totalBytes, ...more } = settings;
  const limits = totalBytes === undefined ? undefined : { totalBytes, byHost: new Map(), lowWater: 0.75 };
  // The store is the cache's, and the cache asks for room: whoever comes second is handed to the first.
  const room: { current?: FillRoom } = {};
  const rig = await startTestCache({
    upstreams: [upstream.host],
    ...(root === undefined ? {} : { root }),
    room: { claim: async (wanted) => await room.current?.claim(wanted) },
  });
  const { store } = rig;
  const log = new KeptLog();
  const evictor = new Evictor({
    store,
    images: new HeldImages({ store, clock: systemClock }),
    clock: systemClock,
    log,
    background: store.background,
    settings: { limits, keep: keepNothing, ...more },
  });
  room.current = evictor;
  const isCounted = (): boolean => limits === undefined || log.lines.some((line) => line.includes("what is held has been counted"));
  expect(await lookUntil(async () => isCounted(), Boolean, { waitMs: 10_000 })).toBe(true);
  const repository = (name: string): Repository => repositoryAt(upstream.host, name);
  return {
    rig,
    evictor,
    upstream,
    repository,
    async pull(name) {
      const { blobs } = imageOf(name);
      await pullManifest(rig, repository(name), "1");
      const outcomes: string[] = [];
      for (const [digest, bytes] of blobs) {
        const blob = await pullBlob(rig, repository(name), digest);
        expect(blob.bytes.equals(bytes)).toBe(true);
        outcomes.push(blob.outcome);
      }
      return outcomes;
    },
    held: async () => (await heldNames(store, systemClock)).map((name) => name.replace(`${upstream.host}/`, "")),
    async [Symbol.asyncDispose]() {
      await rig.cache.close();
      await evictor.close();
      await rig[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
}

/** What all files and folders take. */
async function takenBytes(root: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(root, { recursive: true })) {
    sum += await stat(`${root}/${name}`).then(
      ({ blocks }) => blocks * 512,
      () => 0,
    ); // Gone meanwhile.
  }
  return sum;
}

const names = ["a", "b", "c", "d", "e", "f", "g", "h"];

describe("over its size", () => {
  test("the images that were used least recently go, whole, and every pull is answered and kept", async () => {
    const totalBytes = 2 * mebibyte;
    await using one = await arrange({ totalBytes }, names);
    for (const name of names) {
      await one.pull("a");
      await one.pull(name);
      expect(await takenBytes(one.rig.store.layout.root)).toBeLessThanOrEqual(totalBytes + recordsBytes);
    }
    const held = await one.held();
    expect(held).toContain("a:1");
    expect(held).toContain("h:1");
    expect(held).not.toContain("b:1");
    // What was answered last is on its way to its name.
    const missing = await lookUntil(
      () => missingParts(one.rig.store, systemClock),
      (parts) => parts.length === 0,
      { waitMs: 10_000 },
    );
    expect(missing).toEqual([]);
    expect(one.evictor.figures().evictions[0]).toMatchObject({ host: undefined, images: names.length - held.length });
    // Nobody had to fetch what was used all the time twice.
    expect(one.upstream.requests.filter((request) => request === "HEAD /v2/a/manifests/1")).toHaveLength(1);
  });

  test("what is read is read to its end, though its image is gone", async () => {
    await using one = await arrange({ totalBytes: 2 * mebibyte }, names);
    await one.pull("a");
    const [layer] = imageOf("a").layers.slice(1);
    const bytes = imageOf("a").blobs.get(layer ?? ("" as never));
    if (!layer || !bytes) throw new Error("an image has layers");
    expect(await lookUntil(() => one.rig.store.blobs.has(layer), Boolean, { waitMs: 10_000 })).toBe(true);
    const call = { signal: new AbortController().signal, requestId: "slow", purpose: "pull", mayFetch: false } as const;
    await using content = await one.rig.cache.getBlob(one.repository("a"), layer, call);
    const target = Buffer.alloc(bytes.byteLength);
    expect(await content.read(target.subarray(0, 1_000), 0)).toBe(1_000);
    for (const name of names.slice(1)) await one.pull(name);
    for (let at = 1_000; at < target.byteLength;) at += await content.read(target.subarray(at), at);
    expect(target.equals(bytes)).toBe(true);
  });

  test("what is pinned stays, and what finds no room passes through", async () => {
    await using one = await arrange({ totalBytes: 1.5 * mebibyte }, names);
    await one.pull("a");
    await one.rig.store.pins.put(one.repository("a"), parseReference("1"));
    const outcomes = new Set<string>();
    for (const name of names.slice(1)) for (const outcome of await one.pull(name)) outcomes.add(outcome);
    expect(await one.held()).toContain("a:1");
    expect((await missingParts(one.rig.store, systemClock)).filter((part) => part.includes("/a:1 "))).toEqual([]);
    expect(await takenBytes(one.rig.store.layout.root)).toBeLessThanOrEqual(1.5 * mebibyte + recordsBytes);
  });

  test("a blob that is larger than the limit passes through, and nothing goes for its sake", async () => {
    await using one = await arrange({ totalBytes: mebibyte }, ["a"]);
    await one.pull("a");
    const bytes = seededBytes(2 * mebibyte, "huge");
    const huge = buildImage({ layers: [{ huge: bytes }] });
    one.upstream.putImage("huge", "1", huge);
    const [layer = ""] = huge.layers;
    await pullManifest(one.rig, one.repository("huge"), "1");
    expect((await pullBlob(one.rig, one.repository("huge"), layer)).outcome).toBe("passed");
    expect(await one.held()).toContain("a:1");
  });
});

test("a registry's own limit takes that registry's images only", async () => {
  const other = await startFakeUpstream();
  other.putImage("x", "1", imageOf("x"));
  await using one = await arrange({}, names);
  const host = one.repository("a").host;
  one.evictor.reconfigure({ limits: { byHost: new Map([[host, 1.5 * mebibyte]]), lowWater: 0.75 }, keep: keepNothing });
  expect(
    await lookUntil(
      async () => one.evictor.figures().budgets.length,
      (count) => count === 1,
      { waitMs: 10_000 },
    ),
  ).toBe(1);
  for (const name of names) await one.pull(name);
  const [budget] = one.evictor.figures().budgets;
  expect(budget).toMatchObject({ host, limitBytes: 1.5 * mebibyte });
  expect(budget?.takenBytes).toBeLessThanOrEqual(1.5 * mebibyte);
  expect((await one.held()).length).toBeLessThan(names.length);
  await other.close();
});

test("without a limit a blob that the disk has no room for passes through without being begun", async () => {
  await using disk = await mountSmallDisk(8 * mebibyte);
  await using one = await arrange({}, ["a"], disk.path);
  await disk.fill(600 * 1024);
  const huge = buildImage({ layers: [{ huge: seededBytes(2 * mebibyte, "huge") }] });
  one.upstream.putImage("huge", "1", huge);
  await pullManifest(one.rig, one.repository("huge"), "1");
  const [layer = ""] = huge.layers;
  expect((await pullBlob(one.rig, one.repository("huge"), layer)).outcome).toBe("passed");
  expect((await readdir(one.rig.store.instance.path)).filter((name) => name.endsWith(".part"))).toEqual([]);
  expect(one.rig.store.status()).toMatchObject({ writable: false });
});
