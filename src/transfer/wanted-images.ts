/** findWanted: which of the held images are to be carried: those of a name, and those that were in use. */
import type { HeldImages } from "../cache/held-images.ts";
import { repositoryName } from "../oci/repository.ts";
import { isReferrersTag } from "../oci/tag.ts";
import type { WantedImage } from "./image-gathering.ts";

export interface WantedOptions {
  readonly images: HeldImages;
  /** Which, by `host/path:tag` or `host/path@digest`; undefined: all. */
  readonly matches: ((name: string) => boolean) | undefined;
  /** Only what was used at this time or later, in milliseconds since 1970. */
  readonly usedAfterMs: number;
  readonly signal: AbortSignal;
}

/** Of an image with several tags, those that match. Throws the signal's reason, and the disk's errors. */
export async function findWanted({ images, matches, usedAfterMs, signal }: WantedOptions): Promise<readonly WantedImage[]> {
  const wanted: WantedImage[] = [];
  for await (const { repository, digest, usedAtMs, tags } of images.walk({ pattern: matches, isStrict: true, signal })) {
    if (usedAtMs < usedAfterMs) continue;
    const names = tags.map(({ tag }) => tag);
    // A list of referrers goes with what they refer to.
    if (names.length > 0 && names.every(isReferrersTag)) continue;
    const matching = matches ? names.filter((tag) => matches(`${repositoryName(repository)}:${tag}`)) : names;
    wanted.push({ repository, reference: { kind: "digest", digest }, tags: matching });
  }
  return wanted;
}
