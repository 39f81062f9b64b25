/** takeReceipt: what this store holds, for the side that sends bundles; what it lists may be held for a while, so that it is still here when they come. */
import { imageNames } from "../cache/held-image.ts";
import type { HeldImages } from "../cache/held-images.ts";
import type { Pins } from "../cache/pins.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import type { Repository } from "../oci/repository.ts";
import { isReferrersTag } from "../oci/tag.ts";
import type { Receipt } from "./receipt.ts";

export interface StoreReceiptOptions {
  readonly images: HeldImages;
  readonly pins: Pins;
  readonly clock: Clock;
  /** Pin every image that is listed for so long; undefined: pin nothing. */
  readonly holdMs?: number | undefined;
  /** Say nothing but digests: where names must not leave the site. */
  readonly digestsOnly: boolean;
  readonly signal: AbortSignal;
}

export interface StoreReceipt {
  readonly receipt: Receipt;
  readonly imageCount: number;
  readonly digestCount: number;
}

const holdReason = "a receipt says that it is held";

/** Throws the signal's reason, and the system's error where a pin cannot be written, or something cannot be read: what is held is said whole, or not at all. */
export async function takeReceipt({ images, pins, clock, holdMs, digestsOnly, signal }: StoreReceiptOptions): Promise<StoreReceipt> {
  const untilMs = holdMs === undefined ? undefined : clock.now() + holdMs;
  const digests = new Set<Digest>();
  const named: { name: string; digest: Digest }[] = [];
  for await (const image of images.walk({ isStrict: true, signal })) {
    // Pinned before it is looked at: what is listed does not go meanwhile.
    if (untilMs !== undefined) await hold(pins, image.repository, image.digest, untilMs);
    const { manifests, blobs } = await images.contents(image, { isStrict: true, signal });
    for (const { digest, isHeld } of [...manifests, ...blobs]) if (isHeld) digests.add(digest);
    // A list of referrers is no image of its own.
    const tags = image.tags.filter(({ tag }) => !isReferrersTag(tag));
    if (image.tags.length > 0 && tags.length === 0) continue;
    for (const name of imageNames({ ...image, tags })) named.push({ name, digest: image.digest });
  }
  named.sort((one, other) => (one.name < other.name ? -1 : 1));
  const receipt = { links: [{ digests: [...digests].sort() }], ...(digestsOnly ? {} : { images: named }) };
  return { receipt, imageCount: named.length, digestCount: digests.size };
}

/** A pin that lasts longer stays. */
async function hold(pins: Pins, repository: Repository, digest: Digest, untilMs: number): Promise<void> {
  const known = (await pins.list(repository)).find(({ reference }) => reference.kind === "digest" && reference.digest === digest);
  if (known && (known.untilMs === undefined || known.untilMs >= untilMs)) return;
  await pins.put(repository, { kind: "digest", digest }, { untilMs, reason: holdReason });
}
