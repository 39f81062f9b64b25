/** Activity: who has asked for what lately, and what was decided about it, as administrators look at it. In memory, of this process, since its start. */
import type { Sees } from "./browsing.ts";
import type { Repository } from "./repository.ts";
import type { Tag } from "./tag.ts";

export interface Activity {
  latest(query: ActivityQuery): ActivityFound;
  /** Who last pulled a tag, as far as that is still known; undefined also for somebody without a name. */
  lastPuller(repository: Repository, tag: Tag): string | undefined;
}

export interface ActivityQuery {
  /** Each must be part of a name, an address or what was asked for. In lower case. */
  readonly words: readonly string[];
  readonly sees: Sees | undefined;
  readonly limit: number;
}

export interface ActivityFound {
  /** The latest first. */
  readonly entries: readonly ActivityEntry[];
  /** How many match of those that are still known. */
  readonly total: number;
}

/** Requests that are alike, within some minutes. Times are in milliseconds since 1970. */
export interface ActivityEntry {
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  readonly count: number;
  /** Undefined: somebody without a name. */
  readonly user: string | undefined;
  /** How the user was known. */
  readonly by: string | undefined;
  /** The client's address without its port. */
  readonly client: string;
  /** As in `AccessRecord`. */
  readonly action: string;
  readonly repository: Repository | undefined;
  /** Some of those that were asked for. */
  readonly tags: readonly Tag[];
  readonly isAllowed: boolean;
  readonly rule: string;
  readonly reason: string | undefined;
}
