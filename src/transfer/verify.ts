/**
 * Verify: whether what is held is right and whole. `verifyStore` hashes every blob and looks through every image; `verifyListed` answers
 * whether the images of a list would start with no network. Nobody is asked for anything unless it shall be repaired.
 */
import { HeldImages, type HeldImage } from "../cache/held-images.ts";
import { folders } from "../cache/layout.ts";
import { StoredHoldings } from "../cache/stored-holdings.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { Platform } from "../oci/platform.ts";
import { findHeldGaps } from "./held-gaps.ts";
import type { ImageGap } from "./image-gap.ts";
import { walkImage } from "./image-walk.ts";
import { inOrder } from "./in-order.ts";
import type { ListedReference } from "./listed-reference.ts";
import { findListedGaps } from "./listed-gaps.ts";
import { withContents } from "./listing.ts";
import { verifyBlobs } from "./verify-blobs.ts";
import { VerifyRun, type VerifyOptions, type VerifySummary } from "./verify-run.ts";

export type { Repaired, VerifyFinding, VerifyProgress, VerifySummary } from "./verify-run.ts";

export interface VerifyStoreOptions extends VerifyOptions {
  /** Of every image, and all of them must be here; undefined: whatever is here. */
  readonly platforms: readonly Platform[] | undefined;
  /** Infinity: as fast as it goes. */
  readonly bytesPerSecond: number;
  readonly jobs: number;
  /** No registry can be asked, now or later: what lacks stays lacking. */
  readonly isAirGapped: boolean;
}

export interface VerifyListedOptions extends VerifyOptions {
  readonly platforms: readonly Platform[] | "all";
}

/** Damaged blobs of one run whose repositories are looked for; what is beyond heals when it is pulled. */
const ownersMax = 10_000;
/** Images of a list that are looked at together. */
const imagesAtOnce = 4;

/** Images first, which takes minutes; then every byte. Rejects with the signal's reason. */
export async function verifyStore(options: VerifyStoreOptions): Promise<VerifySummary> {
  const run = new VerifyRun(options);
  const { store, clock, platforms, isAirGapped, signal } = options;
  const images = new HeldImages({ store, clock });
  const wanted = { store, platforms, isStrict: isAirGapped };
  // What of these cannot be read is found when they are hashed.
  const blobs = `${store.layout.root}/${folders.blobs}/`;
  const lookAgain = async (image: HeldImage): Promise<readonly ImageGap[]> =>
    findHeldGaps({ image, contents: await images.contents(image, { signal }) }, wanted);
  for await (const looked of withContents(images.walk({ signal, onUnread: (unread) => unread.path.startsWith(blobs) || run.tellUnread(unread) }), {
    images,
    signal,
  })) {
    const gaps = await findHeldGaps(looked, wanted);
    run.tellImage(await run.repairGaps(gaps, () => lookAgain(looked.image)));
  }
  const spoilt: Digest[] = [];
  await verifyBlobs({
    ...options,
    onUnread: (unread) => run.tellUnread(unread),
    onChecked: (sizeBytes) => run.countBlob(sizeBytes),
    onFinding(finding) {
      run.tellBlob(finding);
      if (spoilt.length < ownersMax) spoilt.push(finding.digest);
    },
  });
  if (spoilt.length > 0) await run.repairBlobs(spoilt, new StoredHoldings({ store, clock }));
  return run.summary({ gapsCount: isAirGapped || platforms !== undefined || options.repairs });
}

/** One image after the other, in the order of the list. Rejects with the signal's reason. */
export async function verifyListed(references: readonly ListedReference[], options: VerifyListedOptions): Promise<VerifySummary> {
  const run = new VerifyRun(options);
  const gapsOf = (listed: ListedReference): Promise<readonly ImageGap[]> => findListedGaps(listed, options);
  for await (const { item: listed, result: gaps } of inOrder(references, { atOnce: imagesAtOnce, run: gapsOf })) {
    run.tellImage(
      await run.repairGaps(
        gaps,
        () => gapsOf(listed),
        () => fetchManifests(listed, options),
      ),
    );
  }
  return run.summary({ gapsCount: true });
}

/** Gets the manifests of an image of which nothing, or not all, is here. Why that failed, in one line. */
async function fetchManifests({ repository, reference }: ListedReference, { registry, platforms, signal }: VerifyListedOptions): Promise<string | undefined> {
  try {
    for await (const _ of walkImage(registry, repository, reference, { platforms, referrers: true, signal, purpose: "verify" })) signal.throwIfAborted();
    return undefined;
  } catch (error) {
    if (error instanceof OciError && !signal.aborted) return error.message;
    throw error;
  }
}
