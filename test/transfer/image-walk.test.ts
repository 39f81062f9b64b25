import { afterEach, beforeEach, expect, test } from "vitest";
import { parseReference } from "../../src/oci/reference.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { walkImage, type ImageWalkOptions, type Walked } from "../../src/transfer/image-walk.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex, describe as described } from "../support/images.ts";
import { pullManifest, repositoryAt, startTestCache, type TestCache } from "../support/test-cache.ts";

let upstream: FakeUpstream;
let cache: TestCache;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  cache = await startTestCache({ upstreams: [upstream.host] });
});

afterEach(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream.close();
});

const [amd64, arm64] = [buildImage(), buildImage({ platform: "linux/arm64", layers: [{ arm: "arm" }] })];
const index = buildIndex([amd64, arm64]);

async function walk(reference: string, options: Partial<ImageWalkOptions> = {}): Promise<readonly Walked[]> {
  const all = { platforms: "all", referrers: true, signal: new AbortController().signal, ...options } as const;
  const walked: Walked[] = [];
  for await (const part of walkImage(cache.cache, repositoryAt(upstream.host, "team/app"), parseReference(reference), all)) walked.push(part);
  return walked;
}

function told(walked: readonly Walked[]): readonly string[] {
  const names = new Map<string, string>([
    [index.manifest.descriptor.digest, "index"],
    [amd64.manifest.descriptor.digest, "amd64"],
    [arm64.manifest.descriptor.digest, "arm64"],
  ]);
  return walked.map((part) => {
    if (part.kind === "lack") return `lack ${part.platform.architecture}`;
    const { digest } = part.kind === "manifest" ? part.manifest.descriptor : part.descriptor;
    return `${part.kind}${"role" in part ? ` ${part.role}` : ""} ${names.get(digest) ?? "other"}`;
  });
}

test("a parent comes before its children, an image's blobs right after it", async () => {
  upstream.putImage("team/app", "1", index);
  expect(told(await walk("1"))).toEqual([
    "manifest root index",
    "manifest child amd64",
    ...Array.from({ length: 3 }, () => "blob other"),
    "manifest child arm64",
    ...Array.from({ length: 2 }, () => "blob other"),
  ]);
});

test("what is for another platform is aside: named, and not asked for", async () => {
  upstream.putImage("team/app", "1", index);
  const walked = await walk("1", { platforms: [{ os: "linux", architecture: "arm64" }], referrers: false });
  expect(told(walked)).toEqual(["manifest root index", "aside amd64", "manifest child arm64", "blob other", "blob other"]);
  expect(upstream.requests).not.toContainEqual(expect.stringContaining(amd64.manifest.descriptor.digest));
});

test("an attestation goes with the image that it is for", async () => {
  const attestation = buildImage({ layers: [{ provenance: "slsa" }] });
  const annotations = { "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": arm64.manifest.descriptor.digest };
  const entries = [
    ...[amd64, arm64].map(({ manifest, platform }, at) => ({
      ...described(mediaTypes.ociManifest, manifest.bytes),
      platform: { os: "linux", architecture: at === 0 ? "amd64" : platform.split("/")[1] },
    })),
    { ...described(mediaTypes.ociManifest, attestation.manifest.bytes), annotations, platform: { os: "unknown", architecture: "unknown" } },
  ];
  for (const image of [amd64, arm64, attestation]) upstream.putImage("team/app", undefined, image);
  upstream.putManifest("team/app", "1", { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries }, mediaTypes.ociIndex);
  const walkFor = async (architecture: string): Promise<number> =>
    (await walk("1", { platforms: [{ os: "linux", architecture }], referrers: false })).filter((part) => part.kind === "manifest").length;
  expect(await walkFor("arm64")).toBe(3);
  expect(await walkFor("amd64")).toBe(2);
});

test("a child that is not held is a gap when nobody may be asked, and a root that is not is thrown", async () => {
  upstream.putImage("team/app", "1", index);
  const repository = repositoryAt(upstream.host, "team/app");
  await pullManifest(cache, repository, "1");
  await pullManifest(cache, repository, amd64.manifest.descriptor.digest);
  upstream.forget();
  const walked = await walk("1", { mayFetch: false, purpose: "verify" });
  expect(told(walked).filter((part) => !part.startsWith("blob"))).toEqual(["manifest root index", "manifest child amd64", "gap child arm64"]);
  await expect(walk("2", { mayFetch: false })).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  expect(upstream.requests).toEqual([]);
});

test("what refers to an image and to what refers to it is visited once, with its subject", async () => {
  upstream.putImage("team/app", "1", amd64);
  const bill = upstream.putImage("team/app", undefined, buildArtifact(amd64.manifest, { payload: "bill" }));
  const signature = upstream.putImage("team/app", undefined, buildArtifact(bill.manifest, { payload: "signature" }));
  const referrers = (await walk("1")).filter((part) => part.kind === "manifest" && part.role === "referrer");
  expect(referrers).toMatchObject([
    { manifest: { descriptor: bill.manifest.descriptor }, subject: amd64.manifest.descriptor.digest },
    { manifest: { descriptor: signature.manifest.descriptor }, subject: bill.manifest.descriptor.digest },
  ]);
});

test("an index that names itself, or too many levels of them, ends", async () => {
  const levels = [amd64.manifest];
  upstream.putImage("team/app", undefined, amd64);
  for (let level = 0; level < 10; level++) {
    const inner = levels.at(-1);
    if (!inner) throw new Error("there is one");
    const manifests = [described(inner.descriptor.mediaType, inner.bytes)];
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
    const digest = upstream.putManifest("team/app", `level-${level}`, bytes, mediaTypes.ociIndex);
    levels.push({ bytes, descriptor: { mediaType: mediaTypes.ociIndex, digest, sizeBytes: bytes.byteLength } });
  }
  await expect(walk("level-9")).rejects.toMatchObject({ code: "MANIFEST_INVALID" });
  expect(told(await walk("level-3", { referrers: false }))).toHaveLength(4 + 1 + 3);
});

test("ends with the caller's reason", async () => {
  upstream.putImage("team/app", "1", index);
  const abort = new AbortController();
  const walking = walkImage(cache.cache, repositoryAt(upstream.host, "team/app"), parseReference("1"), {
    platforms: "all",
    referrers: false,
    signal: abort.signal,
  });
  await walking.next();
  abort.abort(new Error("enough"));
  await expect(Array.fromAsync(walking)).rejects.toThrow("enough");
});
