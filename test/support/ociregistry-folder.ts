/** The folder of a Go ociregistry, as its documents and a look into one have it. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hexOf } from "../../src/oci/digest.ts";
import type { Manifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { BuiltImage, BuiltIndex } from "./images.ts";

export interface KeptImage {
  readonly image: BuiltImage | BuiltIndex;
  /** As clients wrote it: `docker.io/library/alpine:3`, `docker.io/alpine:latest`. Its images carry the same name with their digest, or (`claimsTag`) this one. */
  readonly imageUrl: string;
  readonly claimsTag?: boolean;
  /** Of an index: which of its images it pulled. */
  readonly pulled?: readonly BuiltImage[];
  /** `2026-03-04T05:06:07`, local */
  readonly created?: string;
}

const types: readonly string[] = [mediaTypes.dockerManifestList, mediaTypes.dockerManifest, mediaTypes.ociIndex, mediaTypes.ociManifest];

/** Writes one; what lies there stays. */
export async function writeOciregistryFolder(folder: string, kept: readonly KeptImage[]): Promise<void> {
  for (const name of ["blobs", "img", "lts"]) await mkdir(join(folder, name), { recursive: true });
  for (const { image, imageUrl, claimsTag = false, pulled = "images" in image ? image.images : [], created } of kept) {
    await writeRecord(folder, image.manifest, { imageUrl, created });
    const path = imageUrl.slice(0, imageUrl.lastIndexOf(":"));
    for (const part of "images" in image ? pulled : [image]) {
      if (part !== image) await writeRecord(folder, part.manifest, { imageUrl: claimsTag ? imageUrl : `${path}@${part.manifest.descriptor.digest}`, created });
      for (const [digest, bytes] of part.blobs) await writeFile(join(folder, "blobs", hexOf(digest)), bytes);
    }
  }
}

async function writeRecord(
  folder: string,
  { bytes, descriptor }: Manifest,
  { imageUrl, created }: { imageUrl: string; created: string | undefined },
): Promise<void> {
  const hex = hexOf(descriptor.digest);
  const json = {
    type: types.indexOf(descriptor.mediaType),
    digest: hex,
    imageUrl,
    bytes: Buffer.from(bytes).toString("base64"),
    "v1.oci.index": {},
    "v1.oci.manifest": {},
    "v2.docker.manifestList": {},
    "v2.docker.manifest": {},
    ...(created === undefined ? {} : { created, pulled: created }),
  };
  await writeFile(join(folder, imageUrl.endsWith(":latest") ? "lts" : "img", hex), JSON.stringify(json));
}
