/** LoadContext: an image on its way here: what it takes, how it is asked for, and what has come of it so far. */
import type { CachingRegistry } from "../cache/caching-registry.ts";
import type { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { Clock } from "../oci/clock.ts";
import type { Platform } from "../oci/platform.ts";
import type { Call, Registry } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import type { BroughtBlobs } from "./brought-blobs.ts";
import type { RetryOptions } from "./retries.ts";
import type { Slots } from "./slots.ts";

/** What it takes to load images. */
export interface LoadParts {
  /** The cache that serves, or one like it on the same store. */
  readonly registry: CachingRegistry;
  /** Whom it asks. */
  readonly upstream: Registry;
  readonly store: Store;
  readonly deposits: Deposits;
  readonly clock: Clock;
}

export interface ImageLoadOptions {
  readonly platforms: readonly Platform[] | "all";
  /** Signatures and bills of material too. */
  readonly referrers: boolean;
  /** True: nothing is fetched but manifests, and nothing is written. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** Blobs that arrive at once, of all images together. */
  readonly slots: Slots;
  /** What any image of this load has fetched, `host@digest`: images that wait for one download count it once. */
  readonly fetched: Set<string>;
  readonly onProgress?: (tally: LoadTally) => void;
  readonly onRetry?: RetryOptions["onRetry"];
}

/** What has come of an image so far. */
export interface LoadTally {
  manifests: number;
  blobs: number;
  /** Of the blobs that it needs, as far as they are known. */
  sizeBytes: number;
  /** Of these, what is here. */
  hereBytes: number;
  /** What had to be fetched, or would have to be. */
  fetchedBlobs: number;
  fetchedBytes: number;
}

export interface LoadContext {
  readonly repository: Repository;
  readonly parts: LoadParts & { readonly brought: BroughtBlobs };
  readonly options: ImageLoadOptions;
  /** Its signal ends with the image: at the first failure too. */
  readonly call: Call;
  readonly tally: LoadTally;
  /** What is left out and is no failure. */
  readonly notes: string[];
  /** Again, where it may help. */
  readonly attempt: <T>(ask: () => Promise<T>) => Promise<T>;
}
