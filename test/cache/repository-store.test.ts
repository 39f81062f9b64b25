import { readdir, readFile, rename, stat, truncate, utimes, writeFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { parseRepositoryPath, parseRegistryHost, repositoryOf } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { openTestStore } from "../support/test-store.ts";

const repository = repositoryOf(parseRegistryHost("registry.test:5000"), parseRepositoryPath("team/app"));
const digest = digestOf(Buffer.from("a manifest"));
const tag = parseTag("V1.0");
const record = { digest, mediaType: "application/vnd.oci.image.manifest.v1+json", sizeBytes: 10 };

describe("a tag's record", () => {
  test("is one line of JSON under the tag's own name, and says when it was checked by its mtime", async () => {
    await using store = await openTestStore();
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_700_000_000_000 });
    const path = join(store.layout.root, "upstreams/registry.test_5000_/team/app/_tags/V1.0");
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ digest, mediaType: record.mediaType, size: 10 });
    expect((await stat(path)).mtimeMs).toBe(1_700_000_000_000);
    expect(await store.repositories.findTag(repository, tag)).toEqual({ ...record, checkedAtMs: 1_700_000_000_000 });
  });

  test.each([
    ["empty", async (path: string) => await truncate(path, 0)],
    ["short", async (path: string) => await truncate(path, 40)],
    ["garbage", async (path: string) => await writeFile(path, "not json at all")],
    ["an array", async (path: string) => await writeFile(path, "[]")],
    ["flipped in one bit", async (path: string) => await writeFile(path, (await readFile(path, "utf8")).replace(digest.slice(7, 12), "00000"))],
    ["flipped in its size", async (path: string) => await writeFile(path, (await readFile(path, "utf8")).replace('"size":10', '"size":11'))],
  ])("that is %s counts as absent and heals when it is written again", async (_, damage) => {
    await using store = await openTestStore();
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
    await damage(store.layout.tag(repository, tag));
    expect(await store.repositories.findTag(repository, tag)).toBeUndefined();
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 2_000_000 });
    expect(await store.repositories.findTag(repository, tag)).toEqual({ ...record, checkedAtMs: 2_000_000 });
  });

  test("is trusted for a second, then one look at the disk shows what somebody else changed", async () => {
    await using store = await openTestStore();
    const path = store.layout.tag(repository, tag);
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
    await store.repositories.findTag(repository, tag);
    await rm(path);
    expect(await store.repositories.findTag(repository, tag)).toBeDefined();
    await store.clock.advance(1_000);
    expect(await store.repositories.findTag(repository, tag)).toBeUndefined();
  });

  test("that somebody gives another meaning while it is being removed stays, with that meaning", async () => {
    await using store = await openTestStore();
    const next = { ...record, digest: digestOf(Buffer.from("the next manifest")), checkedAtMs: 2_000_000 };
    const path = store.layout.tag(repository, tag);
    const written = join(store.layout.root, "written");
    for (let round = 0; round < 200; round += 1) {
      // As another process writes it: the file is there already, and gets its name in one step.
      await store.repositories.putTag(repository, tag, next);
      await rename(path, written);
      await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
      const removing = store.repositories.removeTag(repository, tag, digest);
      for (let turn = 0; turn < round % 20; turn += 1) await new Promise(setImmediate);
      await rename(written, path);
      await removing;
      expect([round, await store.repositories.readTag(repository, tag)]).toEqual([round, next]);
    }
    await store.repositories.removeTag(repository, tag, next.digest);
    expect([await store.repositories.readTag(repository, tag), await readdir(store.instance.path)]).toEqual([undefined, []]);
  });

  test("does not vouch for what the tag meant before", async () => {
    await using store = await openTestStore();
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
    const before = await store.repositories.findTag(repository, tag);
    const next = digestOf(Buffer.from("the next manifest"));
    await store.repositories.putTag(repository, tag, { ...record, digest: next, checkedAtMs: 1_000_000 });
    await store.repositories.findTag(repository, tag);
    expect(before && store.repositories.findTrustedTag(repository, tag, before.digest)).toBeUndefined();
    expect(store.repositories.findTrustedTag(repository, tag, next)).toBeDefined();
  });

  test("is not written again when only the time moved: times are noted together, as mtimes", async () => {
    await using store = await openTestStore();
    const path = store.layout.tag(repository, tag);
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
    const before = await stat(path);
    store.repositories.noteChecked(repository, tag, 5_000_000);
    expect((await store.repositories.findTag(repository, tag))?.checkedAtMs).toBe(5_000_000);
    expect((await stat(path)).mtimeMs).toBe(1_000_000);
    await store.clock.advance(30_000);
    await store.background.settled();
    const after = await stat(path);
    expect(after.mtimeMs).toBe(5_000_000);
    expect(after.ino).toBe(before.ino);
  });

  test("stays confirmed on a disk that takes no times, and says so there when it does again", async () => {
    await using disk = await mountSmallDisk(1_000_000);
    await using store = await openTestStore({ root: join(disk.path, "store") });
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
    await disk.setWritable(false);
    store.repositories.noteChecked(repository, tag, 5_000_000);
    await store.clock.advance(60_000);
    await store.background.settled();
    expect((await store.repositories.findTag(repository, tag))?.checkedAtMs).toBe(5_000_000);
    await disk.setWritable(true);
    store.repositories.noteChecked(repository, tag, 6_000_000);
    await store.clock.advance(30_000);
    await store.background.settled();
    expect((await stat(store.layout.tag(repository, tag))).mtimeMs).toBe(6_000_000);
  });

  test("whose time lies in the future is still found", async () => {
    await using store = await openTestStore();
    await store.repositories.putTag(repository, tag, { ...record, checkedAtMs: 1_000_000 });
    await utimes(store.layout.tag(repository, tag), 4_000_000_000, 4_000_000_000);
    expect((await store.repositories.findTag(repository, tag))?.digest).toBe(digest);
  });
});

