/** What a prune takes and what it leaves: whole images, by name, age and use, and every blob that nobody needs any more. */
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { BegunRemovals } from "../../../src/cache/eviction/begun-removals.ts";
import { Census } from "../../../src/cache/eviction/census.ts";
import { prune, PruneBusy, type PruneEvent, type PruneOptions, type PruneProgress } from "../../../src/cache/eviction/prune.ts";
import { keepNothing, type PruneRules } from "../../../src/cache/eviction/rules.ts";
import { takeLease } from "../../../src/cache/lease.ts";
import { formatProcessName, nameOfThisProcess } from "../../../src/cache/process-name.ts";
import { HeldImages } from "../../../src/cache/held-images.ts";
import { systemClock, type Clock } from "../../../src/oci/clock.ts";
import { digestOf, type Digest } from "../../../src/oci/digest.ts";
import { repositoryName } from "../../../src/oci/repository.ts";
import { parseTag } from "../../../src/oci/tag.ts";
import { parseReference } from "../../../src/oci/reference.ts";
import { blobFiles, depositImage, heldNames, missingParts, repositoryNamed } from "../../support/deposited-images.ts";
import { buildArtifact, buildImage, buildIndex, type BuiltImage } from "../../support/images.ts";
import { lookUntil } from "../../support/looking.ts";
import { openTestStore, type TestStore } from "../../support/test-store.ts";

const base = { "etc/base": "shared by all" };
const app = buildImage({ layers: [base, { "usr/app": "app" }] });
const tool = buildImage({ layers: [base, { "usr/tool": "tool" }] });
const amd64 = buildImage({ platform: "linux/amd64", layers: [base, { "usr/multi": "amd64" }] });
const arm64 = buildImage({ platform: "linux/arm64", layers: [base, { "usr/multi": "arm64" }] });
const multi = buildIndex([amd64, arm64]);
const signature = buildArtifact(multi.manifest);
const hourMs = 3_600_000;

interface Done {
  readonly names: readonly string[];
  readonly done: Extract<PruneEvent, { kind: "done" }>;
}

/** The store's dates, and the machine's own time to wait by: what reads the disk does so at its own pace. */
function clockOf({ clock }: TestStore): Clock {
  return { ...systemClock, now: () => clock.now() };
}

/** Begins it, as the only process there is. */
function begin(store: TestStore, options: Partial<PruneOptions> = {}): AsyncGenerator<PruneEvent> {
  const clock = clockOf(store);
  return prune({ store, images: new HeldImages({ store, clock }), clock, restFactor: 0, waitMs: 0, settleMs: 0, ...options });
}

/** Runs it to its end. */
async function run(store: TestStore, options: Partial<PruneOptions> = {}): Promise<Done> {
  const events = await Array.fromAsync(begin(store, options));
  const done = events.at(-1);
  if (done?.kind !== "done") throw new Error("it ended without sums");
  const images = events.filter((event) => event.kind === "image");
  const names = images.flatMap(({ repository, tags, digest }) =>
    tags.length === 0 ? [`${repositoryName(repository)}@${digest}`] : tags.map((tag) => `${repositoryName(repository)}:${tag}`),
  );
  return { names: names.sort(), done };
}

function rules(more: Partial<PruneRules> = {}): PruneRules {
  return { keep: keepNothing, ...more };
}

function named(...names: readonly string[]): (name: string) => boolean {
  return (name) => names.some((one) => name.includes(one));
}

async function deposited(): Promise<TestStore> {
  const store = await openTestStore();
  const { clock } = store;
  await depositImage(store, clock, "registry.example.com/team/app:1", app);
  await clock.advance(hourMs);
  await depositImage(store, clock, "registry.example.com/team/tool:1", tool);
  await clock.advance(hourMs);
  await depositImage(store, clock, "registry.example.com/team/multi:1", multi);
  await depositImage(store, clock, "registry.example.com/team/multi", signature);
  await clock.advance(hourMs);
  return store;
}

function blobsOf(...images: readonly BuiltImage[]): readonly Digest[] {
  return images.flatMap(({ blobs, manifest }) => [...blobs.keys(), manifest.descriptor.digest]);
}

