import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FileChanges } from "../../src/operations/file-changes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

async function arrange(folder: string) {
  const clock = new TestClock();
  const told: string[] = [];
  const files = new FileChanges({
    everyMs: 5_000,
    clock,
    onChange: (path) => {
      told.push(path);
    },
  });
  const path = join(folder, "tls.crt");
  await writeFile(path, "old");
  /** Time goes on, look by look, until so much was told. */
  const untilTold = async (count: number): Promise<void> => {
    while (told.length < count) {
      await clock.advance(5_000);
      await new Promise(setImmediate);
    }
  };
  return { clock, files, told, path, untilTold };
}

test("a certificate that is renewed in the first seconds after a start is told of", async () => {
  await using folder = await temporaryFolder();
  const { files, path, told, untilTold } = await arrange(folder.path);
  await files.watch([path]);
  await writeFile(path, "renewed");
  await untilTold(1);
  expect(told).toEqual([path]);
  files.close();
});

test("a file that was not there at the start, and one that is removed and comes back different, are told of", async () => {
  await using folder = await temporaryFolder();
  const { files, path, told, untilTold } = await arrange(folder.path);
  await rm(path);
  await files.watch([path]);
  await writeFile(path, "first");
  await untilTold(1);
  await rm(path);
  await writeFile(path, "another");
  await untilTold(2);
  expect(told).toEqual([path, path]);
  files.close();
});

test("what changed just before others were looked at too is still told of, and what is looked at no more is not", async () => {
  await using folder = await temporaryFolder();
  const { files, path, told, untilTold } = await arrange(folder.path);
  const other = join(folder.path, "other");
  await writeFile(other, "old");
  await files.watch([path]);
  await writeFile(path, "renewed");
  await files.watch([path, other]);
  await untilTold(1);
  await files.watch([other]);
  await writeFile(path, "once more, and longer");
  await writeFile(other, "renewed");
  await untilTold(2);
  expect(told).toEqual([path, other]);
  files.close();
});
