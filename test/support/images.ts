/** Builds real images: layers are tar.gz that containerd and podman can unpack, configs name them, everything is deterministic. */
import { createCipheriv } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { digestOf, hexOf, type Digest } from "../../src/oci/digest.ts";
import { parseManifest, type Manifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { tarOf } from "./tar.ts";

export interface ImageOptions {
  /** `linux/amd64`, `linux/arm/v7`. */
  readonly platform?: string;
  /** One layer for each: file names and their content. */
  readonly layers?: readonly Readonly<Record<string, string | Uint8Array>>[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** "docker" writes Docker's media types. */
  readonly flavour?: "oci" | "docker";
  /** Makes it a referrer of this manifest. */
  readonly subject?: Manifest;
}

/** An image manifest and every blob that it names. */
export interface BuiltImage {
  readonly manifest: Manifest;
  readonly platform: string;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
  readonly layers: readonly Digest[];
  readonly config: Digest;
}

/** An index and the images that it names; it has no blobs of its own. */
export interface BuiltIndex {
  readonly manifest: Manifest;
  readonly images: readonly BuiltImage[];
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

const defaultLayers: NonNullable<ImageOptions["layers"]> = [{ "etc/hello": "hello\n" }, { "usr/share/greeting": "good day\n" }];

/** An image; the same options give the same digests. */
export function buildImage({ platform = "linux/amd64", layers = defaultLayers, annotations, flavour = "oci", subject }: ImageOptions = {}): BuiltImage {
  const types = layerTypes[flavour];
  const tars = layers.map((files) => tarOf({ ...files, "etc/platform": `${platform}\n` }));
  const blobs = tars.map((tar) => gzipSync(tar, { level: 1 }));
  const config = Buffer.from(
    JSON.stringify({ ...platformOf(platform), config: { Cmd: ["/hello"] }, rootfs: { type: "layers", diff_ids: tars.map((tar) => digestOf(tar)) } }),
  );
  const manifest = jsonManifest({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: describe(types.config, config),
    layers: blobs.map((bytes) => describe(types.layer, bytes)),
    ...(subject ? { subject: describe(subject.descriptor.mediaType, subject.bytes) } : {}),
    ...(annotations ? { annotations } : {}),
  });
  return {
    manifest,
    platform,
    blobs: new Map([config, ...blobs].map((bytes) => [digestOf(bytes), bytes])),
    layers: blobs.map((bytes) => digestOf(bytes)),
    config: digestOf(config),
  };
}

/** An index over `images`. */
export function buildIndex(images: readonly BuiltImage[], { flavour = "oci" }: { flavour?: "oci" | "docker" } = {}): BuiltIndex {
  const manifests = images.map(({ manifest, platform }) => ({ ...describe(manifest.descriptor.mediaType, manifest.bytes), platform: platformOf(platform) }));
  const mediaType = flavour === "oci" ? mediaTypes.ociIndex : mediaTypes.dockerManifestList;
  return { manifest: jsonManifest({ schemaVersion: 2, mediaType, manifests }), images, blobs: new Map() };
}

/** An artifact that refers to `subject`, as signatures and attestations do: an empty config and one payload. */
export function buildArtifact(
  subject: Manifest,
  { artifactType = "application/vnd.example.signature", payload = "signed" }: { artifactType?: string; payload?: string } = {},
): BuiltImage {
  const config = Buffer.from("{}");
  const layer = Buffer.from(payload);
  const manifest = jsonManifest({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType,
    config: describe("application/vnd.oci.empty.v1+json", config),
    layers: [describe("application/octet-stream", layer)],
    subject: describe(subject.descriptor.mediaType, subject.bytes),
  });
  return {
    manifest,
    platform: "linux/amd64",
    blobs: new Map([config, layer].map((bytes) => [digestOf(bytes), bytes])),
    layers: [digestOf(layer)],
    config: digestOf(config),
  };
}

/** Writes an OCI image layout into `folder`, for `skopeo copy oci:FOLDER:TAG`. */
export async function writeImageLayout(folder: string, tag: string, image: BuiltImage | BuiltIndex): Promise<void> {
  const blobFolder = join(folder, "blobs", "sha256");
  await mkdir(blobFolder, { recursive: true });
  const parts = "images" in image ? [image, ...image.images] : [image];
  for (const part of parts) {
    await writeFile(join(blobFolder, hexOf(part.manifest.descriptor.digest)), part.manifest.bytes);
    for (const [digest, bytes] of part.blobs) await writeFile(join(blobFolder, hexOf(digest)), bytes);
  }
  const entry = { ...describe(image.manifest.descriptor.mediaType, image.manifest.bytes), annotations: { "org.opencontainers.image.ref.name": tag } };
  await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

const seededPieceBytes = 1024 * 1024;

/** Bytes that do not compress and are the same for the same seed: a gibibyte takes about a second. */
export function seededBytes(sizeBytes: number, seed = "seed"): Buffer {
  const key = Buffer.from(hexOf(digestOf(Buffer.from(seed))).slice(0, 32), "hex");
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(sizeBytes, seededPieceBytes));
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let at = 0; at < sizeBytes; at += zeros.byteLength) cipher.update(zeros.subarray(0, Math.min(zeros.byteLength, sizeBytes - at))).copy(bytes, at);
  return bytes;
}

/** A descriptor of `bytes`, as JSON has it. */
export function describe(mediaType: string, bytes: Uint8Array): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
}

const layerTypes = {
  oci: { manifest: mediaTypes.ociManifest, config: mediaTypes.ociConfig, layer: mediaTypes.ociLayerGzip },
  docker: {
    manifest: mediaTypes.dockerManifest,
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  },
} as const;

function jsonManifest(content: object): Manifest {
  return parseManifest(Buffer.from(JSON.stringify(content)));
}

function platformOf(platform: string): { os: string; architecture: string; variant?: string } {
  const [os = "linux", architecture = "amd64", variant] = platform.split("/");
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}
