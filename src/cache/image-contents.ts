/** readContents: what an image is made of, and what of it is here. Runs in the thread that walks the store. */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { manifestBytesMax } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Repository } from "../oci/repository.ts";
import type { HeldPart, ImageContents } from "./held-image.ts";
import { findDashedDigest, type Layout } from "./layout.ts";
import { tryReadContent } from "./repository-images.ts";
import { parseManifestRecord } from "./repository-records.ts";
import type { StoreReader } from "./store-reader.ts";

/** What names more is no image. */
const partsMax = 100_000;
const recordBytesMax = 64 * 1024;

export interface ContentsOptions {
  readonly layout: Layout;
  readonly reader: StoreReader;
  readonly repository: Repository;
  readonly digest: Digest;
}

/** A manifest that is yet to be looked at. */
interface Due {
  readonly descriptor: Descriptor;
  readonly role: "root" | "child" | "referrer";
  readonly parent: Digest | undefined;
}

export function readContents({ layout, reader, repository, digest }: ContentsOptions): ImageContents {
  const manifests = new Map<Digest, HeldPart>();
  const blobs = new Map<Digest, HeldPart>();
  const due: Due[] = [{ descriptor: { digest, mediaType: mediaTypes.octetStream, sizeBytes: undefined }, role: "root", parent: undefined }];
  // It grows while it is walked through.
  for (const { descriptor, role, parent } of due) {
    if (manifests.has(descriptor.digest) || manifests.size + blobs.size >= partsMax) continue;
    const held = readManifest(descriptor.digest);
    const named = held && tryReadContent(held.bytes);
    manifests.set(descriptor.digest, {
      digest: descriptor.digest,
      sizeBytes: held?.bytes.byteLength ?? descriptor.sizeBytes,
      mediaType: held?.mediaType ?? descriptor.mediaType,
      ...(descriptor.platform ? { platform: descriptor.platform } : {}),
      isHeld: held !== undefined,
      role,
      parent,
    });
    for (const child of named?.manifests ?? []) due.push({ descriptor: child, role: "child", parent: descriptor.digest });
    for (const referrer of held ? referrersOf(descriptor.digest) : []) due.push({ descriptor: referrer, role: "referrer", parent: descriptor.digest });
    const config = named?.config;
    for (const blob of named?.blobs ?? []) {
      if (!blobs.has(blob.digest)) blobs.set(blob.digest, blobPart(blob, blob === config ? "config" : "layer", descriptor.digest));
    }
  }
  return { manifests: [...manifests.values()], blobs: [...blobs.values()] };

  /** Whole: the repository's record, and bytes of the size that it gives. */
  function readManifest(manifest: Digest): { readonly bytes: Buffer; readonly mediaType: string } | undefined {
    const read = reader.file(layout.manifest(repository, manifest), recordBytesMax);
    const record = read && parseManifestRecord(read.bytes);
    const bytes = record && reader.file(layout.blob(manifest), manifestBytesMax)?.bytes;
    return bytes?.byteLength === record?.sizeBytes && bytes && record ? { bytes, mediaType: record.mediaType } : undefined;
  }

  function referrersOf(subject: Digest): readonly Descriptor[] {
    const digests = reader.names(layout.referrers(repository, subject)).flatMap((name) => findDashedDigest(name) ?? []);
    const held = digests.filter((referrer) => reader.stat(layout.manifest(repository, referrer)) !== undefined);
    return held.map((referrer) => ({ digest: referrer, mediaType: mediaTypes.ociManifest, sizeBytes: undefined }));
  }

  function blobPart({ digest: blob, sizeBytes, mediaType, isForeign }: Descriptor, role: "config" | "layer", parent: Digest): HeldPart {
    const file = reader.stat(layout.blob(blob));
    const isWhole = file !== undefined && (sizeBytes === undefined || file.size === sizeBytes);
    return {
      digest: blob,
      sizeBytes: isWhole ? file.size : sizeBytes,
      mediaType,
      ...(isForeign === true ? { isForeign } : {}),
      isHeld: isWhole && isCovered(blob),
      role,
      parent,
    };
  }

  /** As `Provenance.covers`. */
  function isCovered(blob: Digest): boolean {
    return [layout.delivery(repository.host, blob), layout.publicMark(blob)].some((path) => reader.stat(path) !== undefined);
  }
}
