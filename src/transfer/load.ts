/**
 * loadImages: brings the images of a list here, some at a time. Each stands for itself: one that fails is told and costs the others
 * nothing; one that is here already costs one HEAD.
 */
import { Deposits } from "../cache/deposits.ts";
import type { Digest } from "../oci/digest.ts";
import type { OciError } from "../oci/errors.ts";
import { referenceName } from "../oci/reference.ts";
import { repositoryName } from "../oci/repository.ts";
import { loadImage } from "./image-load.ts";
import type { ImageLoadOptions, LoadParts, LoadTally } from "./load-context.ts";
import type { ListedReference } from "./listed-reference.ts";
import { Slots } from "./slots.ts";

export type { LoadParts, LoadTally };

/** What loading takes, out of what a command or the server has opened. */
export function loadPartsOf({ registry, upstream, store, clock }: Omit<LoadParts, "deposits">): LoadParts {
  return { registry, upstream, store, clock, deposits: new Deposits({ store, clock }) };
}

export interface LoadOptions extends Pick<ImageLoadOptions, "platforms" | "referrers" | "dryRun" | "signal"> {
  /** Images at once. */
  readonly jobs: number;
  readonly onStart?: (listed: ListedReference) => void;
  /** Called often: for what is shown while it goes on. */
  readonly onProgress?: (listed: ListedReference, tally: LoadTally) => void;
  readonly onRetry?: (listed: ListedReference, retry: { readonly error: OciError; readonly delayMs: number }) => void;
  readonly onEnd?: (loaded: LoadedImage) => void;
}

/** What became of one image of the list. */
export interface LoadedImage extends LoadTally {
  readonly listed: ListedReference;
  /** `host/path:tag` or `host/path@digest`. */
  readonly name: string;
  /** "loaded": something was missing and is here now. "held": nothing was. "missing": in a dry run, something is. */
  readonly verdict: "loaded" | "held" | "missing" | "failed";
  /** What the reference means; undefined when that could not be told. */
  readonly digest: Digest | undefined;
  readonly notes: readonly string[];
  /** Why it failed. */
  readonly error: unknown;
  readonly tookMs: number;
}

/** Downloads at once, for all images: what a registry serves unless `fillsMax` says otherwise; what is more waits its turn there. */
const blobsAtOnce = 16;
export const jobsMax = 64;

/** In the order of the list. Never throws for what happens to an image; after an abort those that are left have failed with its reason. */
export async function loadImages(references: readonly ListedReference[], parts: LoadParts, options: LoadOptions): Promise<readonly LoadedImage[]> {
  const common = { slots: new Slots(blobsAtOnce), fetched: new Set<string>() };
  const loaded: LoadedImage[] = [];
  const waiting = references.entries();
  const work = async (): Promise<void> => {
    for (const [index, listed] of waiting) {
      const image = await loadOne(listed, parts, { ...options, ...common });
      loaded[index] = image;
      options.onEnd?.(image);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, jobsMax, references.length) }, work));
  return loaded;
}

async function loadOne(listed: ListedReference, parts: LoadParts, options: LoadOptions & Pick<ImageLoadOptions, "slots" | "fetched">): Promise<LoadedImage> {
  const { repository, reference } = listed;
  const { platforms, referrers, dryRun, signal, slots, fetched, onProgress, onRetry } = options;
  const startedAtMs = parts.clock.elapsed();
  const common = { listed, name: `${repositoryName(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}` };
  let tally: LoadTally = { manifests: 0, blobs: 0, sizeBytes: 0, hereBytes: 0, fetchedBlobs: 0, fetchedBytes: 0 };
  const tookMs = (): number => Math.round(parts.clock.elapsed() - startedAtMs);
  try {
    signal.throwIfAborted();
    options.onStart?.(listed);
    const { wasHeld, ...image } = await loadImage(repository, reference, parts, {
      platforms,
      referrers,
      dryRun,
      signal,
      slots,
      fetched,
      onProgress(soFar) {
        tally = soFar;
        onProgress?.(listed, soFar);
      },
      onRetry: (retry) => onRetry?.(listed, retry),
    });
    return { ...common, ...image, verdict: wasHeld ? "held" : dryRun ? "missing" : "loaded", error: undefined, tookMs: tookMs() };
  } catch (error) {
    return { ...common, ...tally, verdict: "failed", digest: undefined, notes: [], error, tookMs: tookMs() };
  }
}
