/** Wrong bytes are put aside, and only those: a good file that took the name meanwhile keeps it. */
import { readdir, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { Quarantine } from "../../src/cache/quarantine.ts";
import { walkStoredBlobs } from "../../src/cache/stored-blobs.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";

const good = Buffer.from("what was meant");
const digest = digestOf(good);

async function damaged(store: TestStore): Promise<{ readonly path: string; readonly inode: number }> {
  await store.blobs.put(digest, Buffer.from("what came of it"));
  const path = store.layout.blob(digest);
  return { path, inode: (await stat(path)).ino };
}

async function stored(store: TestStore): Promise<readonly string[]> {
  return await Array.fromAsync(walkStoredBlobs(store, { onUnread: ({ path }) => expect.unreachable(path) }));
}

test("what is put aside has left its name, and lies in the quarantine under its digest", async () => {
  await using store = await openTestStore();
  const { inode } = await damaged(store);
  expect(await stored(store)).toEqual([digest]);
  const aside = await new Quarantine(store).put(digest, { inode });
  expect(aside).toMatch(new RegExp(`/quarantine/${digest.replace(":", "-")}~2026-01-01T000000`));
  expect(await readFile(aside ?? "", "utf8")).toBe("what came of it");
  expect(await stored(store)).toEqual([]);
  expect(await store.blobs.has(digest)).toBe(false);
});

test("a file that took the name since it was looked at is left where it is", async () => {
  await using store = await openTestStore();
  const { path, inode } = await damaged(store);
  await writeFile(`${path}.new`, good);
  await rename(`${path}.new`, path);
  expect(await new Quarantine(store).put(digest, { inode })).toBeUndefined();
  expect(await readFile(path)).toEqual(good);
});

test("what is gone by now is nobody's trouble", async () => {
  await using store = await openTestStore();
  expect(await new Quarantine(store).put(digest, { inode: 1 })).toBeUndefined();
});

test("the quarantine is bounded: the newest are kept", async () => {
  await using store = await openTestStore();
  const quarantine = new Quarantine(store);
  for (let number = 0; number < 70; number++) {
    const { inode } = await damaged(store);
    await quarantine.put(digest, { inode });
    await store.clock.advance(1_000);
  }
  const names = (await readdir(store.layout.quarantine())).toSorted();
  expect(names).toHaveLength(64);
  expect(names[0]).toContain("T000006");
});

test("files of other names among the blobs are nobody's", async () => {
  await using store = await openTestStore();
  await store.blobs.put(digest, good);
  const path = store.layout.blob(digest);
  await writeFile(`${path}.bak`, "x");
  await writeFile(`${store.layout.root}/blobs/sha256/notes`, "x");
  await utimes(path, 0, 0);
  expect(await stored(store)).toEqual([digest]);
});
