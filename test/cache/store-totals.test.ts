import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StoredHoldings } from "../../src/cache/stored-holdings.ts";
import { StoreTotals, type Totals } from "../../src/cache/store-totals.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { silentLog } from "../../src/oci/log.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { repositoryAt } from "../support/test-cache.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";

function totalsOf(store: TestStore): StoreTotals {
  const { clock, background } = store;
  return new StoreTotals({ store, holdings: new StoredHoldings({ store, clock }), clock, log: silentLog, background });
}

async function putManifest(store: TestStore, repository: string, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  const digest = digestOf(bytes);
  await store.blobs.put(digest, bytes);
  await store.repositories.putManifest(repositoryAt("r.example", repository), { digest, mediaType: mediaTypes.ociManifest, sizeBytes: bytes.byteLength });
}

/** What is counted in the end; the walk rests on the test's clock. */
async function counted(totals: StoreTotals, store: TestStore, before?: Totals): Promise<Totals | undefined> {
  while (totals.latest() === before) {
    await store.clock.advance(1);
    await new Promise(setImmediate);
  }
  return totals.latest();
}

test("manifests and blobs are counted once, whoever holds them, without making anybody wait", async () => {
  await using store = await openTestStore();
  await putManifest(store, "a", "one");
  await putManifest(store, "b/c", "one");
  await putManifest(store, "b/c", "three");
  const blob = Buffer.alloc(1_000);
  await store.blobs.put(digestOf(blob), blob);
  const shard = join(store.layout.root, "blobs", "sha256", "zz");
  await mkdir(shard);
  await writeFile(join(shard, "not a blob"), "x");
  const totals = totalsOf(store);
  expect(totals.latest()).toBeUndefined();
  const first = await counted(totals, store);
  expect(first).toEqual({ manifests: 2, manifestBytes: 8, blobs: 1, blobBytes: 1_000 });
  await putManifest(store, "a", "another");
  expect(totals.latest()).toBe(first);
  await store.clock.advance(10 * 60_000);
  expect(await counted(totals, store, first)).toMatchObject({ manifests: 3, manifestBytes: 15 });
  totals.close();
});

test("a walk that runs ends when it is told to", async () => {
  await using store = await openTestStore();
  await putManifest(store, "a", "one");
  const totals = totalsOf(store);
  totals.latest();
  totals.close();
  await store.background.settled();
  expect(totals.latest()).toBeUndefined();
});
