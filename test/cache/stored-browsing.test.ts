/** The store as people look through it: what they find, in which order, and what they may not see. */
import { rm, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { StoredBrowsing } from "../../src/cache/stored-browsing.ts";
import type { ListQuery, RepositoriesQuery } from "../../src/oci/browsing.ts";
import { silentLog } from "../../src/oci/log.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { depositImage, repositoryNamed } from "../support/deposited-images.ts";
import { buildArtifact, buildImage, buildIndex, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { TestClock } from "../support/test-clock.ts";
import { openTestStore } from "../support/test-store.ts";

const amd64 = buildImage({ platform: "linux/amd64" });
const arm64 = buildImage({ platform: "linux/arm64" });
const index = buildIndex([amd64, arm64]);
const startMs = Date.UTC(2026, 5, 1);
const hourMs = 3_600_000;
const { signal } = new AbortController();

async function arrange() {
  const clock = new TestClock({ startMs });
  const store = await openTestStore({ clock });
  const browsing = new StoredBrowsing({ store, clock, log: silentLog, background: store.background });
  return {
    clock,
    store,
    browsing,
    put: (name: string, image: BuiltImage | BuiltIndex = amd64) => depositImage(store, clock, name, image),
    find: (query: Partial<RepositoriesQuery> = {}) =>
      browsing.findRepositories({ words: [], registry: undefined, sort: "name", after: undefined, limit: 10, sees: undefined, signal, ...query }),
    async [Symbol.asyncDispose]() {
      browsing.close();
      await store[Symbol.asyncDispose]();
    },
  };
}

function listed(query: Partial<ListQuery> = {}): ListQuery {
  return { part: "", from: 0, limit: 10, signal, ...query };
}

describe("repositories", () => {
  const names = ["a.example/app", "a.example/app-one", "a.example/app/two", "b.example:5000/app"];

  test("are found in the order of their names, a page at a time, and counted", async () => {
    await using rig = await arrange();
    for (const name of names) await rig.put(`${name}:1`);
    await rig.put("a.example/app:2", arm64);
    const first = await rig.find({ limit: 3 });
    expect(first.repositories.map(({ name, tagCount, manifestCount }) => [name, tagCount, manifestCount])).toEqual([
      ["a.example/app", 2, 2],
      ["a.example/app-one", 1, 1],
      ["a.example/app/two", 1, 1],
    ]);
    expect(first).toMatchObject({ hasMore: true, total: 4, registries: ["a.example", "b.example:5000"], foundSoFar: undefined, isCut: false });
    const last = first.repositories.at(-1);
    const second = await rig.find({ limit: 3, after: last });
    expect([second.repositories.map(({ name }) => name), second.hasMore, second.total]).toEqual([["b.example:5000/app"], false, 4]);
  });

  test("are found by all the words that are asked for, and by registry", async () => {
    await using rig = await arrange();
    for (const name of names) await rig.put(`${name}:1`);
    const found = async (query: Partial<RepositoriesQuery>) => (await rig.find(query)).repositories.map(({ name }) => name);
    expect(await found({ words: ["app", "o"] })).toEqual(["a.example/app-one", "a.example/app/two"]);
    expect(await found({ registry: parseRegistryHost("b.example:5000") })).toEqual(["b.example:5000/app"]);
    expect(await found({ words: ["nothing"] })).toEqual([]);
  });

  test("that were used last come first where that is asked for, also over pages", async () => {
    await using rig = await arrange();
    for (const name of names) {
      await rig.put(`${name}:1`);
      await rig.clock.advance(hourMs);
    }
    const first = await rig.find({ sort: "used", limit: 2 });
    expect(first.repositories.map(({ name, usedAtMs }) => [name, usedAtMs])).toEqual([
      ["b.example:5000/app", startMs + 3 * hourMs],
      ["a.example/app/two", startMs + 2 * hourMs],
    ]);
    const second = await rig.find({ sort: "used", limit: 2, after: first.repositories.at(-1) });
    expect(second.repositories.map(({ name }) => name)).toEqual(["a.example/app-one", "a.example/app"]);
  });

  test("that somebody may not see are neither shown, nor counted, nor told of by their registry", async () => {
    await using rig = await arrange();
    for (const name of names) await rig.put(`${name}:1`);
    const sees: RepositoriesQuery["sees"] = ({ path }) => path.startsWith("app/") || path === "app-one";
    const found = await rig.find({ sees });
    expect(found.repositories.map(({ name }) => name)).toEqual(["a.example/app-one", "a.example/app/two"]);
    expect(found).toMatchObject({ hasMore: false, total: 2, registries: ["a.example"] });
    const page = await rig.find({ sees, limit: 1 });
    expect([page.repositories.map(({ name }) => name), page.hasMore]).toEqual([["a.example/app-one"], true]);
    const next = await rig.find({ sees, limit: 1, after: page.repositories[0] });
    expect([next.repositories.map(({ name }) => name), next.hasMore, next.total]).toEqual([["a.example/app/two"], false, undefined]);
  });

  test("that come and go show within a second of the next look", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1");
    const found = async () => (await rig.find()).repositories.map(({ name }) => name);
    expect(await found()).toEqual(["a.example/app"]);
    await rig.put("a.example/new:1");
    expect(await found()).toEqual(["a.example/app"]);
    await rig.clock.advance(1_000);
    expect(await found()).toEqual(["a.example/app", "a.example/new"]);
    await rm(rig.store.layout.repository(repositoryNamed("a.example/app")), { recursive: true });
    await rig.clock.advance(1_000);
    expect(await found()).toEqual(["a.example/new"]);
  });

  test("of which nothing is left but folders are none", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1");
    const { layout } = rig.store;
    await rm(layout.manifests(repositoryNamed("a.example/app")), { recursive: true });
    await rm(layout.tags(repositoryNamed("a.example/app")), { recursive: true });
    expect((await rig.find()).repositories).toEqual([]);
  });
});

