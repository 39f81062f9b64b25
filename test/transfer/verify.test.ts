/** What verifying finds: wrong bytes, and images that are not whole; that nobody is asked meanwhile; and that repairing makes it right. */
import { appendFile, chmod, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { findPlatform, type Platform } from "../../src/oci/platform.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseImageName } from "../../src/transfer/image-name.ts";
import type { ListedReference } from "../../src/transfer/listed-reference.ts";
import {
  verifyListed,
  verifyStore,
  type VerifyFinding,
  type VerifyListedOptions,
  type VerifyStoreOptions,
  type VerifySummary,
} from "../../src/transfer/verify.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes, type BuiltImage } from "../support/images.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache, type TestCache } from "../support/test-cache.ts";

let upstream: FakeUpstream;
let cache: TestCache;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  asked = 0;
  cache = await startTestCache({ upstreams: [upstream.host] });
});

afterEach(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream.close();
});

const platforms = ["linux/amd64", "linux/arm64"] as const;
const [amd64, alone] = platforms.map((platform) =>
  buildImage({ platform, layers: [{ "etc/name": platform }, { "etc/shared": "all" }, { big: seededBytes(200_000, platform) }] }),
) as [BuiltImage, BuiltImage];
const arm64 = withLayerOf(amd64, alone);
const images = [amd64, arm64];
const index = buildIndex(images);
let asked = 0;

/** `image` with the second layer of `other` in place of its own. */
function withLayerOf(other: BuiltImage, image: BuiltImage): BuiltImage {
  const [json, theirs] = [image, other].map(({ manifest }) => JSON.parse(Buffer.from(manifest.bytes).toString()) as { layers: { digest: Digest }[] });
  const [own, shared] = [json?.layers[1], theirs?.layers[1]];
  if (!json || !own || !shared) throw new Error("an image of two layers at least");
  json.layers[1] = shared;
  const blobs = new Map(image.blobs);
  blobs.delete(own.digest);
  blobs.set(shared.digest, other.blobs.get(shared.digest) ?? new Uint8Array());
  return { ...image, manifest: parseManifest(Buffer.from(JSON.stringify(json))), blobs, layers: json.layers.map(({ digest }) => digest) };
}

/** What the upstream was asked since the images were brought here. */
function requests(): readonly string[] {
  return upstream.requests.slice(asked);
}

type Verified = VerifySummary & { readonly findings: readonly VerifyFinding[] };

async function verify(options: Partial<VerifyStoreOptions> = {}): Promise<Verified> {
  const { store } = cache;
  const findings: VerifyFinding[] = [];
  const summary = await verifyStore({
    store,
    registry: cache.cache,
    clock: systemClock,
    platforms: undefined,
    repairs: false,
    bytesPerSecond: Infinity,
    jobs: 2,
    isAirGapped: false,
    signal: new AbortController().signal,
    onFinding: (finding) => findings.push(finding),
    ...options,
  });
  return { ...summary, findings };
}

async function verifyList(written: readonly string[], options: Partial<VerifyListedOptions> = {}): Promise<Verified> {
  const findings: VerifyFinding[] = [];
  const summary = await verifyListed(listed(...written), {
    store: cache.store,
    registry: cache.cache,
    clock: systemClock,
    platforms: "all",
    repairs: false,
    signal: new AbortController().signal,
    onFinding: (finding) => findings.push(finding),
    ...options,
  });
  return { ...summary, findings };
}

function listed(...written: readonly string[]): readonly ListedReference[] {
  const names = new RegistryNames({ defaultNs: upstream.host, registries: [{ name: upstream.host, scheme: "http", aliases: [] }] });
  return written.map((name, line) => ({ ...parseImageName(name, names), written: name, file: "list", line: line + 1 }));
}

function wanted(...names: readonly string[]): readonly Platform[] {
  return names.flatMap((name) => findPlatform(name) ?? []);
}

async function pullImage(path: string, image: BuiltImage): Promise<void> {
  const repository = repositoryAt(upstream.host, path);
  await pullManifest(cache, repository, image.manifest.descriptor.digest);
  for (const digest of image.blobs.keys()) {
    await pullBlob(cache, repository, digest);
    await cache.cache.kept(repository.host, digest);
  }
}