describe("a prune by name", () => {
  test("takes the image whole, and leaves the layers that others need", async () => {
    await using store = await deposited();
    const { names, done } = await run(store, { rules: rules({ matches: named("team/app") }) });
    expect(names).toEqual(["registry.example.com/team/app:1"]);
    expect(await heldNames(store, store.clock)).toEqual(["registry.example.com/team/multi:1", "registry.example.com/team/tool:1"]);
    expect(await missingParts(store, store.clock)).toEqual([]);
    const left = await blobFiles(store.layout.root);
    const needed = new Set(blobsOf(tool, amd64, arm64, signature));
    for (const digest of blobsOf(app)) expect(left.has(digest)).toBe(needed.has(digest));
    expect(done).toMatchObject({ dryRun: false, images: 1, blobs: 3 });
    expect(done.freedBytes).toBe(3 * 4_096);
  });

  test("takes an index with its children and what refers to it", async () => {
    await using store = await deposited();
    const { names } = await run(store, { rules: rules({ matches: named("multi:1") }) });
    expect(names).toEqual(["registry.example.com/team/multi:1"]);
    expect(await heldNames(store, store.clock)).toEqual(["registry.example.com/team/app:1", "registry.example.com/team/tool:1"]);
    const left = await blobFiles(store.layout.root);
    expect(left).toEqual(new Set(blobsOf(app, tool)));
    expect(await readdir(`${store.layout.root}/upstreams/registry.example.com/team`)).not.toContain("multi");
  });

  test("leaves nothing of the last image but the store's own folders", async () => {
    await using store = await deposited();
    const { done } = await run(store, { rules: rules({ matches: () => true }) });
    expect(done.images).toBe(3);
    expect(await blobFiles(store.layout.root)).toEqual(new Set());
    const entries = await readdir(store.layout.upstreams(), { recursive: true, withFileTypes: true });
    expect(entries.filter((entry) => entry.isFile()).map((entry) => entry.name)).toEqual([]);
    expect(entries.map((entry) => entry.name)).not.toContain("team");
  });

  test("that means one of several tags takes that tag only", async () => {
    await using store = await deposited();
    await depositImage(store, store.clock, "registry.example.com/team/app:latest", app);
    const { names } = await run(store, { rules: rules({ matches: named("app:latest") }) });
    expect(names).toEqual(["registry.example.com/team/app:latest"]);
    expect(await heldNames(store, store.clock)).toContain("registry.example.com/team/app:1");
    expect(await missingParts(store, store.clock)).toEqual([]);
  });

  test("does not take a shared child that another index of the repository names", async () => {
    await using store = await deposited();
    await depositImage(store, store.clock, "registry.example.com/team/multi:small", buildIndex([amd64]));
    await run(store, { rules: rules({ matches: named("multi:1") }) });
    expect(await heldNames(store, store.clock)).toContain("registry.example.com/team/multi:small");
    expect(await missingParts(store, store.clock)).toEqual([]);
    expect((await blobFiles(store.layout.root)).has(arm64.manifest.descriptor.digest)).toBe(false);
  });

  test("takes signatures by tag with what they sign, and not without it", async () => {
    await using store = await deposited();
    const signed = `sha256-${app.manifest.descriptor.digest.slice(7)}.sig`;
    await depositImage(store, store.clock, `registry.example.com/team/app:${signed}`, tool);
    expect((await run(store, { rules: rules({ matches: named(".sig") }) })).names).toEqual([]);
    const { names } = await run(store, { rules: rules({ matches: named("app:1") }) });
    expect(names).toEqual(["registry.example.com/team/app:1", `registry.example.com/team/app:${signed}`]);
  });
});

