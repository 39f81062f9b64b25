/**
 * readDockerImages: what `docker save` (before 25), `podman save` and `skopeo copy docker-archive:` write: a list, configs, and
 * layers that are plain tars. Registries' manifests are not in it: one is made of each image, the same for the same content, once
 * every layer has proved to be the one that the config means. Docker's "Image Specification v1.2".
 */
import type { StagedBlob } from "../cache/staged-blob.ts";
import { algorithmOf, Digester, findDigest, type Digest } from "../oci/digest.ts";
import { manifestBytesMax, parseManifest } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Archive } from "./archive.ts";
import { quoted } from "./archive-entries.ts";
import { findStrings, isObject, readArchiveJson } from "./archive-json.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import type { ArchivedImage, MadeManifest } from "./archived-image.ts";
import { decompressed, packingOf, type Packing } from "./decompression.ts";

/** A file of the archive and the type by which a manifest names it. */
interface Part {
  readonly path: string;
  readonly mediaType: string;
  readonly file: StagedBlob;
}

const layersMax = 1_000;
const layerMediaTypes = {
  none: "application/vnd.docker.image.rootfs.diff.tar",
  gzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
} as const satisfies Record<Packing, string>;
/** How configs are called, with the digest of their bytes: by docker, by podman and skopeo, by crane. */
const configNamePattern = /(?:^|\/)(?:sha256[:/])?([a-f0-9]{64})(?:\.json)?$/;

/** `list` is manifest.json. Throws `ArchiveRefused` naming the entry that is missing, or other than it should be. */
export async function readDockerImages(archive: Archive, list: unknown, { signal }: { signal: AbortSignal }): Promise<readonly ArchivedImage[]> {
  if (!Array.isArray(list) || list.length === 0) throw new ArchiveRefused("manifest.json lists no images");
  const images: ArchivedImage[] = [];
  for (const entry of list as readonly unknown[]) {
    const { config, layers, names } = parseEntry(entry);
    const made = await makeManifest(archive, { config, layers, signal });
    images.push({ names: names.map((written) => ({ written, isDockers: true })), root: { kind: "made", made } });
  }
  return images;
}

function parseEntry(entry: unknown): { readonly config: string; readonly layers: readonly string[]; readonly names: readonly string[] } {
  const json = isObject(entry) ? entry : {};
  const layers = findStrings(json["Layers"] ?? []);
  const names = findStrings(json["RepoTags"] ?? []);
  const config = json["Config"];
  if (typeof config !== "string" || !layers || !names || layers.length > layersMax) {
    throw new ArchiveRefused(`manifest.json has an entry without Config, Layers and RepoTags, or with more than ${layersMax} layers`);
  }
  return { config, layers, names };
}

async function makeManifest(
  archive: Archive,
  { config: configPath, layers, signal }: { config: string; layers: readonly string[]; signal: AbortSignal },
): Promise<MadeManifest> {
  const config: Part = { path: configPath, mediaType: "application/vnd.docker.container.image.v1+json", file: await get(archive, configPath) };
  const diffIds = await readDiffIds(config);
  if (diffIds.length !== layers.length) {
    throw new ArchiveRefused(`entry ${quoted(configPath)} names ${diffIds.length} layers, and manifest.json ${layers.length}`);
  }
  const parts: Part[] = [];
  for (const [at, path] of layers.entries()) parts.push(await checkedLayer(path, await get(archive, path), { diffId: diffIds[at], signal }));
  const described = (part: Part): object => ({ mediaType: part.mediaType, size: part.file.sizeBytes, digest: part.file.digest });
  const json = { schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config: described(config), layers: parts.map(described) };
  return { manifest: parseManifest(Buffer.from(JSON.stringify(json))), paths: [configPath, ...layers] };
}

async function readDiffIds({ path, file }: Part): Promise<readonly Digest[]> {
  const named = configNamePattern.exec(path)?.[1];
  if (named !== undefined && file.digest !== `sha256:${named}`)
    throw new ArchiveRefused(`entry ${quoted(path)} is damaged: its bytes are those of ${file.digest}`);
  const json = await readArchiveJson(file, { path, bytesMax: manifestBytesMax });
  const rootfs = isObject(json) ? json["rootfs"] : undefined;
  const diffIds = isObject(rootfs) ? findStrings(rootfs["diff_ids"] ?? [])?.flatMap((id) => findDigest(id) ?? []) : undefined;
  if (!diffIds) throw new ArchiveRefused(`entry ${quoted(path)} is no image's config: it does not say what its layers are`);
  return diffIds;
}

/** A layer whose plain bytes are those of `diffId`: it is one, or becomes one when it is unpacked (crane, Bazel, kaniko). */
async function checkedLayer(path: string, file: StagedBlob, { diffId, signal }: { diffId: Digest | undefined; signal: AbortSignal }): Promise<Part> {
  if (file.digest === diffId) return { path, mediaType: layerMediaTypes.none, file };
  const packing = packingOf(await firstPiece(file));
  const found = packing === "none" || diffId === undefined ? file.digest : await unpackedDigest(file, diffId, { path, signal });
  if (found !== diffId) throw new ArchiveRefused(`entry ${quoted(path)} is damaged: the image's layer is ${diffId}, and this is ${found}`);
  return { path, mediaType: layerMediaTypes[packing], file };
}

async function unpackedDigest(file: StagedBlob, diffId: Digest, { path, signal }: { path: string; signal: AbortSignal }): Promise<Digest> {
  const digester = new Digester(algorithmOf(diffId));
  try {
    for await (const piece of decompressed(file.pieces())) {
      signal.throwIfAborted();
      digester.update(piece);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new ArchiveRefused(`entry ${quoted(path)} is damaged: it cannot be unpacked`, { cause: error });
  }
  return digester.digest();
}

async function firstPiece(file: StagedBlob): Promise<Uint8Array> {
  for await (const piece of file.pieces()) return piece;
  return Buffer.alloc(0);
}

async function get(archive: Archive, path: string): Promise<StagedBlob> {
  const file = await archive.find(path);
  if (!file) throw new ArchiveRefused(`entry ${quoted(path)}, which manifest.json names, is missing`);
  return file;
}
