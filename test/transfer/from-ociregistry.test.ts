import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Deposits } from "../../src/cache/deposits.ts";
import { hexOf, type Digest } from "../../src/oci/digest.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { importOciregistry, type FromOciregistryResult } from "../../src/transfer/from-ociregistry.ts";
import { parseImageName } from "../../src/transfer/image-name.ts";
import { OfflineRegistry } from "../../src/upstream/offline.ts";
import { buildImage, buildIndex, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { writeOciregistryFolder, type KeptImage } from "../support/ociregistry-folder.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { pullBlob, pullCall, startTestCache } from "../support/test-cache.ts";

const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });
const app = buildImage();
const arm = buildImage({ platform: "linux/arm64" });
const index = buildIndex([app, arm]);
const docker = buildImage({ flavour: "docker", layers: [{ "etc/docker": "docker" }] });

async function arrange(kept: readonly KeptImage[]) {
  const folder = await temporaryFolder();
  await writeOciregistryFolder(folder.path, kept);
  const rig = await startTestCache({ upstreams: [], wrap: () => new OfflineRegistry(), freshness: { airGapped: true } });
  const pull = async (reference: string) => {
    const { repository, reference: meant } = parseImageName(reference, names);
    return await rig.cache.getManifest(repository, meant, pullCall());
  };
  return {
    rig,
    folder: folder.path,
    pull,
    take: (options: { keepTags?: boolean } = {}) =>
      importOciregistry({ folder: folder.path, store: rig.store, clock: rig.store.clock, names, signal: AbortSignal.timeout(60_000), ...options }),
    async expectPullable(reference: string, image: BuiltImage | BuiltIndex) {
      const manifest = await pull(reference);
      expect(Buffer.from(manifest.bytes).equals(image.manifest.bytes)).toBe(true);
      expect(manifest.descriptor.mediaType).toBe(image.manifest.descriptor.mediaType);
      const { repository } = parseImageName(reference, names);
      for (const [digest, bytes] of image.blobs) expect((await pullBlob(rig, repository, digest)).bytes.equals(bytes)).toBe(true);
    },
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await folder[Symbol.asyncDispose]()),
  };
}

function told({ images }: FromOciregistryResult): readonly string[] {
  return images.map(({ repository, tag, digest }) => `${repositoryName(repository)}${tag === undefined ? `@${digest}` : `:${tag}`}`).toSorted();
}

function blobFile(folder: string, digest: Digest | undefined): string {
  return join(folder, "blobs", hexOf(digest ?? app.config));
}

test("images of img/ and lts/, indexes with the platforms that were pulled, and one without a tag are served with no network", async () => {
  await using all = await arrange([
    { image: index, imageUrl: "quay.io/team/app:1", pulled: [app] },
    { image: docker, imageUrl: "docker.io/nginx:latest" },
    { image: arm, imageUrl: `registry.k8s.io/pause@${arm.manifest.descriptor.digest}` },
  ]);
  const result = await all.take();
  expect(result.problems).toEqual([]);
  expect(told(result)).toEqual(["docker.io/library/nginx:latest", "quay.io/team/app:1", `registry.k8s.io/pause@${arm.manifest.descriptor.digest}`]);
  await all.expectPullable("quay.io/team/app:1", index);
  await all.expectPullable(`quay.io/team/app@${app.manifest.descriptor.digest}`, app);
  await all.expectPullable("docker.io/library/nginx:latest", docker);
  await all.expectPullable(`registry.k8s.io/pause@${arm.manifest.descriptor.digest}`, arm);
});

test("where an index and its child claim one tag the index is what the tag means", async () => {
  await using all = await arrange([{ image: index, imageUrl: "quay.io/team/app:1", claimsTag: true }]);
  expect(told(await all.take())).toEqual(["quay.io/team/app:1"]);
  await all.expectPullable("quay.io/team/app:1", index);
  for (const image of [app, arm]) await all.expectPullable(`quay.io/team/app@${image.manifest.descriptor.digest}`, image);
});

test("of two images that claim one tag the newer has it, and the other stays by its digest", async () => {
  await using all = await arrange([
    { image: app, imageUrl: "quay.io/team/app:1", created: "2026-03-04T05:06:07" },
    { image: docker, imageUrl: "quay.io/team/app:1", created: "2026-03-05T05:06:07" },
  ]);
  await all.take();
  await all.expectPullable("quay.io/team/app:1", docker);
  await all.expectPullable(`quay.io/team/app@${app.manifest.descriptor.digest}`, app);
});

test("a tag keeps the time at which its registry was asked, by the local clock; without one, the file's", async () => {
  await using all = await arrange([
    { image: app, imageUrl: "quay.io/team/app:1", created: "2026-03-04T05:06:07" },
    { image: docker, imageUrl: "quay.io/team/app:2" },
  ]);
  const writtenFromMs = Date.now() - 60_000;
  await all.take();
  const { repository } = parseImageName("quay.io/team/app", names);
  const [first, second] = await Promise.all(
    ["1", "2"].map((tag) => all.rig.store.repositories.findTag(repository, parseImageName(`a:${tag}`, names).tag ?? fail())),
  );
  expect(first?.checkedAtMs).toBe(new Date(2026, 2, 4, 5, 6, 7).getTime());
  expect(second?.checkedAtMs).toBeGreaterThan(writtenFromMs);
});

