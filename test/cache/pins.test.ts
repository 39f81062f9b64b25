/** Pins: files beside the tags. */
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { openTestStore } from "../support/test-store.ts";

const repository = repositoryOf(parseRegistryHost("registry.test:5000"), parseRepositoryPath("team/app"));
const tag = parseReference("V1.0");
const digest = parseReference(digestOf(Buffer.from("a manifest")));

test("a pin is a line of JSON named by what it pins, held or not", async () => {
  await using store = await openTestStore();
  await store.pins.put(repository, tag, { reason: "the installer", untilMs: store.clock.now() + 1_000 });
  await store.pins.put(repository, digest);
  const folder = `${store.layout.root}/upstreams/registry.test_5000_/team/app/_pins`;
  expect(await readdir(folder)).toEqual(["V1.0", digest.kind === "digest" ? digest.digest.replace(":", "-") : ""]);
  expect(JSON.parse(await readFile(`${folder}/V1.0`, "utf8"))).toMatchObject({
    pinnedAt: new Date(store.clock.now()).toISOString(),
    until: new Date(store.clock.now() + 1_000).toISOString(),
    reason: "the installer",
  });
  expect(await store.pins.list(repository)).toEqual([
    { reference: tag, pinnedAtMs: store.clock.now(), untilMs: store.clock.now() + 1_000, reason: "the installer" },
    { reference: digest, pinnedAtMs: store.clock.now() },
  ]);
});

test("a pin ends when its time is over, or when it is removed", async () => {
  await using store = await openTestStore();
  await store.pins.put(repository, tag, { untilMs: store.clock.now() + 1_000 });
  await store.pins.put(repository, digest);
  expect([await store.pins.isPinned(repository, tag), await store.pins.isPinned(repository, digest)]).toEqual([true, true]);
  await store.clock.advance(1_000);
  expect([await store.pins.isPinned(repository, tag), await store.pins.isPinned(repository, digest)]).toEqual([false, true]);
  expect(await store.pins.remove(repository, digest)).toBe(true);
  expect(await store.pins.remove(repository, digest)).toBe(false);
  expect(await store.pins.list(repository)).toEqual([]);
});

test("a pin whose record is torn pins on, and what is nobody's name pins nothing", async () => {
  await using store = await openTestStore();
  await store.pins.put(repository, tag, { untilMs: store.clock.now() + 1_000 });
  await truncate(store.layout.pin(repository, tag), 0);
  await writeFile(`${store.layout.pins(repository)}/.swp`, "");
  await store.clock.advance(2_000);
  expect(await store.pins.list(repository)).toEqual([{ reference: tag, pinnedAtMs: 0 }]);
  expect(await store.pins.isPinned(repository, tag)).toBe(true);
});

test("a tag that is written as a digest is not pinned: its file would say something else", async () => {
  await using store = await openTestStore();
  const written = digest.kind === "digest" ? digest.digest.replace(":", "-") : "";
  await expect(store.pins.put(repository, parseReference(written))).rejects.toMatchObject({ code: "TAG_INVALID" });
  expect(await store.pins.list(repository)).toEqual([]);
});
