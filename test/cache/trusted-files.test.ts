/** Small files in memory: when they are believed, when they are looked at, and who waits for that. */
import { rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentLog } from "../../src/oci/log.ts";
import { DiskReads } from "../../src/cache/disk-reads.ts";
import { TrustedFiles } from "../../src/cache/trusted-files.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

async function arrange({ entriesMax = 100 }: { entriesMax?: number } = {}) {
  const folder = await temporaryFolder();
  const clock = new TestClock();
  const files = new TrustedFiles({
    clock,
    reads: new DiskReads({ clock, log: silentLog }),
    fileBytesMax: 1_000,
    entriesMax,
    parse: (bytes) => bytes.toString(),
  });
  const path = join(folder.path, "record");
  /** Written as others write: another file under the same name, at a time of its own. */
  let version = 0;
  const write = async (text: string): Promise<void> => {
    version += 1;
    await writeFile(`${path}.new`, text);
    await utimes(`${path}.new`, version, version);
    await rename(`${path}.new`, path);
  };
  await write("one");
  await files.find(path);
  return { files, clock, path, write, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test("a pipe in a file's place counts as absent, and holds up nobody", async () => {
  await using all = await arrange();
  const pipe = `${all.path}.pipe`;
  expect((await runProcess("mkfifo", [pipe])).code).toBe(0);
  expect(await all.files.find(pipe)).toBeUndefined();
});

describe("a file that is trusted", () => {
  test("is answered at once for a second, whatever became of it", async () => {
    await using all = await arrange();
    await all.write("two");
    await all.clock.advance(749);
    expect(all.files.find(all.path)).toBe("one");
    expect(all.files.find(all.path)).toBe("one");
  });

  test("is looked at by the first who asks late in that second, and nobody waits", async () => {
    await using all = await arrange();
    await all.write("two");
    await all.clock.advance(750);
    expect(all.files.find(all.path)).toBe("one");
    await expect.poll(() => all.files.find(all.path)).toBe("two");
    await all.clock.advance(249);
    expect(all.files.find(all.path)).toBe("two");
  });

  test("is trusted for another second, counted from that look, when it is the same", async () => {
    await using all = await arrange();
    const trusted = all.files.findTrusted(all.path);
    await all.clock.advance(750);
    expect(trusted?.isTrusted(all.clock.elapsed())).toBe(true);
    await all.clock.advance(250);
    await expect.poll(() => trusted?.isTrusted(1_000)).toBe(true);
    await all.clock.advance(749);
    expect(trusted?.isTrusted(all.clock.elapsed())).toBe(true);
    expect(trusted?.isTrusted(1_750)).toBe(false);
  });

  test("is trusted no more as soon as somebody finds it gone", async () => {
    await using all = await arrange();
    const trusted = all.files.findTrusted(all.path);
    await rm(all.path);
    await all.clock.advance(750);
    expect(all.files.find(all.path)).toBe("one");
    await expect.poll(() => trusted?.isTrusted(750)).toBe(false);
    expect(await all.files.find(all.path)).toBeUndefined();
  });

  test("vouches for what is in it now, and not for what somebody read before it was written", async () => {
    await using all = await arrange();
    const before = await all.files.find(all.path);
    await all.write("two");
    await all.clock.advance(1_000);
    await all.files.find(all.path);
    expect(all.files.findTrusted(all.path, (now) => now === before)).toBeUndefined();
    expect(all.files.findTrusted(all.path, (now) => now === "two")).toBeDefined();
  });

  test("vouches for nothing once others have taken its place: nobody would tell it that we wrote the file anew", async () => {
    await using all = await arrange({ entriesMax: 1 });
    const trusted = all.files.findTrusted(all.path);
    const other = `${all.path}-other`;
    await writeFile(other, "other");
    expect(trusted?.isTrusted(all.clock.elapsed())).toBe(true);
    await all.files.find(other);
    expect(trusted?.isTrusted(all.clock.elapsed())).toBe(false);
  });

  test("waits for a look when nobody asked for a second", async () => {
    await using all = await arrange();
    await all.write("two");
    await all.clock.advance(1_000);
    const found = all.files.find(all.path);
    expect(found).toBeInstanceOf(Promise);
    expect(await found).toBe("two");
  });

  test("is trusted no more once we have written it ourselves", async () => {
    await using all = await arrange();
    const trusted = all.files.findTrusted(all.path);
    all.files.forget(all.path);
    expect(trusted?.isTrusted(0)).toBe(false);
  });
});
