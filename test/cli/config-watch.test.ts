import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigWatch } from "../../src/cli/config-watch.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const neverMs = 1e12;

async function watched(path: string, { pollMs = 5_000 } = {}) {
  const clock = new TestClock();
  let changes = 0;
  const watch = new ConfigWatch({ path, clock, onChange: () => (changes += 1), pollMs, settleMs: 100 });
  await watch.remember();
  watch.start();
  /** Runs the clock until one more is told; reading the disk takes its own time, whatever the clock says. */
  const nextChange = async (): Promise<number> => {
    const before = changes;
    while (changes === before) await clock.advance(100);
    return changes;
  };
  /** Runs the clock for so many polls. */
  const changesAfter = async (polls: number): Promise<number> => {
    for (let step = 0; step < polls * 50; step++) await clock.advance(100);
    return changes;
  };
  return { watch, clock, changes: () => changes, nextChange, changesAfter };
}

describe("a watched configuration file", () => {
  test("is told of once for each new content", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "config.yaml");
    await writeFile(path, "a: 1\n");
    const { watch, nextChange, changesAfter } = await watched(path);
    await writeFile(path, "a: 2\n");
    expect(await nextChange()).toBe(1);
    await writeFile(path, "a: 2\n");
    expect(await changesAfter(3)).toBe(1);
    await writeFile(path, "a: 1\n");
    expect(await nextChange()).toBe(2);
    await watch.stop();
  });

  test("is told of when it changed between being remembered and being watched", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "config.yaml");
    await writeFile(path, "a: 1\n");
    const clock = new TestClock();
    let changes = 0;
    const watch = new ConfigWatch({ path, clock, onChange: () => (changes += 1) });
    await watch.remember();
    await writeFile(path, "a: 2\n");
    watch.start();
    while (changes === 0) await clock.advance(100);
    expect(changes).toBe(1);
    await watch.stop();
  });

  test("is told of though other files in its folder change all the time", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "config.yaml");
    await writeFile(path, "a: 1\n");
    const { watch, clock, changes } = await watched(path, { pollMs: neverMs });
    await writeFile(path, "a: 2\n");
    for (let step = 0; changes() === 0; step++) {
      await writeFile(join(folder.path, "some.log"), `${step}\n`);
      await clock.advance(20);
    }
    expect(changes()).toBe(1);
    await watch.stop();
  });

  test("is told of without waiting for the regular look when Kubernetes swaps its symlink", async () => {
    await using folder = await temporaryFolder();
    const at = (...names: string[]) => join(folder.path, ...names);
    await Promise.all([
      mkdir(at("v1")),
      mkdir(at("v2")),
      symlink("v1", at("..data")),
      symlink("..data/config.yaml", at("config.yaml")),
      symlink("v2", at("..data_tmp")),
    ]);
    await Promise.all([writeFile(at("v1", "config.yaml"), "a: 1\n"), writeFile(at("v2", "config.yaml"), "a: 2\n")]);
    const { watch, clock, changes } = await watched(at("config.yaml"), { pollMs: neverMs });
    await clock.advance(1_000);
    await rename(at("..data_tmp"), at("..data"));
    while (changes() === 0) await clock.advance(20);
    expect(changes()).toBe(1);
    await watch.stop();
  });

  test("that vanishes is not told of until it is back and different", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "config.yaml");
    await writeFile(path, "a: 1\n");
    const { watch, nextChange, changesAfter } = await watched(path);
    await rm(path);
    expect(await changesAfter(3)).toBe(0);
    await writeFile(path, "a: 1\n");
    expect(await changesAfter(3)).toBe(0);
    await writeFile(path, "a: 3\n");
    expect(await nextChange()).toBe(1);
    await watch.stop();
  });

  test("is looked at regularly where its folder cannot be watched", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "later", "config.yaml");
    const { watch, nextChange } = await watched(path);
    await mkdir(join(folder.path, "later"));
    await writeFile(path, "a: 1\n");
    expect(await nextChange()).toBe(1);
    await watch.stop();
  });

  test("is left alone after stop", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "config.yaml");
    await writeFile(path, "a: 1\n");
    const { watch, clock, changesAfter } = await watched(path);
    await watch.stop();
    await writeFile(path, "a: 2\n");
    expect(await changesAfter(3)).toBe(0);
    expect(clock.waiting).toBe(0);
  });
});