test("damaged records and wrong blobs are told of and left out, and the rest comes", async () => {
  await using all = await arrange([
    { image: app, imageUrl: "quay.io/team/app:1" },
    { image: docker, imageUrl: "quay.io/team/docker:1" },
  ]);
  await writeFile(join(all.folder, "img", "0".repeat(64)), '{"type":3,"digest":"00');
  await writeFile(join(all.folder, "img", "1".repeat(64)), "[]");
  await writeFile(join(all.folder, "img", "2".repeat(64)), JSON.stringify({ imageUrl: "quay.io/a:1", bytes: "" }));
  await writeFile(
    join(all.folder, "img", "3".repeat(64)),
    JSON.stringify({ imageUrl: "quay.io/a:1", bytes: Buffer.from(app.manifest.bytes).toString("base64") }),
  );
  await writeFile(join(all.folder, "lts", "4".repeat(64)), "");
  const flipped = await readFile(blobFile(all.folder, docker.layers[0]));
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  await writeFile(blobFile(all.folder, docker.layers[0]), flipped);
  const result = await all.take();
  expect(told(result)).toEqual(["quay.io/team/app:1"]);
  expect(result.problems.map(({ file, message }) => `${file.slice(0, 6)} ${message}`).toSorted()).toEqual([
    expect.stringMatching(/^img\/00 the record is not JSON/),
    expect.stringMatching(/^img\/11 the record is not a JSON object/),
    expect.stringMatching(/^img\/22 the record holds no manifest/),
    expect.stringMatching(/^img\/33 the manifest in it is sha256:.*: its bytes are wrong/),
    expect.stringMatching(new RegExp(`^img/.. quay.io/team/docker:1: ${docker.layers[0]}: its bytes are wrong`)),
    expect.stringMatching(/^lts\/44 the record is not JSON/),
  ]);
  await expect(all.pull("quay.io/team/docker:1")).rejects.toThrow(/not held/);
  await all.expectPullable("quay.io/team/app:1", app);
});

test("a killed load's manifest without its blobs is left out by name, and comes when they are there", async () => {
  await using all = await arrange([{ image: app, imageUrl: "quay.io/team/app:1" }]);
  const layer = app.layers[1] ?? fail();
  const bytes = await readFile(blobFile(all.folder, layer));
  await rm(blobFile(all.folder, layer));
  const first = await all.take();
  expect(first.images).toEqual([]);
  expect(first.problems).toEqual([
    { file: expect.stringMatching(/^img\//), message: expect.stringContaining(`quay.io/team/app:1: blobs/${hexOf(layer)} is missing`) },
  ]);
  await writeFile(blobFile(all.folder, layer), bytes);
  const second = await all.take();
  expect(second.problems).toEqual([]);
  expect(second.images).toMatchObject([{ newBytes: bytes.byteLength }]);
  await all.expectPullable("quay.io/team/app:1", app);
});

test("an index of which one platform is damaged comes with the other, and the damage is told once", async () => {
  const other = buildImage({ platform: "linux/arm64", layers: [{ "etc/other": "other" }] });
  const both = buildIndex([app, other]);
  await using all = await arrange([{ image: both, imageUrl: "quay.io/team/app:1" }]);
  await rm(blobFile(all.folder, other.config));
  const result = await all.take();
  expect(told(result)).toEqual(["quay.io/team/app:1"]);
  expect(result.problems).toEqual([{ file: `img/${hexOf(other.manifest.descriptor.digest)}`, message: expect.stringContaining("a part of quay.io/team/app") }]);
  await all.expectPullable("quay.io/team/app:1", both);
  await expect(all.pull(`quay.io/team/app@${other.manifest.descriptor.digest}`)).rejects.toThrow(/not held/);
});

test("a newer tag here keeps its meaning, an older one only when asked to; a second run brings nothing new", async () => {
  await using all = await arrange([{ image: app, imageUrl: "quay.io/team/app:1", created: "2026-03-04T05:06:07" }]);
  const { repository, tag = fail() } = parseImageName("quay.io/team/app:1", names);
  const deposits = new Deposits({ store: all.rig.store, clock: all.rig.store.clock });
  for (const [digest, bytes] of docker.blobs) await deposits.blob(repository.host, { digest, sizeBytes: bytes.byteLength }, piecesOf(bytes));
  await deposits.manifest(repository, { bytes: docker.manifest.bytes });
  const createdAtMs = new Date(2026, 2, 4, 5, 6, 7).getTime();
  await deposits.tag(repository, tag, docker.manifest.descriptor.digest, { checkedAtMs: createdAtMs + 1 });
  expect((await all.take()).images).toMatchObject([{ verdict: "kept" }]);
  await all.expectPullable("quay.io/team/app:1", docker);
  await all.expectPullable(`quay.io/team/app@${app.manifest.descriptor.digest}`, app);
  await deposits.tag(repository, tag, app.manifest.descriptor.digest, { checkedAtMs: 1 });
  await deposits.tag(repository, tag, docker.manifest.descriptor.digest, { checkedAtMs: createdAtMs - 1 });
  expect((await all.take({ keepTags: true })).images).toMatchObject([{ verdict: "kept" }]);
  expect((await all.take()).images).toMatchObject([{ verdict: "taken", newBytes: 0 }]);
  await all.expectPullable("quay.io/team/app:1", app);
});

test("a folder that is none of its is refused in words", async () => {
  await using all = await arrange([]);
  await rm(join(all.folder, "blobs"), { recursive: true });
  await expect(all.take()).rejects.toThrow(/is no folder of ociregistry 1: it has no blobs\//);
});

function fail(): never {
  throw new Error("the test's own content is missing");
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
