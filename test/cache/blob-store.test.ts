/** Blobs by digest: what is about to be removed and is needed after all stays where it is, whoever owns the file and whenever we are killed. */
import { chmod, chown, link, mkdir, readdir, readFile, rename, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isThere } from "../../src/cache/atomic-write.ts";
import { nameOfThisProcess } from "../../src/cache/process-name.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { isCollected } from "../support/collected.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";

const bytes = Buffer.from("a layer");
const digest = digestOf(bytes);
const oldSeconds = 1_000;

/** A blob of long ago; resolves to its path. */
async function arrange(store: TestStore): Promise<string> {
  await store.blobs.put(digest, bytes);
  const path = store.layout.blob(digest);
  await utimes(path, oldSeconds, oldSeconds);
  return path;
}

describe("removing a blob", () => {
  test("removes the one that was looked at, and leaves nothing", async () => {
    await using store = await openTestStore();
    const path = await arrange(store);
    expect(await store.blobs.remove(digest, { mtimeMs: oldSeconds * 1_000 })).toBe("removed");
    expect([await isThere(path), await readdir(store.instance.path)]).toEqual([false, []]);
    expect(await store.blobs.remove(digest, { mtimeMs: oldSeconds * 1_000 })).toBe("absent");
  });

  test("that must stay does not let it vanish for a moment", async () => {
    await using store = await openTestStore();
    const path = await arrange(store);
    let isDone = false;
    const watching = (async () => {
      let absent = 0;
      while (!isDone) if (!(await isThere(path))) absent += 1;
      return absent;
    })();
    for (let round = 0; round < 300; round += 1) expect(await store.blobs.remove(digest, { mtimeMs: 1 })).toBe("changed");
    isDone = true;
    expect(await watching).toBe(0);
  });

  test("that somebody touches at that moment leaves it there, or tells him that it is gone", async () => {
    await using store = await openTestStore();
    const path = store.layout.blob(digest);
    const outcomes = new Set<string>();
    for (let round = 0; round < 200; round += 1) {
      await arrange(store);
      const removing = store.blobs.remove(digest, { mtimeMs: oldSeconds * 1_000 });
      for (let turn = 0; turn < round % 8; turn += 1) await new Promise(setImmediate);
      const isTouched = await store.blobs.touch(digest);
      const outcome = await removing;
      expect([round, outcome, await isThere(path)]).toEqual([round, isTouched ? "changed" : "removed", isTouched]);
      outcomes.add(outcome);
    }
    expect(outcomes).toEqual(new Set(["changed", "removed"]));
    expect(await readdir(store.instance.path)).toEqual([]);
  });

  test("by a process that is killed after it took the file aside: the next gives it back, unless another has the name", async () => {
    await using store = await openTestStore();
    const path = await arrange(store);
    const other = digestOf(Buffer.from("another layer"));
    await store.blobs.put(other, Buffer.from("another layer"));
    const { boot, namespace } = await nameOfThisProcess();
    const left = join(store.layout.temporary(), `${boot}-${namespace}-999999999-1-abcdef`);
    await mkdir(left);
    await rename(path, join(left, `${digest.replace(":", "-")}~1.aside`));
    const newest = await stat(store.layout.blob(other));
    await link(store.layout.blob(other), join(left, `${other.replace(":", "-")}~2.aside`));
    await link(store.layout.blob(other), join(left, "sha256-nothing~3.aside"));
    await store.instance.sweep();
    expect(await readFile(path)).toEqual(bytes);
    expect([(await stat(path)).mtimeMs, (await stat(store.layout.blob(other))).ino]).toEqual([oldSeconds * 1_000, newest.ino]);
    expect([await isThere(left), await readdir(store.instance.path)]).toEqual([false, []]);
  });
});

describe("touching a blob of another user's", () => {
  const canLoseRights = requirePrograms("setpriv") && requireRoot();

  test.runIf(canLoseRights).each([true, false])(
    "makes it ours, with its bytes, so that whoever is about to remove it sees it; waited for: %s",
    async (waits) => {
      await using store = await openTestStore();
      const path = await arrange(store);
      await chmod(path, 0o444);
      await chown(path, 12_345, 0);
      const { touched, ino } = await touchWithoutOwning(store, { waits });
      const after = await stat(path);
      expect(touched).toEqual([true, true]);
      expect([after.uid, after.mode & 0o777, after.ino === ino, after.mtimeMs > oldSeconds * 1_000]).toEqual([0, 0o444, false, true]);
      expect(await readFile(path)).toEqual(bytes);
      expect(await store.blobs.remove(digest, { mtimeMs: oldSeconds * 1_000 })).toBe("changed");
    },
  );

  test.runIf(canLoseRights)("promises nothing where it cannot be made ours", async () => {
    await using store = await openTestStore();
    const path = await arrange(store);
    await chmod(path, 0o000);
    await chown(path, 12_345, 0);
    // It may neither set the file's time nor read it.
    expect((await touchWithoutOwning(store, { lacks: ["dac_override", "dac_read_search"] })).touched).toEqual([false, false]);
    expect((await stat(path)).mtimeMs).toBe(oldSeconds * 1_000);
  });

  /** Touches it, twice, by a process of root's that has lost the right over others' files; what that one said, and the file's inode before. */
  async function touchWithoutOwning({ layout }: TestStore, { waits = true, lacks = [] }: { waits?: boolean; lacks?: readonly string[] } = {}) {
    const { ino } = await stat(layout.blob(digest));
    const lost = ["fowner", "chown", ...lacks].map((right) => `-${right}`).join(",");
    const program = `
      import { openTestStore } from ${JSON.stringify(join(import.meta.dirname, "../support/test-store.ts"))};
      const store = await openTestStore({ root: ${JSON.stringify(layout.root)}, systemClock: true });
      const touch = () => store.blobs.touch(${JSON.stringify(digest)}, { waits: ${waits} });
      const touched = [await touch(), await touch()];
      await store.background.settled();
      await store.close();
      process.stdout.write(JSON.stringify(touched));
    `;
    const run = [process.execPath, "--input-type=module", "--eval", program];
    const { stdout, stderr, code } = await runProcess("setpriv", [`--bounding-set=${lost}`, `--inh-caps=${lost}`, ...run]);
    expect([code, stderr]).toEqual([0, ""]);
    const touched: unknown = JSON.parse(stdout);
    return { touched, ino };
  }
});

test("a blob that nobody reads any more takes no memory: of those that were read there is no end", async () => {
  await using store = await openTestStore();
  await store.blobs.put(digest, bytes);
  const isForgotten = await isCollected(async () => {
    const blob = await store.blobs.open(digest, bytes.byteLength);
    if (!blob) throw new Error("it is not there");
    blob.release();
    await store.clock.advance(2_000);
    return blob;
  });
  expect(isForgotten).toBe(true);
  const again = await store.blobs.open(digest, bytes.byteLength);
  expect(again?.sizeBytes).toBe(bytes.byteLength);
  again?.release();
});
