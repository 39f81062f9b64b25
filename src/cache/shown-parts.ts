/**
 * Shown parts: what lists and pages of images say alike of what an image is made of: its platforms, its config, and how much of it is here. Runs in
 * the thread that browses the store.
 */
import type { HeldBytes, PlatformView } from "../oci/browsing.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { readImageConfig, type ImageConfig } from "../oci/image-config.ts";
import type { ManifestContent } from "../oci/manifest.ts";
import { platformName } from "../oci/platform.ts";
import type { HeldPart, ImageContents } from "./held-image.ts";
import type { Layout } from "./layout.ts";
import type { StoreReader } from "./store-reader.ts";

/** Where what is held is read. */
export interface HeldPlaces {
  readonly layout: Layout;
  readonly reader: StoreReader;
}

/** Larger configs are no configs. */
const configBytesMax = 1024 * 1024;
/** Of layers, children, referrers: a page is for people. */
export const partsShownMax = 1_000;

/** The children of an index, in its order. */
export function platformsOf({ manifests }: ImageContents, index: Digest, content?: ManifestContent): readonly PlatformView[] {
  const described = new Map(content?.manifests.map((child) => [child.digest, child]));
  return manifests
    .filter(({ role, parent }) => role === "child" && parent === index)
    .slice(0, partsShownMax)
    .map(({ digest, platform, isHeld }) => ({
      digest,
      name: platform && platformName(platform),
      artifactType: described.get(digest)?.artifactType ?? described.get(digest)?.annotations?.["vnd.docker.reference.type"],
      isHeld,
    }));
}

/** The platform of an image that is no index, where its config is here and says; none of an index. */
export function ownPlatformOf({ manifests, blobs }: ImageContents, digest: Digest, places: HeldPlaces): readonly PlatformView[] {
  const config = blobs.find(({ role, parent }) => role === "config" && parent === digest);
  const name = config && configOf(config, new Map([[config.digest, config]]), places)?.platform;
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

/** What an image's config says; undefined where it is not here, or cannot be read. */
export function configOf(
  config: Pick<Descriptor, "digest"> | undefined,
  parts: ReadonlyMap<Digest, HeldPart>,
  { layout, reader }: HeldPlaces,
): ImageConfig | undefined {
  // What this registry has not delivered is not shown, though it may lie here for another.
  if (!config || parts.get(config.digest)?.isHeld !== true) return undefined;
  const bytes = reader.file(layout.blob(config.digest), configBytesMax)?.bytes;
  return bytes && readImageConfig(bytes);
}
