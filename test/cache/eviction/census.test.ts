/** What a census knows of a store that changes while it is counted, and what may go by it. */
import { describe, expect, test } from "vitest";
import { BegunRemovals } from "../../../src/cache/eviction/begun-removals.ts";
import { Census } from "../../../src/cache/eviction/census.ts";
import type { CensusImage } from "../../../src/cache/eviction/census-image.ts";
import type { Chosen } from "../../../src/cache/eviction/choice.ts";
import { removeChosen, type RemovedChosen } from "../../../src/cache/eviction/removing.ts";
import { HeldImages } from "../../../src/cache/held-images.ts";
import { systemClock } from "../../../src/oci/clock.ts";
import { depositImage, heldNames, missingParts, repositoryNamed } from "../../support/deposited-images.ts";
import { buildImage } from "../../support/images.ts";
import { openTestStore, type TestStore } from "../../support/test-store.ts";

const base = { "etc/base": "shared by all" };
const old = buildImage({ layers: [base, { "usr/old": "old" }] });
const late = buildImage({ layers: [base, { "usr/late": "late" }] });

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
