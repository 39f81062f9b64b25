import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InstanceFolder } from "../../src/cache/instance-folder.ts";
import { nameOfThisProcess } from "../../src/cache/process-name.ts";
import { silentLog } from "../../src/oci/log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

async function arrange(tmp: string) {
  const clock = new TestClock();
  const self = await nameOfThisProcess();
  return { clock, self, instance: new InstanceFolder({ tmp, self, clock, log: silentLog, blobPath: (digest) => join(tmp, digest) }) };
}

async function plant(tmp: string, name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(tmp, name);
  await mkdir(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  return folder;
}

describe("what a dead process left", () => {
  test("is taken over at once when it ran under this boot: parts are kept, other temporary files go", async () => {
    await using folder = await temporaryFolder();
    const { self, instance } = await arrange(folder.path);
    const gone = spawn(process.execPath, ["-e", ""]);
    await once(gone, "exit");
    await plant(folder.path, `${self.boot}-${self.namespace}-${gone.pid}-1-abcdef`, { "host~sha256-aa~1.part": "some bytes", "7.tmp": "torn" });
    const claimed = await instance.findClaimed("host~sha256-aa");
    expect(claimed && (await readFile(claimed.path, "utf8"))).toBe("some bytes");
    expect(await readdir(folder.path)).toEqual([instance.path.split("/").at(-1)]);
    expect(await instance.findClaimed("host~sha256-bb")).toBeUndefined();
  });

  test("keeps the longer of two parts of one blob: it died while it copied one into the other", async () => {
    await using folder = await temporaryFolder();
    const { self, instance } = await arrange(folder.path);
    await plant(folder.path, `${self.boot}-${self.namespace}-999999999-1-abcdef`, { "k.claimed": "a long part", "k~2.part": "a lo" });
    const claimed = await instance.findClaimed("k");
    expect(claimed && (await readFile(claimed.path, "utf8"))).toBe("a long part");
  });

  test("is left alone while its process lives, however long it says nothing", async () => {
    await using folder = await temporaryFolder();
    const { self, clock, instance } = await arrange(folder.path);
    const alive = await plant(folder.path, `${self.boot}-${self.namespace}-${self.pid}-${self.startTime}-abcdef`, { "k~1.part": "mine" });
    await utimes(alive, 1, 1);
    for (let minutes = 0; minutes < 5; minutes += 1) {
      expect(await instance.findClaimed("k")).toBeUndefined();
      await clock.advance(60_000);
    }
    expect(await readdir(alive)).toEqual(["k~1.part"]);
  });

  test("is not mistaken for alive because another process has its pid now", async () => {
    await using folder = await temporaryFolder();
    const { self, instance } = await arrange(folder.path);
    await plant(folder.path, `${self.boot}-${self.namespace}-${self.pid}-1-abcdef`, { "k~1.part": "old" });
    expect(await instance.findClaimed("k")).toBeDefined();
  });

  test("of another machine is taken over after a minute of silence that we saw ourselves, whatever its clock says", async () => {
    await using folder = await temporaryFolder();
    const { clock, instance } = await arrange(folder.path);
    const foreign = await plant(folder.path, "otherboot-1-1-1-abcdef", { "k~1.part": "foreign" });
    await utimes(foreign, 1, 1);
    expect(await instance.findClaimed("k")).toBeUndefined();
    await clock.advance(50_000);
    expect(await instance.findClaimed("k")).toBeUndefined();
    await utimes(foreign, 2, 2); // It lives: its heartbeat moved.
    await clock.advance(50_000);
    expect(await instance.findClaimed("k")).toBeUndefined();
    await clock.advance(60_000);
    expect(await instance.findClaimed("k")).toBeDefined();
  });
});

test("a temporary folder that somebody removed is made again", async () => {
  await using folder = await temporaryFolder();
  const { instance } = await arrange(join(folder.path, "tmp"));
  await writeFile(await instance.temporaryPath(), "x");
  await rm(join(folder.path, "tmp"), { recursive: true });
  instance.forget();
  await writeFile(await instance.temporaryPath(), "y");
});

test("a folder with nothing left in it is removed at the end, one with a part stays for the next process", async () => {
  await using folder = await temporaryFolder();
  const one = await arrange(folder.path);
  await one.instance.ensure();
  await one.instance.close();
  expect(await readdir(folder.path)).toEqual([]);
  const other = await arrange(folder.path);
  await writeFile(await other.instance.partPath("k"), "half");
  await other.instance.close();
  expect(await readdir(folder.path)).toHaveLength(1);
});

test("a part that was left is found by the next fill of the same blob", async () => {
  await using folder = await temporaryFolder();
  const { instance } = await arrange(folder.path);
  const path = await instance.partPath("k");
  await writeFile(path, "half");
  await instance.leave(path, "k");
  const claimed = await instance.findClaimed("k");
  expect(claimed && (await readFile(claimed.path, "utf8"))).toBe("half");
});

test("a part that was left goes to whoever asks first, though its process lives, or died in another container a moment ago", async () => {
  await using folder = await temporaryFolder();
  const one = await arrange(folder.path);
  const path = await one.instance.partPath("k");
  await writeFile(path, "half");
  await one.instance.leave(path, "k");
  await plant(folder.path, "otherboot-1-1-1-abcdef", { "k.claimed": "more than half", "j~1.part": "being written" });
  const others = await Promise.all([arrange(folder.path), arrange(folder.path), arrange(folder.path)]);
  const found = await Promise.all(others.map(({ instance }) => instance.findClaimed("k")));
  expect(found.filter((claimed) => claimed?.sizeBytes === 14)).toHaveLength(1);
  const left = await one.instance.findClaimed("k");
  const texts = await Promise.all([...found, left].map(async (claimed) => claimed && (await readFile(claimed.path, "utf8"))));
  expect(texts.filter((text) => text !== undefined).sort()).toEqual(["half", "more than half"]);
  expect(await one.instance.findClaimed("j")).toBeUndefined();
});

test("a stray file or folder under tmp keeps nobody from taking over what lies behind it", async () => {
  await using folder = await temporaryFolder();
  const { self, instance, clock } = await arrange(folder.path);
  await writeFile(join(folder.path, "0"), "");
  await mkdir(join(folder.path, "1", "folder"), { recursive: true });
  await instance.sweep();
  await clock.advance(70_000);
  await plant(folder.path, `${self.boot}-${self.namespace}-999999999-1-abcdef`, { "k~2.part": "half" });
  expect(await instance.findClaimed("k")).toMatchObject({ sizeBytes: 4 });
});

test("a part that somebody removed cannot be left, and nothing comes of it", async () => {
  await using folder = await temporaryFolder();
  const { instance } = await arrange(folder.path);
  await instance.leave(await instance.partPath("k"), "k");
  expect(await instance.findClaimed("k")).toBeUndefined();
});
