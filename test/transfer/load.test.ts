import { rm, stat, utimes } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Deposits } from "../../src/cache/deposits.ts";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import { hexOf, type Digest } from "../../src/oci/digest.ts";
import { findPlatform, type Platform } from "../../src/oci/platform.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseImageName } from "../../src/transfer/image-name.ts";
import { loadImages, type LoadedImage, type LoadOptions } from "../../src/transfer/load.ts";
import type { ListedReference } from "../../src/transfer/listed-reference.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache, type TestCache } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";
import { requireRoot } from "../support/programs.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

let upstream: FakeUpstream;
let folder: TemporaryFolder;
let cache: TestCache;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  folder = await temporaryFolder();
  cache = await open();
});

afterEach(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream.close();
  await folder[Symbol.asyncDispose]();
});

const amd64 = platform("linux/amd64");
const images = ["linux/amd64", "linux/arm64", "linux/arm/v6"].map((name) =>
  buildImage({ platform: name, layers: [{ "etc/name": name }, { "etc/shared": "all" }, { big: seededBytes(200_000, name) }] }),
);
const [amd64Image, arm64Image, armImage] = images as [(typeof images)[0], (typeof images)[0], (typeof images)[0]];
const index = buildIndex(images);

async function open(): Promise<TestCache> {
  return await startTestCache({ root: `${folder.path}/store`, upstreams: [upstream.host] });
}

/** As if the process ended and another began. */
async function restart(): Promise<void> {
  await cache[Symbol.asyncDispose]();
  cache = await open();
}

function platform(name: string): Platform {
  const found = findPlatform(name);
  if (!found) throw new Error(`${name} is no platform`);
  return found;
}

function listed(...written: readonly string[]): readonly ListedReference[] {
  const names = new RegistryNames({ defaultNs: upstream.host, registries: [{ name: upstream.host, scheme: "http", aliases: [] }] });
  return written.map((name, line) => ({ ...parseImageName(name, names), written: name, file: "list", line: line + 1 }));
}

/** Who tries again waits a twentieth of the time. */
const hurriedClock: Clock = { ...systemClock, after: (delayMs, wake) => systemClock.after(delayMs / 20, wake) };

async function load(
  references: readonly ListedReference[],
  { clock = hurriedClock, ...options }: Partial<LoadOptions> & { readonly clock?: Clock } = {},
): Promise<readonly LoadedImage[]> {
  const { store, cache: registry, upstreams } = cache;
  const parts = { registry, upstream: upstreams, store, deposits: new Deposits({ store, clock }), clock };
  return await loadImages(references, parts, {
    platforms: [amd64],
    referrers: true,
    dryRun: false,
    signal: new AbortController().signal,
    jobs: 4,
    ...options,
  });
}

/** What a client without any upstream gets. */
async function offline(path: string, reference: string): Promise<Digest> {
  return (await pullManifest(cache, repositoryAt(upstream.host, path), reference, { mayFetch: false })).descriptor.digest;
}

async function offlineBlob(path: string, digest: Digest): Promise<number> {
  return (await pullBlob(cache, repositoryAt(upstream.host, path), digest, { mayFetch: false })).bytes.byteLength;
}

test("an index is kept whole, its children and blobs only for the platforms asked for", async () => {
  upstream.putImage("team/app", "1", index);
  const [app] = await load(listed("team/app:1"));
  expect(app).toMatchObject({ verdict: "loaded", manifests: 2, blobs: 4, fetchedBlobs: 4, notes: [], digest: index.manifest.descriptor.digest });
  expect(app?.fetchedBytes).toBe([...amd64Image.blobs.values()].reduce((sum, bytes) => sum + bytes.byteLength, 0));
  expect(await offline("team/app", "1")).toBe(index.manifest.descriptor.digest);
  expect(await offline("team/app", amd64Image.manifest.descriptor.digest)).toBe(amd64Image.manifest.descriptor.digest);
  for (const digest of amd64Image.blobs.keys()) expect(await offlineBlob("team/app", digest)).toBe(amd64Image.blobs.get(digest)?.byteLength);
  await expect(offline("team/app", arm64Image.manifest.descriptor.digest)).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  const asked = upstream.requests.filter((request) => request.includes("/manifests/sha256:")).sort();
  expect(asked).toEqual([index, amd64Image].map(({ manifest }) => `GET /v2/team/app/manifests/${manifest.descriptor.digest}`).sort());
});

