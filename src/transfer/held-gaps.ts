/**
 * findHeldGaps: whether an image that is held is whole, platform by platform. A cache is lazy: a platform that nobody pulled is no
 * gap, nor is a manifest that somebody only looked at; one of whose blobs some are here and some are not is.
 */
import { isElsewhere } from "../oci/descriptor.ts";
import { imageNames, type HeldImage, type HeldPart, type ImageContents } from "../cache/held-images.ts";
import type { Store } from "../cache/store.ts";
import type { Digest } from "../oci/digest.ts";
import { readManifestContent } from "../oci/manifest.ts";
import { isPlatform, platformName, type Platform } from "../oci/platform.ts";
import type { ImageGap, MissingPart } from "./image-gap.ts";

export interface HeldGapsOptions {
  readonly store: Store;
  /** Only these, and they must be here whole, pulled or not; undefined: whatever is here. */
  readonly platforms: readonly Platform[] | undefined;
  /** Nobody can be asked for what lacks: a manifest without any of its blobs is a gap too. */
  readonly isStrict: boolean;
}

/** The gaps of one image; none: what is here of it can be pulled. */
export async function findHeldGaps(
  { image, contents }: { readonly image: HeldImage; readonly contents: ImageContents },
  { store, platforms, isStrict }: HeldGapsOptions,
): Promise<readonly ImageGap[]> {
  const [name = ""] = imageNames(image);
  const gapOf = (part: HeldPart, missing: readonly MissingPart[]): ImageGap => ({
    image: name,
    repository: image.repository,
    platform: part.platform && platformName(part.platform),
    missing,
  });
  const absent = contents.manifests.filter((part) => !part.isHeld && isWanted(part, platforms)).map((part) => gapOf(part, [missingManifest(part)]));
  if (contents.blobs.every(({ isHeld }) => isHeld)) return absent;
  const gaps: ImageGap[] = [...absent];
  for (const part of contents.manifests) {
    if (!part.isHeld || (platforms && part.platform && !platforms.some((platform) => isPlatform(part.platform ?? platform, platform)))) continue;
    const { missing, heldCount } = await blobsOf(part.digest, contents, store);
    const isUntouched = heldCount === 0 && !isStrict && !platforms;
    if (missing.length > 0 && !isUntouched) gaps.push(gapOf(part, missing));
  }
  return gaps;
}

/** A root has to be here. Of what an index names, only what was asked for has; a referrer that is not here is not known of. */
function isWanted({ role, platform }: HeldPart, platforms: readonly Platform[] | undefined): boolean {
  if (role === "root") return true;
  return role === "child" && platform !== undefined && platforms?.some((wanted) => isPlatform(platform, wanted)) === true;
}

function missingManifest({ digest, sizeBytes, role }: HeldPart): MissingPart {
  return { what: role === "referrer" ? "referrer" : "manifest", digest, sizeBytes };
}

/** The manifest is read once more: of a blob that several manifests name, the contents tell one. */
async function blobsOf(
  manifest: Digest,
  { blobs }: ImageContents,
  store: Store,
): Promise<{ readonly missing: readonly MissingPart[]; readonly heldCount: number }> {
  const bytes = await store.blobs.readBytes(manifest);
  if (!bytes) return { missing: [], heldCount: 0 };
  const held = new Map(blobs.map((part) => [part.digest, part.isHeld]));
  const [config, ...layers] = readManifestContent(bytes).blobs;
  const missing: MissingPart[] = [];
  let heldCount = 0;
  for (const descriptor of config ? [config, ...layers] : []) {
    if (isElsewhere(descriptor)) continue;
    if (held.get(descriptor.digest) === true) heldCount += 1;
    else missing.push({ what: descriptor === config ? "config" : "layer", digest: descriptor.digest, sizeBytes: descriptor.sizeBytes });
  }
  return { missing, heldCount };
}
