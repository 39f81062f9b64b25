/** PruneRules: what may be removed, and what is kept whatever happens. Patterns come compiled: who reads a configuration knows their syntax. */
import type { RegistryHost, Repository } from "../../oci/repository.ts";
import type { Tag } from "../../oci/tag.ts";

export interface PruneRules {
  /** Of which names (`host/path:tag`, or `host/path@digest` of what has no tag); absent: any. */
  readonly matches?: (name: string) => boolean;
  /** Only what came before this, in milliseconds since 1970. */
  readonly heldBeforeMs?: number;
  /** Only what was last used before this, in milliseconds since 1970; what nobody has used counts from when it came. */
  readonly usedBeforeMs?: number;
  /** So many images at most, the least recently used first; absent: any number. */
  readonly countMax?: number;
  readonly keep: KeepRules;
}

/** What stays. A pin is no rule: what is pinned stays in any case, and so does what refers to an image that stays. */
export interface KeepRules {
  /** Whether a pattern keeps this name of a repository; without a tag, what has none. */
  isKept(repository: Repository, tag: Tag | undefined): boolean;
  /** How many of a repository's tags stay: those of the images that came last. */
  lastTags(repository: Repository): number;
}

/** How large the store may become. Allocated blocks count, those of temporary files too. */
export interface SizeLimits {
  /** Of everything; absent: as large as the disk. */
  readonly totalBytes?: number;
  /** Of what images of one registry need; what two share counts for both. */
  readonly byHost: ReadonlyMap<RegistryHost, number>;
  /** Down to what part of a limit is evicted: above 0, at most 1. */
  readonly lowWater: number;
}

/** Keeps nothing but what is pinned. */
export const keepNothing: KeepRules = { isKept: () => false, lastTags: () => 0 };