test("a tag of several platforms is answered with its index, every time and after a restart", async () => {
  upstream.putImage("team/app", "1", index);
  await load(listed("team/app:1", `team/app@${amd64Image.manifest.descriptor.digest}`));
  for (let count = 0; count < 20; count++) expect(await offline("team/app", "1")).toBe(index.manifest.descriptor.digest);
  await restart();
  expect(await offline("team/app", "1")).toBe(index.manifest.descriptor.digest);
});

test("all platforms, or some; an older arm stands in for one that is not there, and a lack is told", async () => {
  upstream.putImage("team/app", "1", index);
  const [some] = await load(listed("team/app:1"), { platforms: [platform("linux/arm/v7"), platform("linux/s390x")] });
  expect(some).toMatchObject({ verdict: "loaded", manifests: 2, notes: [expect.stringContaining("nothing for linux/s390x")] });
  expect(await offline("team/app", armImage.manifest.descriptor.digest)).toBeDefined();
  const [all] = await load(listed("team/app:1"), { platforms: "all" });
  expect(all).toMatchObject({ verdict: "loaded", manifests: 4, blobs: 12 });
});

test("an index without any of the platforms fails, and says what it has", async () => {
  upstream.putImage("team/app", "1", index);
  const [app] = await load(listed("team/app:1"), { platforms: [platform("windows/amd64")] });
  expect(app?.verdict).toBe("failed");
  expect(String(app?.error)).toContain("nothing for windows/amd64, only for linux/amd64, linux/arm64, linux/arm/v6");
});

