/** One process at a time, and none for ever. */
import { mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { holderOfLease, takeLease, type Lease } from "../../src/cache/lease.ts";
import { formatProcessName, nameOfThisProcess } from "../../src/cache/process-name.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";

function take(store: TestStore, waitMs = 0): Promise<Lease | undefined> {
  return takeLease({ work: "evict", tmp: store.layout.temporary(), instance: store.instance, clock: store.clock }, { waitMs });
}

/** A lease of somebody who does not give it back. */
async function leave(store: TestStore, name: string): Promise<void> {
  await mkdir(`${store.layout.temporary()}/eviction`, { recursive: true });
  await writeFile(`${store.layout.temporary()}/eviction/lease`, `${name}\n`);
}

test("one holds it, and the next has it when it is given back", async () => {
  await using store = await openTestStore();
  const first = await take(store);
  expect(await holderOfLease("evict", store.layout.temporary())).toBe(process.pid);
  expect(await take(store)).toBeUndefined();
  await first?.[Symbol.asyncDispose]();
  expect(await holderOfLease("evict", store.layout.temporary())).toBeUndefined();
  await using second = await take(store);
  expect(second?.lost.aborted).toBe(false);
});

test("a holder of this machine that is gone is not waited for", async () => {
  await using store = await openTestStore();
  await leave(store, formatProcessName({ ...(await nameOfThisProcess()), startTime: "1" }));
  await using lease = await take(store);
  expect(lease).toBeDefined();
});

test("a holder of another machine has a minute to show that it lives", async () => {
  await using store = await openTestStore();
  const name = formatProcessName({ ...(await nameOfThisProcess()), boot: "another" });
  await leave(store, name);
  const waiting = take(store, 300_000);
  await lives(store, 50);
  const path = `${store.layout.temporary()}/eviction/lease`;
  await utimes(path, new Date(1_000), new Date(1_000));
  await lives(store, 50);
  expect(await holderOfLease("evict", store.layout.temporary())).toBe(process.pid);
  expect((await readdir(`${store.layout.temporary()}/eviction`)).sort()).toEqual(["lease"]);
  expect(await readFile(path, "utf8")).toBe(`${name}\n`);
  await lives(store, 15);
  await using lease = await waiting;
  expect(lease).toBeDefined();
});

test("what was seen of a silent holder is not forgotten between two who ask briefly", async () => {
  await using store = await openTestStore();
  await leave(store, formatProcessName({ ...(await nameOfThisProcess()), namespace: "another" }));
  const first = take(store, 4_000);
  await lives(store, 10);
  expect(await first).toBeUndefined();
  await lives(store, 62);
  await using lease = await take(store);
  expect(lease).toBeDefined();
});

test("who may ask for longer waits until a holder of another machine has shown itself, and is told so once", async () => {
  await using store = await openTestStore();
  await leave(store, formatProcessName({ ...(await nameOfThisProcess()), boot: "another" }));
  let told = 0;
  const options = { work: "evict", tmp: store.layout.temporary(), instance: store.instance, clock: store.clock } as const;
  const waiting = takeLease(options, { waitMs: 0, foreignWaitMs: 75_000, onForeign: () => (told += 1) });
  await lives(store, 70);
  await using lease = await waiting;
  expect(lease).toBeDefined();
  expect(told).toBe(1);
});

test("who was silent for too long finds out that it is another's", async () => {
  await using store = await openTestStore();
  await using lease = await take(store);
  const path = `${store.layout.temporary()}/eviction/lease`;
  await rm(path);
  await leave(store, "somebody-else-1-1");
  await lives(store, 11);
  expect(lease?.lost.aborted).toBe(true);
});

test("the temporary folder's sweep leaves it alone", async () => {
  await using store = await openTestStore();
  await using lease = await take(store);
  await lives(store, 120);
  await store.instance.sweep();
  expect(lease?.lost.aborted).toBe(false);
  expect(await holderOfLease("evict", store.layout.temporary())).toBe(process.pid);
});

/** Seconds pass, each with time for the disk. */
async function lives(store: TestStore, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    await store.clock.advance(1_000);
    await holderOfLease("evict", store.layout.temporary());
    await holderOfLease("evict", store.layout.temporary());
  }
}