describe("a repository's tags", () => {
  const app = repositoryNamed("a.example/app");

  test("come with the highest version first, a page at a time", async () => {
    await using rig = await arrange();
    for (const tag of ["3.9", "3.20", "latest", "3.10"]) await rig.put(`a.example/app:${tag}`);
    const page = await rig.browsing.findTags(app, listed({ limit: 3 }));
    expect(page?.entries.map(({ tag }) => tag)).toEqual(["latest", "3.20", "3.10"]);
    expect(page).toMatchObject({ total: 4, tagCount: 4, manifestCount: 1 });
    const rest = await rig.browsing.findTags(app, listed({ limit: 3, from: 3 }));
    expect(rest?.entries.map(({ tag }) => tag)).toEqual(["3.9"]);
    const part = await rig.browsing.findTags(app, listed({ part: "3.1" }));
    expect([part?.entries.map(({ tag }) => tag), part?.total]).toEqual([["3.10"], 1]);
  });

  test("say which platforms are here and how much of all of them; what refers to an image is no part of it", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1", index);
    await rig.put("a.example/app:2");
    await rig.put("a.example/app", buildArtifact(amd64.manifest));
    const arm64Digest = arm64.manifest.descriptor.digest;
    await rm(rig.store.layout.manifest(app, arm64Digest));
    const lost = [...arm64.blobs].filter(([digest]) => !amd64.blobs.has(digest));
    const page = await rig.browsing.findTags(app, listed());
    const [two, one] = page?.entries ?? [];
    expect(one?.platforms.map(({ name, isHeld }) => [name, isHeld])).toEqual([
      ["linux/amd64", true],
      ["linux/arm64", false],
    ]);
    expect((one?.sizeBytes ?? 0) - (one?.heldBytes ?? 0)).toBe(arm64.manifest.bytes.byteLength);
    expect(lost.length).toBeGreaterThan(0);
    expect(two?.platforms.map(({ name }) => name)).toEqual(["linux/amd64"]);
    expect(two?.heldBytes).toBe(two?.sizeBytes);
    expect(two?.sizeBytes).toBe(amd64.manifest.bytes.byteLength + [...amd64.blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0));
  });

  test("are undefined for a repository of which nothing is held, and for one that never was", async () => {
    await using rig = await arrange();
    expect(await rig.browsing.findTags(app, listed())).toBeUndefined();
    expect(await rig.browsing.findManifests(app, listed())).toBeUndefined();
  });

  test("stand beside everything that is held by digest", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1", index);
    const signature = buildArtifact(index.manifest);
    await rig.put("a.example/app", signature);
    const all = await rig.browsing.findManifests(app, listed());
    expect(all).toMatchObject({ total: 4, tagCount: 1, manifestCount: 4 });
    expect(all?.entries.find(({ digest }) => digest === signature.manifest.descriptor.digest)?.subject).toBe(index.manifest.descriptor.digest);
    const one = await rig.browsing.findManifests(app, listed({ part: signature.manifest.descriptor.digest.slice(7, 27) }));
    expect(one?.entries.map(({ digest }) => digest)).toEqual([signature.manifest.descriptor.digest]);
  });
});