test("what is held and complete costs one HEAD, also in another process", async () => {
  upstream.putImage("team/app", "1", index);
  await load(listed("team/app:1"));
  await restart();
  upstream.forget();
  expect(await load(listed("team/app:1"))).toMatchObject([{ verdict: "held", fetchedBlobs: 0, blobs: 4, manifests: 2 }]);
  expect(upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1"]);
});

test("a digest that is held and complete costs nothing", async () => {
  upstream.putImage("team/app", "1", index);
  const name = `team/app@${index.manifest.descriptor.digest}`;
  await load(listed(name));
  upstream.forget();
  expect(await load(listed(name))).toMatchObject([{ verdict: "held" }]);
  expect(upstream.requests).toEqual([]);
});

test("two tags and two repositories of one digest are each loaded, and each blob is fetched once", async () => {
  const image = buildImage();
  for (const [repository, tag] of [
    ["team/app", "1"],
    ["team/app", "2"],
    ["team/copy", "1"],
  ] as const)
    upstream.putImage(repository, tag, image);
  const loaded = await load(listed("team/app:1", "team/app:2", "team/copy:1"), { referrers: false });
  expect(loaded.map(({ verdict }) => verdict)).not.toContain("failed");
  expect(loaded.reduce((sum, { fetchedBlobs }) => sum + fetchedBlobs, 0)).toBe(image.blobs.size);
  await restart();
  for (const [path, tag] of [
    ["team/app", "1"],
    ["team/app", "2"],
    ["team/copy", "1"],
  ] as const)
    expect(await offline(path, tag)).toBe(image.manifest.descriptor.digest);
  const gets = upstream.requests.filter((request) => request.includes("/blobs/"));
  expect(gets).toHaveLength(image.blobs.size);
});

test("a layer that one image could not get is not believed to be here by the next", async () => {
  const [first, second] = [buildImage({ layers: [{ shared: "s" }, { own: "1" }] }), buildImage({ layers: [{ shared: "s" }, { own: "2" }] })];
  upstream.putImage("team/first", "1", first);
  upstream.putImage("team/second", "1", second);
  const [shared] = first.layers;
  if (!shared) throw new Error("an image of two layers");
  upstream.when({ kind: "blob", repository: "team/first", path: shared }, { status: 404 });
  const loaded = await load(listed("team/first:1", "team/second:1"), { jobs: 1 });
  expect(loaded.map(({ verdict }) => verdict)).toEqual(["failed", "loaded"]);
  await restart();
  for (const digest of second.blobs.keys()) expect(await offlineBlob("team/second", digest)).toBeGreaterThan(0);
  await expect(offline("team/first", "1")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
});

test("a tag that has moved is loaded anew, and the old one stays whole until the new one is", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  await load(listed("team/app:1"));
  upstream.putImage("team/app", "1", arm64Image);
  upstream.when({ kind: "blob", path: arm64Image.layers[0] }, { status: 404 });
  expect(await load(listed("team/app:1"))).toMatchObject([{ verdict: "failed" }]);
  expect(await offline("team/app", "1")).toBe(amd64Image.manifest.descriptor.digest);
  await expect(offline("team/app", arm64Image.manifest.descriptor.digest)).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
});

test("of an image that cannot be had whole nothing is seen, and a later load brings the rest only", async () => {
  upstream.putImage("team/app", "1", index);
  const { release, hold } = held();
  upstream.when({ kind: "blob", path: amd64Image.layers[2], times: 1 }, { hold });
  const abort = new AbortController();
  const interrupt = (): void => abort.abort(new Error("interrupted"));
  const loading = load(listed("team/app:1"), { signal: abort.signal, onProgress: (_, { fetchedBlobs }) => void (fetchedBlobs === 3 && interrupt()) });
  expect(await loading).toMatchObject([{ verdict: "failed", error: { message: "interrupted" } }]);
  await expect(offline("team/app", "1")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  release();
  await restart();
  upstream.forget();
  expect(await load(listed("team/app:1"))).toMatchObject([{ verdict: "loaded", blobs: 4 }]);
  expect(upstream.requests.filter((request) => request.includes("/blobs/"))).toEqual([`GET /v2/team/app/blobs/${amd64Image.layers[2]}`]);
  expect(await offline("team/app", "1")).toBe(index.manifest.descriptor.digest);
});

test("signatures come along: by the referrers API, by its tag, and by cosign's", async () => {
  upstream.putImage("team/app", "1", index);
  const subject = amd64Image.manifest;
  const tag = `sha256-${hexOf(subject.descriptor.digest)}`;
  const signature = upstream.putImage("team/app", undefined, buildArtifact(subject));
  const cosign = upstream.putImage("team/app", `${tag}.sig`, { layers: [{ sig: "x" }] });
  const [app] = await load(listed("team/app:1"));
  expect(app).toMatchObject({ verdict: "loaded", manifests: 4 });
  expect(await offline("team/app", `${tag}.sig`)).toBe(cosign.manifest.descriptor.digest);
  expect(await offline("team/app", signature.manifest.descriptor.digest)).toBe(signature.manifest.descriptor.digest);
  const call = { signal: new AbortController().signal, requestId: "x", purpose: "pull", mayFetch: false } as const;
  const referrers = await cache.cache.listReferrers(repositoryAt(upstream.host, "team/app"), subject.descriptor.digest, call);
  expect(referrers.manifests).toMatchObject([{ digest: signature.manifest.descriptor.digest, artifactType: "application/vnd.example.signature" }]);
  for (const digest of [...signature.blobs.keys(), ...cosign.blobs.keys()]) expect(await offlineBlob("team/app", digest)).toBeGreaterThan(0);
});

test("a registry without the referrers API: its tag is loaded with all that it lists", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  const signature = upstream.putImage("team/app", undefined, buildArtifact(amd64Image.manifest));
  const list = upstream.putReferrersTag("team/app", amd64Image.manifest.descriptor.digest);
  upstream.when({ kind: "referrers" }, { referrers: "missing" });
  expect(await load(listed("team/app:1"))).toMatchObject([{ verdict: "loaded", manifests: 3 }]);
  expect(await offline("team/app", `sha256-${hexOf(amd64Image.manifest.descriptor.digest)}`)).toBe(list);
  expect(await offline("team/app", signature.manifest.descriptor.digest)).toBeDefined();
});

test("a referrer that is listed and gone is told, and no failure", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  const signature = upstream.putImage("team/app", undefined, buildArtifact(amd64Image.manifest));
  upstream.when({ kind: "manifest", path: signature.manifest.descriptor.digest }, { status: 404 });
  expect(await load(listed("team/app:1"))).toMatchObject([{ verdict: "loaded", notes: [expect.stringContaining("is listed and cannot be had")] }]);
});

