/** readImageView: one image as people look at it: what it is made of, what it says of itself, what refers to it. Runs in the thread that browses the store. */
import type { HeldBytes, ImageView, LayerView, PlatformView, ReferrerView } from "../oci/browsing.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { readImageConfig, type ImageConfig } from "../oci/image-config.ts";
import { manifestBytesMax, type ManifestContent } from "../oci/manifest.ts";
import { platformName } from "../oci/platform.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { pulledAt, type HeldPart, type ImageContents } from "./held-image.ts";
import { readContents } from "./image-contents.ts";
import type { Layout } from "./layout.ts";
import { RepositoryImages, tryReadContent } from "./repository-images.ts";
import type { StoreReader } from "./store-reader.ts";

export interface ImageViewOptions {
  readonly layout: Layout;
  readonly reader: StoreReader;
  readonly repository: Repository;
  readonly nowMs: number;
}

/** Larger configs are no configs. */
const configBytesMax = 1024 * 1024;
/** What a page shows of a manifest. */
const jsonCharsMax = 128 * 1024;
/** Of layers, children, referrers: a page is for people. */
const partsMax = 1_000;

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
      .slice(0, partsMax)
      .map((part) => referrerOf(part, options)),
    ...heldBytesOf(contents),
    json: jsonOf(bytes),
  };
}

/** The children of an index, in its order. */
export function platformsOf({ manifests }: ImageContents, index: Digest, content?: ManifestContent): readonly PlatformView[] {
  const described = new Map(content?.manifests.map((child) => [child.digest, child]));
  return manifests
    .filter(({ role, parent }) => role === "child" && parent === index)
    .slice(0, partsMax)
    .map(({ digest, platform, isHeld }) => ({
      digest,
      name: platform && platformName(platform),
      artifactType: described.get(digest)?.artifactType ?? described.get(digest)?.annotations?.["vnd.docker.reference.type"],
      isHeld,
    }));
}

/** The platform of an image that is no index, where its config is here and says; none of an index. */
export function ownPlatformOf({ manifests, blobs }: ImageContents, digest: Digest, options: ImageViewOptions): readonly PlatformView[] {
  const config = blobs.find(({ role, parent }) => role === "config" && parent === digest);
  const name = config && configOf(config, new Map([[config.digest, config]]), options)?.platform;
  return name === undefined ? [] : [{ digest, name, artifactType: undefined, isHeld: manifests[0]?.isHeld ?? false }];
}

/** Of everything that the image is made of, as far as the manifests that are here say; what refers to it is no part of it. */
export function heldBytesOf({ manifests, blobs }: ImageContents): HeldBytes {
  const others = new Set<Digest | undefined>();
  // Parents come before their children.
  for (const { role, digest, parent } of manifests) if (role === "referrer" || others.has(parent)) others.add(digest);
  let sizeBytes = 0;
  let heldBytes = 0;
  for (const part of [...manifests.filter(({ digest }) => !others.has(digest)), ...blobs.filter(({ parent }) => !others.has(parent))]) {
    sizeBytes += part.sizeBytes ?? 0;
    if (part.isHeld) heldBytes += part.sizeBytes ?? 0;
  }
  return { sizeBytes, heldBytes };
}

function layersOf(content: ManifestContent, parts: ReadonlyMap<Digest, HeldPart>): readonly LayerView[] {
  const layers = content.config ? content.blobs.slice(1) : content.blobs;
  return layers.slice(0, partsMax).map(({ digest, mediaType, sizeBytes }) => ({
    digest,
    mediaType,
    sizeBytes: parts.get(digest)?.sizeBytes ?? sizeBytes,
    isHeld: parts.get(digest)?.isHeld ?? false,
  }));
}

function configOf(
  config: Pick<Descriptor, "digest"> | undefined,
  parts: ReadonlyMap<Digest, HeldPart>,
  { layout, reader }: ImageViewOptions,
): ImageConfig | undefined {
  // What this registry has not delivered is not shown, though it may lie here for another.
  if (!config || parts.get(config.digest)?.isHeld !== true) return undefined;
  const bytes = reader.file(layout.blob(config.digest), configBytesMax)?.bytes;
  return bytes && readImageConfig(bytes);
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
