/** What commands say of a folder in which there is no store, and of a store in which there is nothing. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runLine } from "./captured-io.ts";

const commands = ["list", "verify", "receipt --output -", "export --output OUT --pattern .", "prune --pattern .", "pin alpine:3", "unpin alpine:3"];

test.each(commands)("%s makes no store where there is none, and says so", async (line) => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "mistyped");
  const written = line.replace("OUT", join(folder.path, "out.tar"));
  expect(await runLine(`${written} --image-path ${root}`)).toEqual({ code: 1, out: "", errors: `ociregistry: there is no store at ${root}\n` });
  expect(await readdir(folder.path)).toEqual([]);
});

test("a folder of other things is no store, and stays as it is", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "thesis.txt"), "");
  expect(await runLine(`verify --image-path ${folder.path}`)).toEqual({ code: 1, out: "", errors: `ociregistry: there is no store at ${folder.path}\n` });
  expect(await readdir(folder.path)).toEqual(["thesis.txt"]);
});

test("of an empty store verify says that nothing is held in it", async () => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "empty");
  await mkdir(root);
  expect(await runLine(`verify --image-path ${root}`)).toEqual({ code: 0, out: `nothing is held in ${root}\n`, errors: "" });
});

test("what brings something makes one: an export that may load what its list names, not one that may not", async () => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "new");
  const list = join(folder.path, "images.txt");
  await writeFile(list, "127.0.0.1:1/a/b:1\n");
  const line = `export --output ${folder.path}/out.tar --images ${list} --image-path ${root}`;
  expect((await runLine(`${line} --offline`)).errors).toBe(`ociregistry: there is no store at ${root}\n`);
  expect((await runLine(line)).code).toBe(1);
  expect(await readdir(root)).toContain("VERSION");
});