/** `team/app:1`, an index of two platforms of which all is held. */
async function holdAll(path = "team/app"): Promise<void> {
  upstream.putImage(path, "1", index);
  await pullManifest(cache, repositoryAt(upstream.host, path), "1");
  for (const image of images) await pullImage(path, image);
  asked = upstream.requests.length;
}

/** Writes other bytes of the same length under the digest's name. */
async function spoil(digest: Digest): Promise<void> {
  const path = cache.store.layout.blob(digest);
  const bytes = await readFile(path);
  bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await rm(path);
  await writeFile(path, bytes);
}

async function remove(digest: Digest): Promise<void> {
  await rm(cache.store.layout.blob(digest));
}

const bigLayer = amd64.layers[2] as Digest;

describe("every byte", () => {
  test("of a store that is right is read, and nothing is found; nobody is asked", async () => {
    await holdAll();
    const { findings, ...summary } = await verify();
    expect(findings).toEqual([]);
    const blobs = new Set([
      ...images.flatMap(({ blobs: own }) => [...own.keys()]),
      index.manifest.descriptor.digest,
      ...images.map(({ manifest }) => manifest.descriptor.digest),
    ]);
    expect(summary).toMatchObject({ images: 1, blobs: blobs.size, incomplete: 0, damaged: 0, unreadable: 0, isGood: true });
    expect(summary.bytes).toBeGreaterThan(400_000);
    expect(requests()).toEqual([]);
  });

  test("a blob with one wrong bit is put aside and told, with where it belongs; the next pull heals it", async () => {
    await holdAll();
    await spoil(bigLayer);
    const { findings, ...summary } = await verify();
    expect(findings).toEqual([
      {
        kind: "damaged",
        digest: bigLayer,
        sizeBytes: expect.any(Number),
        found: expect.stringMatching(/^sha256:/),
        quarantinedAt: expect.stringContaining("/quarantine/"),
      },
      { kind: "owners", digest: bigLayer, repositories: [`${upstream.host}/team/app`], isRepaired: undefined },
    ]);
    expect(summary).toMatchObject({ damaged: 1, repaired: 0, isGood: false });
    expect(requests()).toEqual([]);
    const { bytes } = await pullBlob(cache, repositoryAt(upstream.host, "team/app"), bigLayer);
    expect(bytes).toEqual(Buffer.from(amd64.blobs.get(bigLayer) ?? []));
    expect(requests()).toEqual([`GET /v2/team/app/blobs/${bigLayer}`]);
    expect(await verify()).toMatchObject({ findings: [], isGood: true });
  });

  test("what was cut, and what is empty, is as wrong as what was changed", async () => {
    await holdAll();
    for (const [digest, bytes] of [
      [amd64.layers[0], ""],
      [arm64.config, "{"],
    ] as const) {
      const path = cache.store.layout.blob(digest as Digest);
      await rm(path);
      await writeFile(path, bytes);
    }
    await chmod(cache.store.layout.blob(bigLayer), 0o644);
    await appendFile(cache.store.layout.blob(bigLayer), "more");
    const { findings } = await verify();
    const damaged = findings.flatMap((finding) => (finding.kind === "damaged" ? [finding.digest] : []));
    expect(new Set(damaged)).toEqual(new Set([amd64.layers[0], arm64.config, bigLayer]));
  });

  test("with a repair it is fetched again, once, and right afterwards", async () => {
    await holdAll();
    await spoil(bigLayer);
    await spoil(arm64.manifest.descriptor.digest);
    const { findings, ...summary } = await verify({ repairs: true });
    const owners = findings.filter(({ kind }) => kind === "owners");
    // In the order in which they were read to their end.
    expect(owners).toHaveLength(2);
    expect(owners).toEqual(
      expect.arrayContaining(
        [bigLayer, arm64.manifest.descriptor.digest].map((digest) => ({
          kind: "owners",
          digest,
          repositories: [`${upstream.host}/team/app`],
          isRepaired: true,
        })),
      ),
    );
    expect(summary).toMatchObject({ damaged: 2, isGood: true });
    expect(requests().toSorted()).toEqual([`GET /v2/team/app/blobs/${bigLayer}`, `GET /v2/team/app/manifests/${arm64.manifest.descriptor.digest}`]);
    asked = upstream.requests.length;
    expect(await verify()).toMatchObject({ findings: [], isGood: true });
    expect(requests()).toEqual([]);
  });

  test("a repair that fails says why, and the run is no success", async () => {
    await holdAll();
    await spoil(bigLayer);
    upstream.remove("team/app", bigLayer);
    const { findings, isGood } = await verify({ repairs: true });
    expect(findings.at(-1)).toMatchObject({ kind: "owners", digest: bigLayer, isRepaired: false, problem: expect.stringContaining(bigLayer) });
    expect(isGood).toBe(false);
  });

  test("what nobody names is put aside, and missed by nobody", async () => {
    await holdAll();
    const bytes = Buffer.from("nobody's");
    const digest = `sha256:${"c".repeat(64)}` as Digest;
    await cache.store.blobs.put(digest, bytes);
    expect(await verify({ repairs: true })).toMatchObject({ damaged: 1, isGood: true });
    expect(await verify()).toMatchObject({ findings: [] });
  });

  test("a file that cannot be read is told, and stays: the disk may be better tomorrow", async () => {
    await holdAll();
    const path = cache.store.layout.blob(bigLayer);
    await rm(path);
    await symlink(path, path);
    const { findings, isGood } = await verify();
    expect(findings).toContainEqual({ kind: "unreadable", digest: bigLayer, reason: expect.stringContaining("ELOOP") });
    expect(isGood).toBe(false);
    expect(await readdir(cache.store.layout.root)).not.toContain("quarantine");
  });

  test("the rate is a bound, for all jobs together", async () => {
    await holdAll();
    const startMs = performance.now();
    const { bytes } = await verify({ bytesPerSecond: 800_000, jobs: 4 });
    const seconds = (performance.now() - startMs) / 1_000;
    // A tenth of a second's worth comes at once.
    expect(bytes - 80_000).toBeLessThan(800_000 * seconds);
  });

  test("it ends when it is told to, and leaves all as it was", async () => {
    await holdAll();
    const stopping = new AbortController();
    const onProgress = ({ blobs }: { readonly blobs: number }): void => {
      if (blobs > 1) stopping.abort(new Error("stopped"));
    };
    await expect(verify({ signal: stopping.signal, bytesPerSecond: 100_000, onProgress })).rejects.toThrow("stopped");
    expect(await verify()).toMatchObject({ findings: [], isGood: true });
  });
});