test("without referrers nobody is asked for them", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  await load(listed("team/app:1"), { referrers: false });
  expect(upstream.requests.filter((request) => request.includes("sha256-") || request.includes("referrers"))).toEqual([]);
});

test("what fails for a moment is tried again; what is refused is not", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  upstream.putImage("team/no", "1", amd64Image);
  upstream.when({ kind: "manifest", method: "HEAD", repository: "team/app", times: 1 }, { status: 503, headers: { "retry-after": "1" } });
  upstream.when({ kind: "manifest", repository: "team/no" }, { status: 403 });
  const retried: string[] = [];
  const loaded = await load(listed("team/app:1", "team/no:1", "team/app:2"), { jobs: 1, onRetry: ({ written }) => retried.push(written) });
  expect(loaded.map(({ verdict }) => verdict)).toEqual(["loaded", "failed", "failed"]);
  expect(loaded[1]?.error).toMatchObject({ code: "DENIED" });
  expect(loaded[2]?.error).toMatchObject({ code: "MANIFEST_UNKNOWN" });
  expect(retried).toEqual(["team/app:1"]);
  expect(upstream.requests.filter((request) => request.includes("team/no/manifests/1"))).toHaveLength(1);
});

test("a dry run says what is missing, fetches no blob and writes nothing", async () => {
  upstream.putImage("team/app", "1", index);
  const bytes = [...amd64Image.blobs.values()].reduce((sum, blob) => sum + blob.byteLength, 0);
  expect(await load(listed("team/app:1"), { dryRun: true })).toMatchObject([{ verdict: "missing", fetchedBlobs: 4, fetchedBytes: bytes }]);
  expect(upstream.requests.filter((request) => request.includes("/blobs/"))).toEqual([]);
  await expect(offline("team/app", "1")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  await load(listed("team/app:1"));
  expect(await load(listed("team/app:1"), { dryRun: true })).toMatchObject([{ verdict: "held", fetchedBlobs: 0 }]);
});

test("a blob that somebody took out of the store is brought back", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  await load(listed("team/app:1"));
  const gone = amd64Image.layers[2];
  if (!gone) throw new Error("an image of three layers");
  await rm(cache.store.layout.blob(gone));
  await restart();
  upstream.forget();
  expect(await load(listed("team/app:1"), { referrers: false })).toMatchObject([{ verdict: "loaded", fetchedBlobs: 1 }]);
  expect(upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", `GET /v2/team/app/blobs/${gone}`]);
});

test("a manifest of a megabyte, and an index in an index", async () => {
  const large = buildImage({ annotations: { note: "x".repeat(1_000_000) } });
  upstream.putImage("team/large", "1", large);
  upstream.putImage("team/nested", "inner", index);
  const { mediaType, digest, sizeBytes } = index.manifest.descriptor;
  const outer = upstream.putManifest("team/nested", "outer", { schemaVersion: 2, mediaType, manifests: [{ mediaType, digest, size: sizeBytes }] }, mediaType);
  expect(await load(listed("team/large:1", "team/nested:outer"))).toMatchObject([
    { verdict: "loaded", digest: large.manifest.descriptor.digest },
    { verdict: "loaded", digest: outer, manifests: 3, blobs: 4 },
  ]);
  expect(await offline("team/nested", amd64Image.manifest.descriptor.digest)).toBeDefined();
});

test("what is here of an image is touched every 20 minutes, however long the rest takes, so that no sweep takes it before it is named", async () => {
  const [first, second] = [{ own: "1" }, { own: seededBytes(300_000, "slow") }].map((own) => buildImage({ layers: [{ shared: "s" }, own] }));
  const [shared, slow] = second?.layers ?? [];
  if (!first || !second || shared === undefined || slow === undefined) throw new Error("two images of two layers");
  upstream.putImage("team/app", "1", first);
  await load(listed("team/app:1"));
  upstream.putImage("team/app", "2", second);
  const { release, hold } = held();
  upstream.when({ kind: "blob", path: slow }, { holdBody: { atBytes: 100_000, until: hold } });
  const clock = new TestClock();
  const ageOf = async (digest: Digest): Promise<number> => (await stat(cache.store.layout.blob(digest)).catch(() => undefined))?.mtimeMs ?? 0;
  await utimes(cache.store.layout.blob(shared), 1, 1);
  const loading = load(listed("team/app:2"), { clock, referrers: false });
  const parts = [shared, second.config];
  // Found just now, or fetched.
  for (const digest of parts) await expect.poll(() => ageOf(digest)).toBeGreaterThan(1_000);
  for (let times = 0; times < 2; times += 1) {
    await expect.poll(() => clock.waiting).toBe(1);
    for (const digest of parts) await utimes(cache.store.layout.blob(digest), 1, 1);
    await clock.advance(20 * 60_000);
    for (const digest of parts) await expect.poll(() => ageOf(digest)).toBeGreaterThan(1_000);
  }
  release();
  expect(await loading).toMatchObject([{ verdict: "loaded" }]);
  expect(clock.waiting).toBe(0);
});

test("a load beside which somebody removes a part of an image fails, and the next one brings it whole", async () => {
  upstream.putImage("team/app", "1", index);
  const child = amd64Image.manifest.descriptor.digest;
  const { repositories, layout } = cache.store;
  const putManifest = repositories.putManifest.bind(repositories);
  repositories.putManifest = async (repository, record) => {
    if (record.digest === index.manifest.descriptor.digest) {
      repositories.putManifest = putManifest;
      await rm(layout.manifest(repository, child));
    }
    await putManifest(repository, record);
  };
  const [failed] = await load(listed("team/app:1"));
  expect(failed).toMatchObject({ verdict: "failed" });
  expect(String(failed?.error)).toContain(`${child}: it was removed from the store meanwhile`);
  await restart();
  const [next] = await load(listed("team/app:1"));
  expect(next?.verdict).not.toBe("failed");
  expect(await offline("team/app", child)).toBe(child);
});

test("what is held as this process remembers it, and was removed a moment ago, is not called held", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  await load(listed("team/app:1"));
  const { digest } = amd64Image.manifest.descriptor;
  await load(listed("team/app:1"));
  await rm(cache.store.layout.manifest(repositoryAt(upstream.host, "team/app"), digest));
  const [again] = await load(listed("team/app:1"));
  expect(again?.verdict).not.toBe("held");
});

