/** What commands say of a store of which a part cannot be read: nobody takes it for absent. */
import { readdir, rm, symlink } from "node:fs/promises";
import { beforeEach, expect, test } from "vitest";
import { depositImage } from "../support/deposited-images.ts";
import { buildImage } from "../support/images.ts";
import { openTestStore } from "../support/test-store.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { runLine, type Outcome } from "./captured-io.ts";

let folder: TemporaryFolder;
let unread = "";
const image = buildImage({ layers: [{ a: "file" }] });

beforeEach(async () => {
  folder = await temporaryFolder();
  await using store = await openTestStore({ root: `${folder.path}/store` });
  await depositImage(store, store.clock, "r.example.com/team/seen:1", image);
  await depositImage(store, store.clock, "r.example.com/team/hidden:1", image);
  unread = `${folder.path}/store/upstreams/r.example.com/team/hidden/_manifests`;
  await loop(unread);
  return () => folder[Symbol.asyncDispose]();
});

/** Neither there nor absent. */
async function loop(path: string): Promise<void> {
  await rm(path, { recursive: true });
  await symlink(path, path);
}

function run(line: string): Promise<Outcome> {
  return runLine(`${line} --image-path ${folder.path}/store`);
}

test.each(["", "--json", "--sort size", "--tree"])("list %s names it once, lists the others, and fails", async (flags) => {
  const { code, out, errors } = await run(`list ${flags}`);
  expect(errors).toBe(`ociregistry: ${unread} cannot be read (ELOOP): what lies there is not listed\n`);
  expect(out).toContain("r.example.com/team/seen");
  expect(out).not.toContain("hidden");
  expect(code).toBe(1);
});

test("verify names it, verifies the others, and fails", async () => {
  const { code, out } = await run("verify");
  expect(out).toContain(`unread      ${unread}: it cannot be read (ELOOP), and what lies there was not looked at\n`);
  expect(out).toMatch(/\n1 image, \d blobs, .*: 1 path that cannot be read\n$/);
  expect(code).toBe(1);
});

test("verify names a folder of blobs that it cannot read", async () => {
  const [shard = ""] = await readdir(`${folder.path}/store/blobs/sha256`);
  await loop(`${folder.path}/store/blobs/sha256/${shard}`);
  const { code, out } = await run("verify");
  expect(out).toContain(`unread      ${folder.path}/store/blobs/sha256/${shard}: `);
  expect(code).toBe(1);
});

test.each(["receipt --output OUT", "export --output OUT --pattern ."])("%s names it, writes nothing, and fails", async (line) => {
  const { code, errors } = await run(line.replace("OUT", `${folder.path}/out`));
  expect(errors).toContain(unread);
  expect(code).toBe(1);
  expect(await readdir(folder.path)).toEqual(["store"]);
});
