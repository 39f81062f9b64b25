/** Files are hashed in a thread, as fast as their owner says, and whatever is wrong with one says so in its own words. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { symlink, writeFile } from "node:fs/promises";
import { stat } from "node:fs/promises";
import { getPriority } from "node:os";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { FileHasher } from "../../src/cache/file-hasher.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const never = new AbortController().signal;
const freely = { spend: () => undefined, signal: never };
const mebibyte = 1024 * 1024;

test("the hash of a file is that of its bytes, by the algorithm that is wanted, and its inode is told", async () => {
  await using folder = await temporaryFolder();
  await using hasher = new FileHasher({ clock: systemClock });
  for (const sizeBytes of [0, 1, mebibyte, 2 * mebibyte + 17]) {
    const bytes = randomBytes(sizeBytes);
    const path = `${folder.path}/${sizeBytes}`;
    await writeFile(path, bytes);
    for (const algorithm of ["sha256", "sha512"] as const) {
      const digest = digestOf(bytes, algorithm);
      expect(await hasher.hash(path, digest, freely)).toEqual({ kind: "hashed", digest, sizeBytes, inode: (await stat(path)).ino });
    }
  }
});

test("every step is paid for before the next is taken", async () => {
  await using folder = await temporaryFolder();
  await using hasher = new FileHasher({ clock: systemClock });
  const path = `${folder.path}/blob`;
  const bytes = randomBytes(3 * mebibyte + 5);
  await writeFile(path, bytes);
  const spent: number[] = [];
  let isPaying = false;
  const spend = async (paid: number): Promise<void> => {
    expect(isPaying).toBe(false);
    isPaying = true;
    spent.push(paid);
    await new Promise((resolve) => setImmediate(resolve));
    isPaying = false;
  };
  await hasher.hash(path, digestOf(bytes), { spend, signal: never });
  expect(spent).toEqual([mebibyte, mebibyte, mebibyte, 5]);
});

test("what is absent and what cannot be read are told apart", async () => {
  await using folder = await temporaryFolder();
  await using hasher = new FileHasher({ clock: systemClock });
  const wanted = digestOf(Buffer.from("a"));
  expect(await hasher.hash(`${folder.path}/nothing`, wanted, freely)).toEqual({ kind: "absent" });
  expect(await hasher.hash(folder.path, wanted, freely)).toEqual({ kind: "unreadable", reason: expect.stringContaining("EISDIR") });
  await symlink("itself", `${folder.path}/itself`);
  expect(await hasher.hash(`${folder.path}/itself`, wanted, freely)).toEqual({ kind: "unreadable", reason: expect.stringContaining("ELOOP") });
});

test("who does not want to know any more is told at once, and the next file is hashed as if nothing had been", async () => {
  await using folder = await temporaryFolder();
  await using hasher = new FileHasher({ clock: systemClock });
  const path = `${folder.path}/blob`;
  const bytes = randomBytes(2 * mebibyte);
  await writeFile(path, bytes);
  const leaving = new AbortController();
  const spend = (): Promise<void> => {
    leaving.abort(new Error("not wanted"));
    return new Promise(() => {});
  };
  await expect(hasher.hash(path, digestOf(bytes), { spend, signal: leaving.signal })).rejects.toThrow("not wanted");
  await expect(hasher.hash(path, digestOf(bytes), { ...freely, signal: leaving.signal })).rejects.toThrow("not wanted");
  expect(await hasher.hash(path, digestOf(bytes), freely)).toMatchObject({ kind: "hashed", digest: digestOf(bytes) });
});

test("the event loop is free while a large file is hashed", async () => {
  await using folder = await temporaryFolder();
  await using hasher = new FileHasher({ clock: systemClock });
  const path = `${folder.path}/blob`;
  const bytes = Buffer.alloc(64 * mebibyte, "x");
  await writeFile(path, bytes);
  let turns = 0;
  let isDone = false;
  const hashing = hasher.hash(path, digestOf(bytes), freely).finally(() => (isDone = true));
  while (!isDone) {
    turns++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await hashing;
  // Hashed here it would be one turn for each of the 64 steps.
  expect(turns).toBeGreaterThan(1_000);
});

/** A process of its own steps back to `niceness` and hashes a file: what its hashing thread's niceness is then. */
async function nicenessOfThread(niceness: number): Promise<number> {
  const source = new URL("../../src/", import.meta.url).href;
  const script = `
    import { readFileSync, readdirSync } from "node:fs";
    import { setPriority } from "node:os";
    import { FileHasher } from "${source}cache/file-hasher.ts";
    import { systemClock } from "${source}oci/clock.ts";
    if (${niceness} > 0) setPriority(${niceness});
    const hasher = new FileHasher({ clock: systemClock });
    const signal = new AbortController().signal;
    await hasher.hash(process.execPath, "sha256:${"0".repeat(64)}", { signal, spend() {
      for (const thread of readdirSync("/proc/self/task")) {
        const stat = readFileSync("/proc/self/task/" + thread + "/stat", "utf8");
        if (stat.includes("(hashing)")) process.stdout.write(stat.split(") ")[1].split(" ")[16]);
      }
      process.exit(0);
    } });
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { timeout: 60_000 });
  return Number(stdout);
}

test.runIf(process.platform === "linux" && getPriority() === 0)(
  "the thread steps back, once: behind one that stepped back before it starves no more",
  async () => {
    expect([await nicenessOfThread(0), await nicenessOfThread(10), await nicenessOfThread(19)]).toEqual([10, 11, 19]);
  },
);
