/** readImageView: one image as people look at it: what it is made of, what it says of itself, what refers to it. Runs in the thread that browses the store. */
import type { ImageView, LayerView, ReferrerView } from "../oci/browsing.ts";
import type { Digest } from "../oci/digest.ts";
import { manifestBytesMax, type ManifestContent } from "../oci/manifest.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { pulledAt, type HeldPart } from "./held-image.ts";
import { readContents } from "./image-contents.ts";
import { RepositoryImages, tryReadContent } from "./repository-images.ts";
import { configOf, heldBytesOf, partsShownMax, platformsOf, type HeldPlaces } from "./shown-parts.ts";

export interface ImageViewOptions extends HeldPlaces {
  readonly repository: Repository;
  readonly nowMs: number;
}

/** What a page shows of a manifest. */
const jsonCharsMax = 128 * 1024;

/** Undefined: it is not held. */
export function readImageView(options: ImageViewOptions, reference: Reference): ImageView | undefined {
  const { layout, reader, repository } = options;
  const [image] = new RepositoryImages(options).named([reference]);
  const bytes = image && reader.file(layout.blob(image.digest), manifestBytesMax)?.bytes;
  const content = bytes && tryReadContent(bytes);
  if (!image || !content) return undefined;
  const { digest, mediaType, heldSinceMs, pinned, tags } = image;
  const contents = readContents({ layout, reader, repository, digest });
  const parts = new Map(contents.blobs.map((part) => [part.digest, part]));
  return {
    digest,
    mediaType,
    kind: content.kind,
    heldSinceMs,
    pulledAtMs: pulledAt(image),
    checkedAtMs: tags[0]?.record.checkedAtMs,
    isPinned: pinned !== undefined,
    artifactType: content.artifactType,
    subject: content.subject?.digest,
    annotations: content.annotations ?? {},
    platforms: platformsOf(contents, digest, content),
    config: configOf(content.config, parts, options),
    configDescriptor: content.config,
    layers: layersOf(content, parts),
    referrers: contents.manifests
      .filter(({ role, parent }) => role === "referrer" && parent === digest)
      .slice(0, partsShownMax)
      .map((part) => referrerOf(part, options)),
    ...heldBytesOf(contents),
    json: jsonOf(bytes),
  };
}

function layersOf(content: ManifestContent, parts: ReadonlyMap<Digest, HeldPart>): readonly LayerView[] {
  const layers = content.config ? content.blobs.slice(1) : content.blobs;
  return layers.slice(0, partsShownMax).map(({ digest, mediaType, sizeBytes }) => ({
    digest,
    mediaType,
    sizeBytes: parts.get(digest)?.sizeBytes ?? sizeBytes,
    isHeld: parts.get(digest)?.isHeld ?? false,
  }));
}

function referrerOf({ digest, sizeBytes }: HeldPart, { layout, reader }: ImageViewOptions): ReferrerView {
  const bytes = reader.file(layout.blob(digest), manifestBytesMax)?.bytes;
  const content = bytes && tryReadContent(bytes);
  return { digest, sizeBytes, artifactType: content?.artifactType, annotations: content?.annotations ?? {} };
}

function jsonOf(bytes: Buffer): ImageView["json"] {
  const text = bytes.toString("utf8");
  return { text: text.slice(0, jsonCharsMax), isWhole: text.length <= jsonCharsMax };
}