describe("links", () => {
  test("hold the size, and an empty one counts as absent", async () => {
    await using store = await openTestStore();
    await store.repositories.putLink(repository, digest, 123);
    expect(await store.repositories.findLink(repository, digest)).toEqual({ sizeBytes: 123 });
    await truncate(store.layout.link(repository, digest), 0);
    await store.clock.advance(1_000);
    expect(await store.repositories.findLink(repository, digest)).toBeUndefined();
  });
});

test("a manifest's record names its subject, and leaves a link beside it", async () => {
  await using store = await openTestStore();
  const subject = digestOf(Buffer.from("the subject"));
  await store.repositories.putManifest(repository, { ...record, subject });
  expect(await store.repositories.findManifest(repository, digest)).toEqual({ ...record, subject, fetchedAtMs: store.clock.now() });
  expect(await store.referrers.listHeld(repository, subject)).toEqual([digest]);
});

test("a manifest's record that is written again still says when the manifest first came, and when it was last used", async () => {
  await using store = await openTestStore();
  const { repositories, clock } = store;
  await repositories.putManifest(repository, record);
  const cameMs = clock.now();
  await clock.advance(86_400_000);
  await repositories.putManifest(repository, record);
  expect(await repositories.readManifest(repository, digest)).toMatchObject({ record: { fetchedAtMs: cameMs }, mtimeMs: cameMs });
  await repositories.putUsed(repository, digest, clock.now());
  const usedMs = clock.now();
  await clock.advance(86_400_000);
  await repositories.putManifest(repository, record);
  expect(await repositories.readManifest(repository, digest)).toMatchObject({ record: { fetchedAtMs: cameMs }, mtimeMs: usedMs });
});

test("tags are listed as they are spelled, in the order of their bytes", async () => {
  await using store = await openTestStore();
  for (const name of ["b", "A", "a", "1.0"]) await store.repositories.putTag(repository, parseTag(name), { ...record, checkedAtMs: 1 });
  expect(await store.repositories.listTags(repository)).toEqual(["1.0", "A", "a", "b"]);
});
