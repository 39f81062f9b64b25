/** What a census knows of a store that changes while it is counted, and what may go by it. */
import { mkdir, readFile, rm, truncate } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { BegunRemovals } from "../../../src/cache/eviction/begun-removals.ts";
import { Census } from "../../../src/cache/eviction/census.ts";
import type { CensusImage } from "../../../src/cache/eviction/census-image.ts";
import type { Chosen } from "../../../src/cache/eviction/choice.ts";
import { prune, type PruneEvent } from "../../../src/cache/eviction/prune.ts";
import { removeChosen, type RemovedChosen } from "../../../src/cache/eviction/removing.ts";
import { keepNothing } from "../../../src/cache/eviction/rules.ts";
import { HeldImages } from "../../../src/cache/held-images.ts";
import { systemClock } from "../../../src/oci/clock.ts";
import { repositoryName } from "../../../src/oci/repository.ts";
import { parseReference } from "../../../src/oci/reference.ts";
import { blobFiles, depositImage, heldNames, missingParts, repositoryNamed } from "../../support/deposited-images.ts";
import { buildImage } from "../../support/images.ts";
import { openTestStore, type TestStore } from "../../support/test-store.ts";

const base = { "etc/base": "shared by all" };
const old = buildImage({ layers: [base, { "usr/old": "old" }] });
const late = buildImage({ layers: [base, { "usr/late": "late" }] });
const hourMs = 3_600_000;

function openStore(root?: string): Promise<TestStore> {
  return openTestStore({ systemClock: true, ...(root === undefined ? {} : { root }) });
}

function censusOf(store: TestStore): Census {
  const census = new Census({ store, images: new HeldImages({ store }), clock: systemClock, restFactor: 0 });
  store.changes.listen(census);
  return census;
}

async function take(census: Census): Promise<void> {
  await census.takeBlobs();
  await Array.fromAsync(census.takeImages());
}

/** These images go, as they are known. */
function removeAll(store: TestStore, census: Census, images: readonly CensusImage[]): Promise<RemovedChosen> {
  const begun = new BegunRemovals({ tmp: store.layout.temporary(), instance: store.instance });
  const chosen = images.map((image): Chosen => ({ image, tags: image.tags, isWhole: true, reason: { kind: "name" } }));
  return removeChosen(chosen, { store, census, begun, clock: systemClock, settleMs: 0, isBusy: () => false });
}

/** Hours later, so that what no image needs is old enough to go. */
function pruneLater(store: TestStore, matches: (name: string) => boolean): Promise<PruneEvent[]> {
  const clock = { ...systemClock, now: () => systemClock.now() + 2 * hourMs };
  const images = new HeldImages({ store, clock });
  return Array.fromAsync(prune({ store, images, clock, restFactor: 0, waitMs: 0, settleMs: 0, rules: { matches, keep: keepNothing } }));
}

describe("an image that comes between the count and the removal", () => {
  test("keeps the layers that it shares with one that goes", async () => {
    await using store = await openStore();
    await depositImage(store, systemClock, "r.example.com/old:1", old);
    const census = censusOf(store);
    await take(census);
    await depositImage(store, systemClock, "r.example.com/late:1", late);
    const { chosen } = await removeAll(store, census, census.imagesOf(repositoryNamed("r.example.com/old")));
    expect(chosen).toHaveLength(1);
    expect(await heldNames(store, systemClock)).toEqual(["r.example.com/late:1"]);
    expect(await missingParts(store, systemClock)).toEqual([]);
  });

  test("in another process keeps them too, though this one has used them since", async () => {
    await using store = await openStore();
    await depositImage(store, systemClock, "r.example.com/old:1", old);
    const census = censusOf(store);
    await take(census);
    await using other = await openStore(store.layout.root);
    await depositImage(other, systemClock, "r.example.com/late:1", late);
    for (const digest of old.blobs.keys()) expect(await store.blobs.touch(digest)).toBe(true);
    await removeAll(store, census, census.imagesOf(repositoryNamed("r.example.com/old")));
    expect(await missingParts(other, systemClock)).toEqual([]);
  });

  test("and gives one that was to go another name keeps that one", async () => {
    await using store = await openStore();
    await depositImage(store, systemClock, "r.example.com/old:1", old);
    const census = censusOf(store);
    await take(census);
    const images = census.imagesOf(repositoryNamed("r.example.com/old"));
    await depositImage(store, systemClock, "r.example.com/old:2", old);
    expect(await removeAll(store, census, images)).toEqual({ chosen: [], blobs: 0, bytes: 0 });
    expect(await heldNames(store, systemClock)).toEqual(["r.example.com/old:1", "r.example.com/old:2"]);
    expect(await missingParts(store, systemClock)).toEqual([]);
  });
});