describe("a prune by age", () => {
  test("takes what came before the date, whoever uses it", async () => {
    await using store = await deposited();
    const heldBeforeMs = store.clock.now() - 2.5 * hourMs;
    const { names } = await run(store, { rules: rules({ heldBeforeMs }) });
    expect(names).toEqual(["registry.example.com/team/app:1"]);
  });

  test("takes what nobody has used since, and a pull of a child is a use of its index", async () => {
    await using store = await deposited();
    store.uses.note(repositoryNamed("registry.example.com/team/app"), app.manifest.descriptor.digest);
    store.uses.note(repositoryNamed("registry.example.com/team/multi"), arm64.manifest.descriptor.digest);
    await store.clock.advance(1_000);
    const { names } = await run(store, { rules: rules({ usedBeforeMs: store.clock.now() - hourMs / 2 }) });
    expect(names).toEqual(["registry.example.com/team/tool:1"]);
  });

  test("takes as many as were asked for, the least recently used first", async () => {
    await using store = await deposited();
    const { names } = await run(store, { rules: rules({ usedBeforeMs: store.clock.now(), countMax: 2 }) });
    expect(names).toEqual(["registry.example.com/team/app:1", "registry.example.com/team/tool:1"]);
  });
});

describe("what is kept", () => {
  test("stays: pinned, by pattern, and the last tags of a repository", async () => {
    await using store = await deposited();
    await depositImage(store, store.clock, "registry.example.com/team/tool:2", app);
    await store.pins.put(repositoryNamed("registry.example.com/team/app"), parseReference("1"));
    const keep = { isKept: ({ path }: { path: string }) => path.endsWith("multi"), lastTags: ({ path }: { path: string }) => (path.endsWith("tool") ? 1 : 0) };
    const { names } = await run(store, { rules: { matches: () => true, keep } });
    expect(names).toEqual(["registry.example.com/team/tool:1"]);
    expect(await missingParts(store, store.clock)).toEqual([]);
  });
});

describe("a dry run", () => {
  test("says what would go and what that frees, and changes nothing", async () => {
    await using store = await deposited();
    const before = await readdir(store.layout.root, { recursive: true });
    const dry = await run(store, { rules: rules({ matches: named("app", "tool") }), dryRun: true });
    expect((await readdir(store.layout.root, { recursive: true })).sort()).toEqual(before.sort());
    const { names, done } = await run(store, { rules: rules({ matches: named("app", "tool") }) });
    expect(dry.names).toEqual(names);
    expect(dry.done).toEqual({ ...done, dryRun: true });
  });
});

describe("a limit", () => {
  test("is gone below by the images that were used least recently", async () => {
    await using store = await deposited();
    store.uses.note(repositoryNamed("registry.example.com/team/app"), app.manifest.descriptor.digest);
    await store.clock.advance(1_000);
    const limits = { totalBytes: 1, byHost: new Map(), lowWater: 1 };
    const all = await run(store, { limits, dryRun: true });
    expect(all.names).toHaveLength(3);
    const { done: allOfIt } = all;
    expect(allOfIt.images).toBe(3);
    // One image's own blobs too many.
    const { takenBytes } = await measured(store);
    const { names } = await run(store, { limits: { totalBytes: takenBytes - 1, byHost: new Map(), lowWater: 1 } });
    expect(names).toEqual(["registry.example.com/team/tool:1"]);
  });
});

async function measured(store: TestStore): Promise<{ takenBytes: number }> {
  const clock = clockOf(store);
  const census = new Census({ store, images: new HeldImages({ store, clock }), clock, restFactor: 0 });
  await census.takeBlobs();
  await Array.fromAsync(census.takeImages());
  return census;
}

test("what no image needs goes when it is an hour old, and not before: it may be on its way in", async () => {
  await using store = await deposited();
  const bytes = Buffer.from("nobody's");
  await store.blobs.put(digestOf(bytes), bytes);
  const { mtimeMs } = await stat(store.layout.blob(digestOf(bytes)));
  store.clock.jump(mtimeMs - store.clock.now());
  expect((await run(store)).done.blobs).toBe(0);
  store.clock.jump(2 * hourMs);
  expect((await run(store)).done.blobs).toBe(1);
  expect(await missingParts(store, store.clock)).toEqual([]);
});

test("while another process prunes, it waits, and then says who does", async () => {
  await using store = await deposited();
  await using lease = await takeLease({ work: "evict", tmp: store.layout.temporary(), instance: store.instance, clock: store.clock }, { waitMs: 0 });
  expect(lease).toBeDefined();
  await expect(run(store, { rules: rules() })).rejects.toThrow(PruneBusy);
  await expect(run(store, { rules: rules() })).rejects.toThrow(`another process (${process.pid}) prunes this store`);
});

