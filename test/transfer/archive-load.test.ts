import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Deposits } from "../../src/cache/deposits.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { findPlatform, type Platform } from "../../src/oci/platform.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import type { ArchiveSource } from "../../src/transfer/archive.ts";
import { loadArchive, type LoadArchiveOptions, type LoadedArchive } from "../../src/transfer/archive-load.ts";
import { ArchiveRefused } from "../../src/transfer/archive-refused.ts";
import { parseImageName } from "../../src/transfer/image-name.ts";
import { OfflineRegistry } from "../../src/upstream/offline.ts";
import { dockerSaveEntries, layoutEntries, plainLayers } from "../support/archives.ts";
import { buildArtifact, buildImage, buildIndex, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { tarOfEntries, type TarEntry } from "../support/tar.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { pullBlob, pullCall, startTestCache, type TestCache } from "../support/test-cache.ts";

const app = buildImage();
const arm = buildImage({ platform: "linux/arm64" });
const index = buildIndex([app, arm]);
const containerd = "io.containerd.image.name";
const refName = "org.opencontainers.image.ref.name";
const named = { [containerd]: "registry.example.com/team/app:1", [refName]: "1" };
const names = new RegistryNames({ defaultNs: "docker.io", registries: [{ name: "registry.example.com", scheme: "https", aliases: ["corp"] }] });

type Options = Partial<Omit<LoadArchiveOptions, "source" | "deposits">>;

/** A cache that asks nobody, and archives loaded into its store. */
async function arrange({ root }: { root?: string } = {}) {
  const rig = await startTestCache({
    upstreams: [],
    wrap: () => new OfflineRegistry(),
    freshness: { airGapped: true },
    ...(root === undefined ? {} : { root }),
  });
  const load = (source: ArchiveSource, options: Options = {}): Promise<LoadedArchive> =>
    loadArchive({ source, deposits: new Deposits({ store: rig.store, clock: rig.store.clock }), names, signal: AbortSignal.timeout(60_000), ...options });
  return {
    rig,
    load,
    loadBytes: (bytes: Uint8Array, options: Options = {}) => load({ stream: piecesOf(bytes) }, options),
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

async function* piecesOf(bytes: Uint8Array, pieceBytes = 10_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** What was loaded, in short. */
function told({ images }: LoadedArchive): readonly string[] {
  return images.map(({ repository, tag, digest }) => `${repositoryName(repository)}${tag === undefined ? `@${digest}` : `:${tag}`}`);
}

async function pull(rig: TestCache, reference: string) {
  const { repository, reference: meant } = parseImageName(reference, names);
  return { repository, manifest: await rig.cache.getManifest(repository, meant, pullCall()) };
}

async function pullOne(rig: TestCache, reference: string, digest: string): Promise<Buffer> {
  return (await pullBlob(rig, parseImageName(reference, names).repository, digest)).bytes;
}

async function expectPullable(rig: TestCache, reference: string, image: BuiltImage | BuiltIndex): Promise<void> {
  const { manifest } = await pull(rig, reference);
  expect(Buffer.from(manifest.bytes).equals(image.manifest.bytes)).toBe(true);
  expect(manifest.descriptor.mediaType).toBe(image.manifest.descriptor.mediaType);
  for (const [digest, bytes] of image.blobs) expect((await pullOne(rig, reference, digest)).equals(bytes)).toBe(true);
}

/** Nothing is there that anybody could see, and nothing that anybody would have to clean up. */
async function expectUntouched({ store }: TestCache): Promise<void> {
  const entries = await readdir(store.layout.root, { recursive: true, withFileTypes: true });
  expect(entries.filter((entry) => entry.isFile() && entry.name !== "VERSION").map(({ parentPath, name }) => join(parentPath, name))).toEqual([]);
}

const byOrder: readonly (readonly [string, (entries: readonly TarEntry[]) => readonly TarEntry[]])[] = [
  ["its list first", (entries) => entries],
  ["its list last", (entries) => entries.toReversed()],
];
const packings: readonly (readonly [string, (bytes: Buffer) => Uint8Array])[] = [
  ["plain", (bytes) => bytes],
  ["within gzip", (bytes) => gzipSync(bytes)],
  ["within zstd", (bytes) => zstdCompressSync(bytes)],
  ["within zstd of several frames", (bytes) => Buffer.concat([zstdCompressSync(bytes.subarray(0, 3_000)), zstdCompressSync(bytes.subarray(3_000))])],
];

describe("an OCI layout", () => {
  const entries = layoutEntries([{ image: index, annotations: named }]);

  describe.each(byOrder)("with %s", (_, order) => {
    test.each(packings)("%s loads, and is pulled with no network, exact", async (__, pack) => {
      await using all = await arrange();
      const loaded = await all.loadBytes(pack(tarOfEntries(order(entries))));
      expect(told(loaded)).toEqual(["registry.example.com/team/app:1"]);
      expect(loaded.nameless).toEqual([]);
      await expectPullable(all.rig, "registry.example.com/team/app:1", index);
      for (const image of [app, arm]) await expectPullable(all.rig, `registry.example.com/team/app@${image.manifest.descriptor.digest}`, image);
    });
  });

  test("in a folder loads as well, links within it followed", async () => {
    await using folder = await temporaryFolder();
    await writeEntries(folder.path, entries);
    const blob = join(folder.path, "blobs", app.config.replace(":", "/"));
    await writeFile(join(folder.path, "elsewhere"), app.blobs.get(app.config) ?? "");
    await rm(blob);
    await symlink("../../elsewhere", blob);
    await using all = await arrange();
    expect(told(await all.load({ path: folder.path }))).toEqual(["registry.example.com/team/app:1"]);
    await expectPullable(all.rig, `registry.example.com/team/app@${app.manifest.descriptor.digest}`, app);
  });

  test("in a folder with a link out of it is refused", async () => {
    await using folder = await temporaryFolder();
    const layout = join(folder.path, "layout");
    await writeEntries(
      layout,
      entries.filter(({ path }) => !path.endsWith(app.config.slice(7))),
    );
    await writeFile(join(folder.path, "outside"), app.blobs.get(app.config) ?? "");
    await symlink("../../../outside", join(layout, "blobs", app.config.replace(":", "/")));
    await using all = await arrange();
    await expect(all.load({ path: layout })).rejects.toThrow(/leads out of layout/);
    await expectUntouched(all.rig);
  });

  test("of which one platform is wanted keeps its index whole and that platform alone", async () => {
    await using all = await arrange();
    await all.loadBytes(tarOfEntries(entries), { platforms: platforms("linux/arm64") });
    await expectPullable(all.rig, "registry.example.com/team/app:1", index);
    await expectPullable(all.rig, `registry.example.com/team/app@${arm.manifest.descriptor.digest}`, arm);
    await expect(pull(all.rig, `registry.example.com/team/app@${app.manifest.descriptor.digest}`)).rejects.toThrow(/not held/);
  });

  test("that has one platform of its index loads as what it is; for another it is refused with what the index has", async () => {
    const sparse = tarOfEntries(layoutEntries([{ image: { ...index, images: [app] }, annotations: named }]));
    await using all = await arrange();
    const loaded = await all.loadBytes(sparse, { platforms: platforms("linux/amd64", "linux/arm64") });
    expect(loaded.images).toMatchObject([{ lacking: ["linux/arm64"] }]);
    await using other = await arrange();
    await expect(other.loadBytes(sparse, { platforms: platforms("linux/arm64") })).rejects.toThrow(/none of its manifests for linux\/arm64/);
    await expect(other.loadBytes(sparse, { platforms: platforms("linux/s390x") })).rejects.toThrow(
      /none of its manifests for linux\/s390x; the index names linux\/amd64, linux\/arm64/,
    );
    await expectUntouched(other.rig);
  });

  test("with an index in an index loads all of it", async () => {
    const outer = nest(index);
    const nested = [...layoutEntries([{ image: index }]).slice(2), ...layoutEntries([{ image: outer, annotations: named }])];
    await using all = await arrange();
    await all.loadBytes(tarOfEntries(uniqueEntries(nested)));
    await expectPullable(all.rig, "registry.example.com/team/app:1", outer);
    await expectPullable(all.rig, `registry.example.com/team/app@${arm.manifest.descriptor.digest}`, arm);
  });

  test("with a signature that has no name keeps it beside what it signs", async () => {
    const signature = buildArtifact(index.manifest);
    await using all = await arrange();
    const loaded = await all.loadBytes(tarOfEntries(layoutEntries([{ image: signature }, { image: index, annotations: named }])));
    expect(told(loaded)).toEqual(["registry.example.com/team/app:1", `registry.example.com/team/app@${signature.manifest.descriptor.digest}`]);
    expect(await all.rig.store.referrers.listHeld(loaded.images[0]?.repository ?? missing(), index.manifest.descriptor.digest)).toEqual([
      signature.manifest.descriptor.digest,
    ]);
  });

  test("that is loaded again writes nothing anew", async () => {
    await using all = await arrange();
    const first = await all.loadBytes(tarOfEntries(entries));
    const second = await all.loadBytes(tarOfEntries(entries));
    expect(first.images[0]?.newBytes).toBe(first.images[0]?.blobBytes);
    expect([first.images[0]?.wasHeld, second.images[0]?.wasHeld]).toEqual([false, true]);
    expect(second.images[0]).toMatchObject({ newBytes: 0, blobBytes: first.images[0]?.blobBytes });
  });

  test("of which nothing is to be kept says what it would load", async () => {
    await using all = await arrange();
    const loaded = await all.loadBytes(tarOfEntries(entries), { dryRun: true });
    expect(told(loaded)).toEqual(["registry.example.com/team/app:1"]);
    expect(loaded.images[0]?.newBytes).toBeGreaterThan(0);
    await expectUntouched(all.rig);
  });
});

test("an archive beside whose load somebody removes a part of an image fails, and the next load brings it whole", async () => {
  await using one = await arrange();
  const child = arm.manifest.descriptor.digest;
  const { repositories, layout } = one.rig.store;
  const putManifest = repositories.putManifest.bind(repositories);
  repositories.putManifest = async (repository, record) => {
    if (record.digest === index.manifest.descriptor.digest) {
      repositories.putManifest = putManifest;
      await rm(layout.manifest(repository, child));
    }
    await putManifest(repository, record);
  };
  const bytes = tarOfEntries(layoutEntries([{ image: index, annotations: named }]));
  await expect(one.loadBytes(bytes)).rejects.toThrow(`${child}: it was removed from the store meanwhile`);
  await one.loadBytes(bytes);
  expect(await pull(one.rig, `registry.example.com/team/app@${child}`)).toBeDefined();
});

describe("what an image is called", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, string>> | undefined, string | undefined, string])[] = [
    ["containerd's full name", { [containerd]: "quay.io/team/app:2", [refName]: "2" }, undefined, "quay.io/team/app:2"],
    ["an alias", { [containerd]: "corp/team/app:2" }, undefined, "registry.example.com/team/app:2"],
    ["a full reference as its layout's name", { [refName]: "quay.io/team/app:2" }, undefined, "quay.io/team/app:2"],
    ["a short name with a tag", { [refName]: "alpine:3" }, undefined, "docker.io/library/alpine:3"],
    ["a tag alone, and the operator's repository", { [refName]: "3.20" }, "quay.io/team/app", "quay.io/team/app:3.20"],
    ["a tag alone, and the operator's name", { [refName]: "3.20" }, "quay.io/team/app:x", "quay.io/team/app:x"],
    ["nothing, and the operator's name", undefined, "quay.io/team/app:x", "quay.io/team/app:x"],
    ["nothing, and the operator's repository", undefined, "quay.io/team/app", "quay.io/team/app:latest"],
    ["another name than the operator's, which goes first", named, "quay.io/team/app:x", "quay.io/team/app:x"],
    ["its digest", { [containerd]: `quay.io/team/app@${app.manifest.descriptor.digest}` }, undefined, `quay.io/team/app@${app.manifest.descriptor.digest}`],
  ];

  test.each(cases)("%s", async (_, annotations, resolveRef, expected) => {
    await using all = await arrange();
    const bytes = tarOfEntries(layoutEntries([{ image: app, ...(annotations ? { annotations } : {}) }]));
    expect(told(await all.loadBytes(bytes, { resolveRef }))).toEqual([expected]);
    await expectPullable(all.rig, expected, app);
  });

  const refused: readonly (readonly [string, Readonly<Record<string, string>> | undefined, RegExp])[] = [
    ["nothing at all", undefined, /no image of the archive has a name: say with --resolve-ref/],
    ["a tag alone", { [refName]: "3.20" }, /an image called "3.20" and no repository: say which with --resolve-ref/],
    ["what no registry can hold", { [containerd]: "quay.io/Team/App:1" }, /an image called "quay.io\/Team\/App:1": "Team\/App" is not a repository name/],
    ["the digest of another", { [containerd]: `quay.io/a@${arm.manifest.descriptor.digest}` }, /an image that is called sha256:.* and is sha256:/],
  ];

  test.each(refused)("%s is refused in words", async (_, annotations, words) => {
    await using all = await arrange();
    const bytes = tarOfEntries(layoutEntries([{ image: app, ...(annotations ? { annotations } : {}) }]));
    await expect(all.loadBytes(bytes)).rejects.toThrow(words);
    await expectUntouched(all.rig);
  });

  test("of several images: those with a name are loaded, the others are told of; the operator's name is for one", async () => {
    const bytes = tarOfEntries(layoutEntries([{ image: app, annotations: named }, { image: arm }]));
    await using all = await arrange();
    const loaded = await all.loadBytes(bytes);
    expect(told(loaded)).toEqual(["registry.example.com/team/app:1"]);
    expect(loaded.nameless).toEqual([{ digest: arm.manifest.descriptor.digest, reason: expect.stringContaining("--resolve-ref") }]);
    expect(told(await all.loadBytes(bytes, { resolveRef: "corp/arm:1" }))).toEqual(["registry.example.com/team/app:1", "registry.example.com/arm:1"]);
    const both = tarOfEntries(layoutEntries([{ image: app }, { image: arm }]));
    await expect(all.loadBytes(both, { resolveRef: "corp/arm:1" })).rejects.toThrow(/2 images without a name: "corp\/arm:1" can name one/);
  });

  test("the same for two images is refused: nobody can tell which is meant", async () => {
    await using all = await arrange();
    const bytes = tarOfEntries(
      layoutEntries([
        { image: app, annotations: named },
        { image: arm, annotations: named },
      ]),
    );
    await expect(all.loadBytes(bytes)).rejects.toThrow(/registry.example.com\/team\/app:1 is two images/);
    await expectUntouched(all.rig);
  });
});

describe("what docker save wrote", () => {
  const twin = buildImage({ layers: [{ "etc/hello": "hello\n" }, { "etc/hello": "hello\n" }] });

  test.each(byOrder)("with %s loads under a manifest made of it, equal layers once", async (_, order) => {
    await using all = await arrange();
    const loaded = await all.loadBytes(tarOfEntries(order(dockerSaveEntries([{ image: twin, names: ["alpine:3", "quay.io/team/alpine:3"] }]))));
    expect(told(loaded)).toEqual(["docker.io/library/alpine:3", "quay.io/team/alpine:3"]);
    const { manifest } = await pull(all.rig, "docker.io/library/alpine:3");
    const content = readManifestContent(manifest.bytes);
    const layers = plainLayers(twin);
    expect(manifest.descriptor.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
    expect(content.blobs.map(({ digest }) => digest)).toEqual([twin.config, ...layers.map((bytes) => digestOf(bytes))]);
    expect(content.blobs[1]?.mediaType).toBe("application/vnd.docker.image.rootfs.diff.tar");
    expect((await pullOne(all.rig, "docker.io/library/alpine:3", digestOf(layers[0] ?? missing()))).equals(layers[0] ?? missing())).toBe(true);
  });

  test("has the same digest each time, whatever wrote it", async () => {
    await using all = await arrange();
    const first = await all.loadBytes(tarOfEntries(dockerSaveEntries([{ image: app, names: ["a:1"] }])));
    const second = await all.loadBytes(gzipSync(tarOfEntries(dockerSaveEntries([{ image: app, names: ["b:1"] }]).toReversed())));
    expect(first.images[0]?.digest).toBe(second.images[0]?.digest);
  });

  test("by crane, with layers packed and a config called by its digest, keeps them packed", async () => {
    const entries: TarEntry[] = [
      { path: app.config, content: app.blobs.get(app.config) ?? "" },
      ...app.layers.map((digest) => ({ path: `${digest.slice(7)}.tar.gz`, content: app.blobs.get(digest) ?? "" })),
      {
        path: "manifest.json",
        content: JSON.stringify([{ Config: app.config, RepoTags: ["a:1"], Layers: app.layers.map((digest) => `${digest.slice(7)}.tar.gz`) }]),
      },
    ];
    await using all = await arrange();
    await all.loadBytes(tarOfEntries(entries));
    const { blobs } = readManifestContent((await pull(all.rig, "docker.io/library/a:1")).manifest.bytes);
    expect(blobs.map(({ digest }) => digest)).toEqual([app.config, ...app.layers]);
    expect(blobs[1]?.mediaType).toBe("application/vnd.docker.image.rootfs.diff.tar.gzip");
  });

  test("without a name takes the operator's", async () => {
    await using all = await arrange();
    const bytes = tarOfEntries(dockerSaveEntries([{ image: app, names: null }]));
    await expect(all.loadBytes(bytes)).rejects.toThrow(/say with --resolve-ref/);
    expect(told(await all.loadBytes(bytes, { resolveRef: "localhost:5000/a:1" }))).toEqual(["localhost:5000/a:1"]);
  });

  test("since docker 25 has a layout beside it, whose manifests are the truth", async () => {
    const list = JSON.stringify([{ Config: `blobs/${app.config.replace(":", "/")}`, RepoTags: ["team/app:1"], Layers: [] }]);
    const entries = [...layoutEntries([{ image: app, annotations: named }]), { path: "manifest.json", content: list }];
    await using all = await arrange();
    await all.loadBytes(tarOfEntries(entries));
    await expectPullable(all.rig, "registry.example.com/team/app:1", app);
  });
});

describe("an archive that nobody should trust", () => {
  const layout = layoutEntries([{ image: app, annotations: named }]);
  const saved = dockerSaveEntries([{ image: app, names: ["a:1"] }]);
  const blobEntry = layout.findIndex(({ path }) => path.endsWith(app.layers[0]?.slice(7) ?? ""));
  const withMore = (...entries: readonly TarEntry[]): Buffer => tarOfEntries([...layout, ...entries]);
  const replaced = (entries: readonly TarEntry[], isIt: (entry: TarEntry) => boolean, change: (entry: TarEntry) => TarEntry): Buffer =>
    tarOfEntries(entries.map((entry) => (isIt(entry) ? change(entry) : entry)));
  const flip = (entry: TarEntry): TarEntry => {
    const content = Buffer.from(entry.content ?? "");
    content[10] = (content[10] ?? 0) ^ 1;
    return { ...entry, content };
  };
  const savedLayer = /layer\.tar$/;
  const savedConfig = /^[a-f0-9]{64}\.json$/;

  const refused: readonly (readonly [string, () => Uint8Array, RegExp])[] = [
    ["with a path that climbs out", () => withMore({ path: "../../etc/cron.d/x", content: "x" }), /entry "..\/..\/etc\/cron.d\/x" leads out of the archive/],
    ["with a path that climbs out and in again", () => withMore({ path: "blobs/../../x/y", content: "x" }), /entry "blobs\/..\/..\/x\/y" leads out/],
    ["with an absolute path", () => withMore({ path: "/etc/passwd", content: "x" }), /entry "\/etc\/passwd" leads out of the archive/],
    ["with a symbolic link out", () => withMore({ path: "l", kind: "2", target: "../../etc/shadow" }), /entry "l -> ..\/..\/etc\/shadow" leads out/],
    ["with an absolute link", () => withMore({ path: "l", kind: "2", target: "/etc/shadow" }), /entry "l -> \/etc\/shadow" leads out/],
    ["with a hard link out", () => withMore({ path: "a/b/l", kind: "1", target: "../x" }), /entry "a\/b\/l -> ..\/x" leads out/],
    ["with a device", () => withMore({ path: "null", kind: "3" }), /entry "null" is neither a file nor a link/],
    ["with a pipe", () => withMore({ path: "pipe", kind: "6" }), /entry "pipe" is neither a file nor a link/],
    ["with an entry twice", () => withMore(layout[blobEntry] ?? missing()), /entry "blobs\/sha256\/[a-f0-9]+" is there twice/],
    [
      "with one flipped byte in a layer",
      () => replaced(layout, (entry) => entry === layout[blobEntry], flip),
      /entry "blobs\/sha256\/[a-f0-9]+" is damaged: sha256:/,
    ],
    [
      "with one flipped byte in docker's layer",
      () => replaced(saved, ({ path }) => savedLayer.test(path), flip),
      /entry ".*layer.tar" is damaged: the image's layer is sha256:/,
    ],
    [
      "with one flipped byte in docker's config",
      () => replaced(saved, ({ path }) => savedConfig.test(path), flip),
      /entry ".*\.json" is damaged: its bytes are those of/,
    ],
    [
      "that lacks a layer",
      () => tarOfEntries(layout.filter((_, at) => at !== blobEntry)),
      /sha256:.*, which sha256:.* names, is neither in the archive nor held/,
    ],
    [
      "that lacks docker's layer",
      () => tarOfEntries(saved.filter(({ path }) => !savedLayer.test(path))),
      /entry ".*layer.tar", which manifest.json names, is missing/,
    ],
    ["that lacks the manifest", () => tarOfEntries(layout.slice(0, 2)), /which the archive lists as an image, is not in it/],
    [
      "with a header that claims 10 GiB",
      () => withMore({ path: `blobs/sha256/${"0".repeat(64)}`, claimedBytes: 10 * 1024 ** 3 }),
      /cut short|cannot be written to the store: it has 10737418240 bytes/,
    ],
    [
      "that is cut short within a layer",
      () => tarOfEntries(layout).subarray(0, -5_000),
      /torn or cut short|lists as an image, is not in it|neither in the archive nor held/,
    ],
    ["within gzip that is cut short", () => gzipSync(tarOfEntries(layout)).subarray(0, -100), /torn or cut short: unexpected end of file/],
    ["of zeros without end", () => gzipSync(Buffer.alloc(40 * 1024 ** 2)), /more than 16777216 bytes that belong to no entry/],
    ["that is no archive at all", () => Buffer.from("hello ".repeat(1_000)), /torn or cut short/],
    ["that holds no images", () => tarOfEntries([{ path: "readme", content: "x" }]), /no archive of images/],
    ["whose list is not JSON", () => tarOfEntries([{ path: "index.json", content: "{" }]), /entry "index.json" is damaged: it is not JSON/],
    [
      "whose list names what is no manifest",
      () => tarOfEntries([{ path: "index.json", content: '{"manifests":[{"digest":"sha256:x"}]}' }]),
      /index.json names something that is no/,
    ],
    [
      "whose docker list is half empty",
      () => tarOfEntries([{ path: "manifest.json", content: '[{"Config":"c"}]' }]),
      /entry "c", which manifest.json names, is missing/,
    ],
    ["whose links lead in a circle", () => circular(), /entry "a" is a link that leads to no file/],
    [
      "whose docker list climbs out",
      () => tarOfEntries([{ path: "manifest.json", content: '[{"Config":"../../etc/shadow"}]' }]),
      /entry "..\/..\/etc\/shadow" leads out/,
    ],
  ];

  test.each(refused)("%s is refused in words, and nothing of it stays", async (_, bytes, words) => {
    await using all = await arrange();
    const refusal = await all.loadBytes(bytes()).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Error);
    expect(refusal).toMatchObject({ message: expect.stringMatching(words) });
    await expectUntouched(all.rig);
  });

  test("gives no right to bytes that another registry delivered, though it names their digest", async () => {
    await using all = await arrange();
    await all.loadBytes(tarOfEntries(layoutEntries([{ image: app, annotations: { [containerd]: "private.example.com/secret:1" } }])));
    const thief = tarOfEntries(layout.filter((_, at) => at !== blobEntry));
    await expect(all.loadBytes(thief)).rejects.toThrow(/neither in the archive nor held/);
  });

  test("whose endless stream is stopped ends at once, and nothing of it stays", async () => {
    await using all = await arrange();
    const stopping = new AbortController();
    let isClosed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield tarOfEntries([{ path: "layer.tar", claimedBytes: 8 * 1024 ** 3 - 1 }]).subarray(0, 512);
        for (let count = 0; ; count += 1) {
          if (count === 200) stopping.abort(new Error("enough"));
          yield Buffer.alloc(10_000);
        }
      } finally {
        isClosed = true;
      }
    }
    await expect(all.load({ stream: endless() }, { signal: stopping.signal })).rejects.toThrow("enough");
    expect(isClosed).toBe(true);
    await expectUntouched(all.rig);
  });

  test.each([
    ["plain", Buffer.alloc(0)],
    ["within gzip", gzipSync(tarOfEntries(layout)).subarray(0, 100)],
  ])("%s, whose source sends nothing any more, ends when it is stopped", async (_, begin) => {
    await using all = await arrange();
    const stopping = new AbortController();
    async function* silent(): AsyncGenerator<Uint8Array> {
      if (begin.byteLength > 0) yield begin;
      stopping.abort(new Error("enough"));
      await new Promise(() => {});
    }
    await expect(all.load({ stream: silent() }, { signal: stopping.signal })).rejects.toThrow("enough");
    await expectUntouched(all.rig);
  });

  test("is refused although its source sends nothing any more", async () => {
    await using all = await arrange();
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield tarOfEntries([{ path: "../out", content: "x" }]);
      await new Promise(() => {});
    }
    await expect(all.load({ stream: silent() })).rejects.toThrow(/leads out of the archive/);
  });

  test("fills no disk: what has no room is refused, and what was staged goes", async () => {
    await using disk = await mountSmallDisk(4 * 1024 * 1024);
    await using all = await arrange({ root: join(disk.path, "store") });
    const bomb = gzipSync(tarOfEntries([{ path: "layer.tar", content: Buffer.alloc(20 * 1024 * 1024) }]));
    await expect(all.loadBytes(bomb)).rejects.toThrow(/has 20971520 bytes, and the disk has room for/);
    const many = gzipSync(tarOfEntries(Array.from({ length: 20 }, (_, at) => ({ path: `${at}.tar`, content: Buffer.alloc(900_000, at) }))));
    await expect(all.loadBytes(many)).rejects.toThrow(/cannot be written to the store: ENOSPC/);
    await expectUntouched(all.rig);
  });

  function circular(): Buffer {
    return tarOfEntries([
      { path: "a", kind: "2", target: "b" },
      { path: "b", kind: "2", target: "a" },
      { path: "manifest.json", content: '[{"Config":"a"}]' },
    ]);
  }
});