test("wrong bytes are never kept, and the image is not seen", async () => {
  upstream.putImage("team/app", "1", amd64Image);
  upstream.when({ kind: "blob", path: amd64Image.layers[2] }, { wrongBytes: true });
  expect(await load(listed("team/app:1"))).toMatchObject([{ verdict: "failed" }]);
  await expect(offline("team/app", "1")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
});

function held(): { release: () => void; hold: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { release: resolve, hold: promise };
}

test.runIf(requireRoot())("a disk without room fails the image and says so; when there is room the next load brings it", async () => {
  await using disk = await mountSmallDisk(8 * 1024 * 1024);
  const large = upstream.putImage("team/large", "1", buildImage({ layers: [{ large: seededBytes(3_000_000, "large") }] }));
  await cache[Symbol.asyncDispose]();
  cache = await startTestCache({ root: `${disk.path}/store`, upstreams: [upstream.host] });
  await disk.fill(1_000_000);
  const [failed] = await load(listed("team/large:1"));
  expect(failed).toMatchObject({ verdict: "failed" });
  expect(String(failed?.error)).toMatch(/cannot be written to the store: .*(ENOSPC|no space|full|the log says why)|no room/i);
  await expect(offline("team/large", "1")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  await disk.relieve();
  expect(await load(listed("team/large:1"))).toMatchObject([{ verdict: "loaded" }]);
  expect(await offline("team/large", "1")).toBe(large.manifest.descriptor.digest);
});