test("a process of another machine that died while it pruned is waited for until that is certain", async () => {
  await using store = await deposited();
  const folder = `${store.layout.temporary()}/eviction`;
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/lease`, `${formatProcessName({ ...(await nameOfThisProcess()), boot: "another" })}\n`);
  const progress: PruneProgress[] = [];
  const running = run(store, { clock: store.clock, rules: rules({ matches: named("team/app") }), onProgress: (one) => progress.push(one) });
  const isAlone = async (): Promise<boolean> => {
    await store.clock.advance(1_000);
    return progress.some(({ kind }) => kind === "looking");
  };
  expect(await lookUntil(isAlone, Boolean, { waitMs: 20_000 })).toBe(true);
  expect((await running).names).toEqual(["registry.example.com/team/app:1"]);
  expect(progress[0]).toEqual({ kind: "waiting" });
  expect(progress.at(-1)).toEqual({ kind: "looking", images: 3 });
});

test("a blob that a new image begins to need while it is to go stays", async () => {
  await using store = await deposited();
  const other = await openTestStore({ root: store.layout.root, clock: store.clock });
  const late = buildImage({ layers: [{ "usr/app": "app" }, { "usr/late": "late" }] });
  const events = begin(store, { rules: rules({ matches: named("team/app") }), settleMs: 2_000 });
  const next = events.next();
  // Its records are gone, and its blobs wait for what others may believe.
  await untilGone(other, "registry.example.com/team/app:1");
  await depositImage(other, other.clock, "registry.example.com/team/late:1", late);
  await next;
  await Array.fromAsync(events);
  expect(await heldNames(other, other.clock)).toContain("registry.example.com/team/late:1");
  expect(await missingParts(other, other.clock)).toEqual([]);
  await other[Symbol.asyncDispose]();
});

describe("a prune that ended in the middle", () => {
  test("of its blobs is finished by the next, whatever that one is asked for", async () => {
    await using store = await deposited();
    const abort = new AbortController();
    const events = begin(store, { rules: rules({ matches: named("team/app") }), settleMs: 60_000, signal: abort.signal });
    const ending = events.next();
    await untilGone(store, "registry.example.com/team/app:1");
    abort.abort(new Error("killed"));
    await expect(ending).rejects.toThrow("killed");
    expect((await blobFiles(store.layout.root)).has(app.manifest.descriptor.digest)).toBe(true);
    const { done } = await run(store);
    expect(done).toMatchObject({ images: 0, blobs: 3 });
    expect(await blobFiles(store.layout.root)).toEqual(new Set(blobsOf(tool, amd64, arm64, signature).concat(multi.manifest.descriptor.digest)));
  });

  test("of its records is finished too, but for what somebody has brought again", async () => {
    await using store = await deposited();
    const begun = new BegunRemovals({ tmp: store.layout.temporary(), instance: store.instance });
    const repository = repositoryNamed("registry.example.com/team/multi");
    const digests = [multi, amd64, arm64, signature].map(({ manifest }) => manifest.descriptor.digest);
    await begun.begin({ manifests: new Map([[repositoryName(repository), digests]]), blobs: [] });
    await store.repositories.removeTag(repository, parseTag("1"), multi.manifest.descriptor.digest);
    await store.repositories.removeManifest(repository, multi.manifest.descriptor.digest);
    await depositImage(store, store.clock, "registry.example.com/team/multi:arm", arm64);
    await run(store);
    expect(await heldNames(store, store.clock)).toEqual([
      "registry.example.com/team/app:1",
      "registry.example.com/team/multi:arm",
      "registry.example.com/team/tool:1",
    ]);
    expect(await missingParts(store, store.clock)).toEqual([]);
  });
});

async function untilGone(store: TestStore, name: string): Promise<void> {
  const isGone = async (): Promise<boolean> => !(await heldNames(store, store.clock)).includes(name);
  expect(await lookUntil(isGone, (gone) => gone, { waitMs: 20_000 })).toBe(true);
}