describe("an image", () => {
  const app = repositoryNamed("a.example/app");

  test("shows its config, its layers, what refers to it, and its own bytes", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1");
    const signature = buildArtifact(amd64.manifest);
    await rig.put("a.example/app", signature);
    const image = await rig.browsing.findImage(app, parseReference("1"), signal);
    expect(image).toMatchObject({ kind: "image", digest: amd64.manifest.descriptor.digest, pulledAtMs: undefined, heldSinceMs: startMs, platforms: [] });
    expect(image?.config).toMatchObject({ platform: "linux/amd64", command: ["/hello"] });
    expect(image?.layers.map(({ digest, isHeld }) => [digest, isHeld])).toEqual(amd64.layers.map((digest) => [digest, true]));
    expect(image?.referrers).toMatchObject([{ digest: signature.manifest.descriptor.digest, artifactType: "application/vnd.example.signature" }]);
    expect(image?.json).toEqual({ text: Buffer.from(amd64.manifest.bytes).toString(), isWhole: true });
    const byDigest = await rig.browsing.findImage(app, parseReference(amd64.manifest.descriptor.digest), signal);
    expect([byDigest?.digest, byDigest?.checkedAtMs]).toEqual([image?.digest, undefined]);
  });

  test("that is an index shows its platforms", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1", index);
    const image = await rig.browsing.findImage(app, parseReference("1"), signal);
    expect(image?.platforms.map(({ name, isHeld }) => [name, isHeld])).toEqual([
      ["linux/amd64", true],
      ["linux/arm64", true],
    ]);
    expect([image?.kind, image?.config, image?.layers]).toEqual(["index", undefined, []]);
  });

  test("of another repository is not held here, and neither is one whose bytes are gone", async () => {
    await using rig = await arrange();
    await rig.put("a.example/other:1");
    const { digest } = amd64.manifest.descriptor;
    expect(await rig.browsing.findImage(app, parseReference(digest), signal)).toBeUndefined();
    await rig.put("a.example/app:1");
    expect(await rig.browsing.findImage(app, parseReference(digest), signal)).toBeDefined();
    await rm(rig.store.layout.blob(digest));
    expect(await rig.browsing.findImage(app, parseReference("1"), signal)).toBeUndefined();
  });

  test("shows no config that its own registry has not delivered", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1");
    await rm(rig.store.layout.delivery(app.host, amd64.config), { force: true });
    await rm(rig.store.layout.publicMark(amd64.config), { force: true });
    const image = await rig.browsing.findImage(app, parseReference("1"), signal);
    expect([image?.config, image?.configDescriptor?.digest]).toEqual([undefined, amd64.config]);
  });

  test("whose manifest is damaged, or whose config is no JSON, spoils nothing", async () => {
    await using rig = await arrange();
    await rig.put("a.example/app:1");
    await rm(rig.store.layout.blob(amd64.config));
    await writeFile(rig.store.layout.blob(amd64.config), "x".repeat(amd64.blobs.get(amd64.config)?.byteLength ?? 0));
    expect((await rig.browsing.findImage(app, parseReference("1"), signal))?.config).toBeUndefined();
    await rm(rig.store.layout.blob(amd64.manifest.descriptor.digest));
    await writeFile(rig.store.layout.blob(amd64.manifest.descriptor.digest), "{");
    expect(await rig.browsing.findImage(app, parseReference("1"), signal)).toBeUndefined();
    expect((await rig.browsing.findTags(app, listed()))?.entries).toHaveLength(1);
  });
});