test("what the source says when it breaks is what is told", async () => {
  await using all = await arrange();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield tarOfEntries(layoutEntries([{ image: app }])).subarray(0, 2_000);
    throw new Error("the stick was pulled");
  }
  await expect(all.load({ stream: broken() })).rejects.toThrow("the stick was pulled");
  await expect(all.load({ path: "/nowhere/at/all" })).rejects.toThrow(/ENOENT/);
  await expectUntouched(all.rig);
});

test("the refusal is one that callers can tell from a full disk", async () => {
  await using all = await arrange();
  await expect(all.loadBytes(Buffer.from("no archive"))).rejects.toBeInstanceOf(ArchiveRefused);
});

function platforms(...written: readonly string[]): readonly Platform[] {
  return written.flatMap((word) => findPlatform(word) ?? []);
}

async function writeEntries(folder: string, entries: readonly TarEntry[]): Promise<void> {
  for (const { path, content = "" } of entries) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

/** The later of two entries of one path. */
function uniqueEntries(entries: readonly TarEntry[]): readonly TarEntry[] {
  return [...new Map(entries.map((entry) => [entry.path, entry])).values()];
}

/** An index whose only child is an index. */
function nest(inner: BuiltIndex): BuiltIndex {
  return buildIndex([{ ...app, manifest: inner.manifest, platform: "linux/amd64" }]);
}

function missing(): never {
  throw new Error("the test's own content is missing");
}
