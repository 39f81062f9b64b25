/** What counts as use of a manifest, when it reaches the disk, and what it costs: never a request anything. */
import { rm, stat, utimes } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { parseReference } from "../../src/oci/reference.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { pullCall, pullManifest, repositoryAt, startTestCache, type TestCacheOptions } from "../support/test-cache.ts";
import { openTestStore } from "../support/test-store.ts";
import { TestClock } from "../support/test-clock.ts";

const image = buildImage();
const index = buildIndex([buildImage({ platform: "linux/amd64" }), buildImage({ platform: "linux/arm64" })]);
const startMs = Date.UTC(2026, 5, 1);
const hourMs = 3_600_000;

async function arrange(options: Partial<TestCacheOptions> = {}) {
  const upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1", image);
  upstream.putImage("team/app", "many", index);
  const clock = new TestClock({ startMs });
  const rig = await startTestCache({ upstreams: [upstream.host], clock, ...options });
  const repository = repositoryAt(upstream.host, "team/app");
  return {
    upstream,
    rig,
    clock,
    repository,
    pull: (reference: string, more = {}) => pullManifest(rig, repository, reference, more),
    /** When the record of a manifest says that it was last used. */
    usedAtMs: async (digest: string) => (await stat(rig.store.layout.manifest(repository, digestIn(digest)))).mtimeMs,
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

function digestIn(raw: string) {
  const reference = parseReference(raw);
  if (reference.kind !== "digest") throw new Error(`${raw} is no digest`);
  return reference.digest;
}

const digest = image.manifest.descriptor.digest;

describe("a manifest is used", () => {
  const ways: readonly [string, (all: Awaited<ReturnType<typeof arrange>>) => unknown][] = [
    ["a pull by tag", (all) => all.pull("1")],
    ["a pull by digest", (all) => all.pull(digest)],
    ["a HEAD", (all) => all.rig.cache.headManifest(all.repository, parseReference("1"), pullCall())],
    ["an answer at hand by tag", (all) => expect(all.rig.cache.manifestAtHand(all.repository, parseReference("1"))).toBeDefined()],
    ["a HEAD by digest", (all) => all.rig.cache.headManifest(all.repository, parseReference(digest), pullCall())],
  ];
  test.each(ways)("by %s", async (_, use) => {
    await using all = await arrange({ rules: { tagTtlMs: () => Infinity } });
    await all.pull("1");
    await all.pull(digest);
    await all.clock.advance(hourMs);
    await all.pull("1", { purpose: "view" }); // So that it is at hand.
    await use(all);
    await all.rig.store.uses.write();
    expect(await all.usedAtMs(digest)).toBe(startMs + hourMs);
  });

  test.each(["load", "verify", "view"] as const)("but not by who means to %s", async (purpose) => {
    await using all = await arrange();
    await all.pull("1", { purpose });
    await all.clock.advance(hourMs);
    await all.pull(digest, { purpose });
    await all.rig.store.uses.write();
    expect(await all.usedAtMs(digest)).toBe(startMs);
  });

  test("by who pulls a child of an index: the child, by its digest", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => Infinity } });
    const child = index.images[0]?.manifest.descriptor.digest ?? "";
    await all.pull("many");
    await all.pull(child);
    await all.clock.advance(hourMs);
    await all.pull(child);
    await all.rig.store.uses.write();
    expect(await all.usedAtMs(child)).toBe(startMs + hourMs);
    expect(await all.usedAtMs(index.manifest.descriptor.digest)).toBe(startMs);
  });
});

