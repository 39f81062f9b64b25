/** summarize: what an operator wants to know of an image's parts at a glance. */
import { isElsewhere } from "../oci/descriptor.ts";
import { imageNames, pulledAt, type HeldImage, type HeldPart, type ImageContents } from "../cache/held-image.ts";
import type { Digest } from "../oci/digest.ts";

export interface ImageSummary {
  readonly image: HeldImage;
  /** What it is called, by each of its tags. */
  readonly names: readonly string[];
  /** The last pull since it came, in milliseconds since 1970; undefined: nobody has pulled it. */
  readonly pulledAtMs: number | undefined;
  /** Of what is held of it, each part once. */
  readonly sizeBytes: number;
  /** Of `sizeBytes`, what no other image needs: what its removal would free. Undefined where nobody asked. */
  readonly ownBytes: number | undefined;
  /** Parts that are missing of manifests of which others are here. A platform that nobody pulled is not missing. */
  readonly missingCount: number;
  /** A client can pull it whole from here, for one platform at least, and whatever is begun is whole. */
  readonly isComplete: boolean;
  readonly manifests: readonly HeldPart[];
}

/** `isShared` says of a part whether another image needs it, too. */
export function summarize(image: HeldImage, { manifests, blobs }: ImageContents, isShared?: (digest: Digest) => boolean): ImageSummary {
  const held = [...manifests, ...blobs].filter((part) => part.isHeld);
  const lacks = new Map<Digest | undefined, { held: number; missing: number }>();
  for (const blob of blobs) {
    if (isElsewhere(blob)) continue;
    const count = lacks.get(blob.parent) ?? { held: 0, missing: 0 };
    if (blob.isHeld) count.held += 1;
    else count.missing += 1;
    lacks.set(blob.parent, count);
  }
  const begun = [...lacks.values()].filter(({ held: here, missing }) => here > 0 && missing > 0);
  const root = manifests.find(({ role }) => role === "root");
  // One whose blobs are another's as well is told of with that one, and lacks none here.
  const whole = manifests.filter(
    ({ isHeld, role, digest }) => isHeld && role !== "referrer" && isProgram(image, digest) && (lacks.get(digest)?.missing ?? 0) === 0,
  );
  const missingCount = begun.reduce((sum, { missing }) => sum + missing, root?.isHeld === true ? 0 : 1);
  return {
    image,
    names: imageNames(image),
    pulledAtMs: pulledAt(image),
    sizeBytes: sumOf(held),
    ownBytes: isShared && sumOf(held.filter(({ digest }) => !isShared(digest))),
    missingCount,
    isComplete: missingCount === 0 && whole.length > 0,
    manifests,
  };
}

/** An index is not what runs. */
function isProgram(image: HeldImage, digest: Digest): boolean {
  return image.kind === "image" || digest !== image.digest;
}

function sumOf(parts: readonly HeldPart[]): number {
  return parts.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
}