describe("images that are held", () => {
  test("a platform that nobody pulled is no gap, nor a manifest that somebody only looked at", async () => {
    upstream.putImage("team/app", "1", index);
    const repository = repositoryAt(upstream.host, "team/app");
    await pullManifest(cache, repository, "1");
    await pullImage("team/app", amd64);
    await pullManifest(cache, repository, arm64.manifest.descriptor.digest);
    // They share a layer: of the second one it is here.
    expect(await verify()).toMatchObject({
      findings: [{ kind: "incomplete", platform: "linux/arm64", missing: [{ what: "config" }, { what: "layer" }, { what: "layer" }] }],
      isGood: true,
    });
    await remove(amd64.layers[1] as Digest);
    expect((await verify()).findings.map((finding) => finding.kind === "incomplete" && finding.platform)).toEqual(["linux/amd64"]);
  });

  test("a layer that is gone is a gap, of the platform that needs it, by its tag", async () => {
    await holdAll();
    await remove(bigLayer);
    const { findings, ...summary } = await verify();
    expect(findings).toEqual([
      {
        kind: "incomplete",
        image: `${upstream.host}/team/app:1`,
        platform: "linux/amd64",
        missing: [{ what: "layer", digest: bigLayer, sizeBytes: amd64.blobs.get(bigLayer)?.byteLength }],
        isRepaired: undefined,
      },
    ]);
    expect(summary, "the next pull fetches it").toMatchObject({ incomplete: 1, isGood: true });
    expect(await verify({ isAirGapped: true }), "no pull ever will").toMatchObject({ isGood: false });
    expect(requests()).toEqual([]);
  });

  test("a shared layer that is gone is a gap of each platform", async () => {
    await holdAll();
    await remove(amd64.layers[1] as Digest);
    expect((await verify()).findings.map((finding) => finding.kind === "incomplete" && finding.platform)).toEqual(["linux/amd64", "linux/arm64"]);
  });

  test("platforms that are asked for have to be here", async () => {
    upstream.putImage("team/app", "1", index);
    await pullManifest(cache, repositoryAt(upstream.host, "team/app"), "1");
    await pullImage("team/app", amd64);
    expect(await verify({ platforms: wanted("linux/amd64") })).toMatchObject({ findings: [], isGood: true });
    const { findings, isGood } = await verify({ platforms: wanted("linux/amd64", "linux/arm64") });
    expect(findings).toMatchObject([
      { kind: "incomplete", platform: "linux/arm64", missing: [{ what: "manifest", digest: arm64.manifest.descriptor.digest }] },
    ]);
    expect(isGood).toBe(false);
  });

  test("a repair fetches what lacks, and only that", async () => {
    await holdAll();
    await remove(bigLayer);
    const { findings, isGood } = await verify({ repairs: true });
    expect(findings).toMatchObject([{ kind: "incomplete", platform: "linux/amd64", isRepaired: true }]);
    expect(isGood).toBe(true);
    expect(requests()).toEqual([`GET /v2/team/app/blobs/${bigLayer}`]);
  });

  test("a root that is gone is a gap of the whole image", async () => {
    await holdAll();
    await remove(index.manifest.descriptor.digest);
    expect((await verify()).findings).toContainEqual(expect.objectContaining({ kind: "incomplete", missing: [expect.objectContaining({ what: "manifest" })] }));
  });
});

