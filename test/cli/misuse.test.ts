/** What is wrong with a command line is told in words, and is misuse; what the system refuses is told by its path. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo } from "./captured-io.ts";

async function runIn(words: readonly string[]): Promise<{ code: number; errors: string; store: string }> {
  await using folder = await temporaryFolder();
  const store = join(folder.path, "store");
  await mkdir(store);
  const io = new CapturedIo();
  return { code: await run([...words, "--image-path", store], io), errors: io.errors, store };
}

test.each([
  [["list", "--registry", "docker.io/library"], `--registry: "docker.io/library" is not a registry's host[:port]`],
  [["list", "--tree", "--header"], "--header names columns, and --tree has none"],
  [["pin", "quay.io/team/app:BAD TAG"], "quay.io/team/app:BAD TAG: "],
  [["pin", "quay.io/team/app@sha256:44ab"], "quay.io/team/app@sha256:44ab: "],
])("%j is misuse", async (words, message) => {
  const { code, errors } = await runIn(words);
  expect(errors).toContain(`ociregistry: ${message}`);
  expect(code).toBe(2);
});

test("of an empty store list says that no image is held in it", async () => {
  const { code, errors, store } = await runIn(["list"]);
  expect({ code, errors }).toEqual({ code: 0, errors: `ociregistry: no image is held in ${store}\n` });
});

test("a list that cannot be read is told, not also that there is nothing to export", async () => {
  const { code, errors } = await runIn(["export", "--output", "/nowhere/x.tar", "--images", "/nowhere/list.txt"]);
  expect(errors.trim().split("\n")).toHaveLength(1);
  expect(errors).toContain("/nowhere/list.txt");
  expect(code).toBe(1);
});

test.each([
  ["export", "--output", "x.tar", "--pattern", ".", "--since", "/nowhere/since.json"],
  ["export", "--output", "x.tar", "--pattern", ".", "--sign-key", "/nowhere/since.json"],
  ["import", "x.tar", "--verify-key", "/nowhere/since.json"],
  ["receipt", "--output", "/nowhere/since.json"],
])("a file that is not there is named: %s", async (...words) => {
  const { code, errors } = await runIn(words);
  expect(errors).toMatch(/^ociregistry: \/nowhere\/since\.json(\.partial)?: no such file or folder \(ENOENT\)\n$/);
  expect(code).toBe(1);
});
