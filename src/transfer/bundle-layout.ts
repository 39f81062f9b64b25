/**
 * The entries of a bundle, and what makes it an OCI image layout at the same time, so that other tools read it: `oci-layout`,
 * `index.json`, `blobs/<algorithm>/<hex>`. OCI image-spec "Image Layout Specification".
 */
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, hexOf, type Digest } from "../oci/digest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";

/** Ours come first; others pass over them. */
export const bundleEntries = {
  manifest: "ociregistry-bundle.json",
  signature: "ociregistry-bundle.json.sig",
  layout: "oci-layout",
  index: "index.json",
} as const;

/** An image as the layout lists it; one without tags is listed by its digest. */
export interface ListedImage {
  readonly repository: Repository;
  readonly tags: readonly Tag[];
  readonly descriptor: Descriptor & { readonly sizeBytes: number };
}

/** True there means: blobs that images need are left out, because the other side has them. */
const sparseAnnotation = "org.ociregistry.bundle.sparse";

export function blobEntry(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

export function layoutFile(): Buffer {
  return Buffer.from(`${JSON.stringify({ imageLayoutVersion: "1.0.0" })}\n`);
}

/**
 * The layout's index: a descriptor for each name. containerd goes by `io.containerd.image.name`, others by `ref.name`, which is the
 * whole reference too: of two repositories both may have a tag `1.0`.
 */
export function indexFile(images: readonly ListedImage[], { isSparse }: { readonly isSparse: boolean }): Buffer {
  const manifests = images.flatMap(({ repository, tags, descriptor: { mediaType, digest, sizeBytes } }) => {
    const name = repositoryName(repository);
    const references = tags.length === 0 ? [`${name}@${digest}`] : tags.map((tag) => `${name}:${tag}`);
    return references.map((reference) => ({
      mediaType,
      digest,
      size: sizeBytes,
      annotations: { "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference },
    }));
  });
  const annotations = isSparse ? { annotations: { [sparseAnnotation]: "true" } } : {};
  return Buffer.from(`${JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests, ...annotations })}\n`);
}