describe("uses are written", () => {
  test("together, 30 seconds after the first, each with its own time", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => Infinity } });
    await all.pull("1", { purpose: "load" });
    await all.pull("many", { purpose: "load" });
    await all.clock.advance(hourMs);
    await all.pull("1");
    await all.clock.advance(10_000);
    await all.pull("many");
    await all.pull("1");
    await all.clock.advance(19_000);
    expect(await all.usedAtMs(digest)).toBe(startMs);
    await all.clock.advance(1_000);
    await all.rig.store.background.settled();
    expect(await all.usedAtMs(digest)).toBe(startMs + hourMs + 10_000);
    expect(await all.usedAtMs(index.manifest.descriptor.digest)).toBe(startMs + hourMs + 10_000);
  });

  test("at the end, and are there for the next process", async () => {
    await using all = await arrange();
    await all.pull("1", { purpose: "load" });
    await all.clock.advance(5_000);
    await all.pull("1");
    await all.rig.store.close();
    expect(await all.usedAtMs(digest)).toBe(startMs + 5_000);
  });

  test("never backwards: another process may have noted a later one", async () => {
    await using all = await arrange();
    await all.pull("1");
    const path = all.rig.store.layout.manifest(all.repository, digest);
    await utimes(path, (startMs + 20_000) / 1_000, (startMs + 20_000) / 1_000);
    await all.rig.store.uses.write();
    expect(await all.usedAtMs(digest)).toBe(startMs + 20_000);
  });

  test("over a time that lies far ahead, which some clock was wrong about", async () => {
    await using all = await arrange();
    await all.pull("1");
    const path = all.rig.store.layout.manifest(all.repository, digest);
    await utimes(path, (startMs + 400 * 24 * hourMs) / 1_000, (startMs + 400 * 24 * hourMs) / 1_000);
    await all.rig.store.uses.write();
    expect(await all.usedAtMs(digest)).toBe(startMs);
  });

  test("without the record being read anew, or its answer being made anew", async () => {
    await using all = await arrange({ rules: { tagTtlMs: () => Infinity } });
    await all.pull("1");
    await all.pull("1");
    const record = all.rig.store.repositories.findTrustedManifest(all.repository, digest);
    await all.clock.advance(500);
    await all.pull("1");
    await all.rig.store.uses.write();
    await all.clock.advance(1_100); // Trust is over: one look, which must find the file that it knows.
    await all.rig.store.repositories.findManifest(all.repository, digest);
    expect(record).toBeDefined();
    expect(all.rig.store.repositories.findTrustedManifest(all.repository, digest)).toBe(record);
  });

  test("and a record that is gone stays gone", async () => {
    await using all = await arrange();
    await all.pull("1");
    await rm(all.rig.store.layout.manifest(all.repository, digest));
    await all.rig.store.uses.write();
    await expect(all.usedAtMs(digest)).rejects.toThrow("ENOENT");
  });
});

describe("a disk that takes no uses", () => {
  test("costs no request anything, and is asked again with the next batch", async () => {
    await using disk = await mountSmallDisk(8 * 1024 * 1024);
    await using all = await arrange({ root: `${disk.path}/store`, rules: { tagTtlMs: () => Infinity } });
    await all.pull("1");
    await all.rig.store.uses.write();
    await all.clock.advance(hourMs);
    await disk.setWritable(false);
    expect((await all.pull("1")).outcome).toBe("hit");
    await all.rig.store.uses.write();
    await disk.setWritable(true);
    expect(await all.usedAtMs(digest)).toBe(startMs);
    expect((await all.pull("1")).outcome).toBe("hit");
    await all.rig.store.uses.write();
    expect(await all.usedAtMs(digest)).toBe(startMs + hourMs);
  });
});

describe("many uses", () => {
  test("are written early when they are ten thousand, one for each manifest whoever asked", async () => {
    await using store = await openTestStore();
    const record = { digest, mediaType: image.manifest.descriptor.mediaType, sizeBytes: 10 };
    const name = () => repositoryOf(parseRegistryHost("registry.test"), parseRepositoryPath("team/app"));
    await store.repositories.putManifest(name(), record);
    await store.clock.advance(1_000);
    for (let asked = 0; asked < 10_000; asked++) store.uses.note(name(), digest);
    await store.background.settled();
    expect((await stat(store.layout.manifest(name(), digest))).mtimeMs).toBe(store.clock.now());
  });
});