describe("would these images start with no network", () => {
  test("yes: nothing is missing, and nobody was asked", async () => {
    await holdAll();
    expect(await verifyList(["team/app:1"])).toMatchObject({ findings: [], images: 1, isGood: true });
    expect(requests()).toEqual([]);
  });

  test("no: each thing that is missing is named", async () => {
    await holdAll();
    await remove(bigLayer);
    await remove(arm64.config);
    await remove(arm64.manifest.descriptor.digest);
    upstream.putImage("team/other", "2", amd64);
    const { findings, ...summary } = await verifyList(["team/app:1", "team/other:2"]);
    expect(findings).toEqual([
      expect.objectContaining({ image: "team/app:1", platform: "linux/amd64", missing: [expect.objectContaining({ what: "layer", digest: bigLayer })] }),
      expect.objectContaining({
        image: "team/app:1",
        platform: "linux/arm64",
        missing: [expect.objectContaining({ what: "manifest", digest: arm64.manifest.descriptor.digest })],
      }),
      expect.objectContaining({ image: "team/other:2", missing: [], reason: expect.stringContaining(`no tag 2 of ${upstream.host}/team/other is held here`) }),
    ]);
    expect(summary).toMatchObject({ images: 2, incomplete: 2, isGood: false });
    expect(requests()).toEqual([]);
  });

  test("on the platforms of this cluster: what others need is not looked for", async () => {
    upstream.putImage("team/app", "1", index);
    await pullManifest(cache, repositoryAt(upstream.host, "team/app"), "1");
    await pullImage("team/app", amd64);
    expect(await verifyList(["team/app:1"], { platforms: wanted("linux/amd64") })).toMatchObject({ findings: [], isGood: true });
    expect(await verifyList(["team/app:1"], { platforms: wanted("linux/arm64") })).toMatchObject({ isGood: false });
  });

  test("a small blob whose bytes are wrong is missing: it would not be served", async () => {
    await holdAll();
    await spoil(amd64.config);
    expect((await verifyList(["team/app:1"])).findings).toMatchObject([{ platform: "linux/amd64", missing: [{ what: "config", digest: amd64.config }] }]);
  });

  test("what another registry delivered is not this one's to give", async () => {
    await holdAll();
    await rm(cache.store.layout.delivery(repositoryAt(upstream.host, "team/app").host, bigLayer));
    expect((await verifyList(["team/app:1"])).findings).toMatchObject([{ missing: [{ digest: bigLayer }] }]);
  });

  test("with a repair they are brought here, with what refers to them", async () => {
    upstream.putImage("team/app", "1", index);
    const signature = buildArtifact(index.manifest);
    upstream.putImage("team/app", undefined, signature);
    const { findings, isGood } = await verifyList(["team/app:1", "team/gone:1"], { repairs: true });
    expect(findings).toMatchObject([
      { image: "team/app:1", isRepaired: true },
      { image: "team/gone:1", isRepaired: false, problem: expect.stringContaining("team/gone") },
    ]);
    expect(isGood).toBe(false);
    asked = upstream.requests.length;
    expect(await verifyList(["team/app:1"])).toMatchObject({ findings: [], isGood: true });
    expect(requests()).toEqual([]);
    for (const digest of signature.blobs.keys()) expect((await stat(cache.store.layout.blob(digest))).isFile()).toBe(true);
  });
});