describe("what changes while images are counted", () => {
  const names = ["a", "b", "c"].map((name) => `r.example.com/${name}/x`);
  const last = repositoryNamed("r.example.com/c/x");

  async function deposited(): Promise<TestStore> {
    const store = await openStore();
    for (const name of names) await depositImage(store, systemClock, `${name}:1`, buildImage({ layers: [{ [name]: name }] }));
    return store;
  }

  /** Counts, and does `work` when the first image is known: the disk has been read further by then. */
  async function takeWhile(census: Census, work: () => Promise<unknown>): Promise<void> {
    await census.takeBlobs();
    for await (const { repository } of census.takeImages()) if (repositoryName(repository) === names[0]) await work();
  }

  test("is known to be uncounted when this process did it, and is counted then", async () => {
    await using store = await deposited();
    const census = censusOf(store);
    await takeWhile(census, () => depositImage(store, systemClock, "r.example.com/c/x:2", late));
    expect(census.isBehind).toBe(true);
    await census.catchUp();
    expect(census.imagesOf(last).map(({ tags }) => tags)).toEqual([["1"], ["2"]]);
  });

  test("is seen when something of it is to go, whoever did it", async () => {
    await using store = await deposited();
    await using other = await openStore(store.layout.root);
    const census = censusOf(store);
    await takeWhile(census, () => other.pins.put(last, parseReference("1")));
    await census.confirm(last);
    expect(census.imagesOf(last).map(({ isPinned }) => isPinned)).toEqual([true]);
  });

  test("is not forgotten for what had been read before it was counted", async () => {
    await using store = await deposited();
    const census = censusOf(store);
    await take(census);
    await takeWhile(census, async () => {
      await depositImage(store, systemClock, "r.example.com/c/x:2", late);
      await depositImage(store, systemClock, "r.example.com/d/x:1", old);
      await census.catchUp();
    });
    expect(census.imagesOf(last).map(({ tags }) => tags)).toEqual([["1"], ["2"]]);
    expect(census.imagesOf(repositoryNamed("r.example.com/d/x"))).toHaveLength(1);
  });
});

describe("a manifest that the disk does not give", () => {
  async function deposited(): Promise<TestStore> {
    const store = await openStore();
    await depositImage(store, systemClock, "r.example.com/kept:1", old);
    await depositImage(store, systemClock, "r.example.com/going:1", late);
    return store;
  }

  test("ends the prune before anything goes", async () => {
    await using store = await deposited();
    const path = store.layout.blob(old.manifest.descriptor.digest);
    const bytes = await readFile(path);
    await rm(path);
    await mkdir(path);
    const before = await blobFiles(store.layout.root);
    await expect(pruneLater(store, (name) => name.includes("going"))).rejects.toThrow("EISDIR");
    expect(await blobFiles(store.layout.root)).toEqual(before);
    await rm(path, { recursive: true });
    await store.blobs.put(old.manifest.descriptor.digest, bytes);
    expect(await missingParts(store, systemClock)).toEqual([]);
  });

  test("and is torn keeps everything of its repository, and what else is asked for goes", async () => {
    await using store = await deposited();
    await truncate(store.layout.blob(old.manifest.descriptor.digest), 7);
    const events = await pruneLater(store, () => true);
    expect(events.flatMap((event) => (event.kind === "image" ? [repositoryName(event.repository)] : []))).toEqual(["r.example.com/going"]);
    const left = await blobFiles(store.layout.root);
    for (const digest of [old.manifest.descriptor.digest, ...old.blobs.keys()]) expect(left.has(digest)).toBe(true);
    await store.blobs.put(old.manifest.descriptor.digest, old.manifest.bytes);
    expect(await heldNames(store, systemClock)).toEqual(["r.example.com/kept:1"]);
    expect(await missingParts(store, systemClock)).toEqual([]);
  });
});
