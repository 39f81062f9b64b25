/** The two read-only views beside `Registry`: what is held, and how things stand. For the catalog, probes, pages and metrics. */
import type { Repository } from "./repository.ts";
import type { RegistryHost } from "./repository.ts";

/** What the store holds. */
export interface Holdings {
  /** Repositories with at least one manifest held, sorted by `host/path`, those after `last`, at most `limit`. */
  listRepositories(page: { readonly last?: string; readonly limit: number }): Promise<{ readonly repositories: readonly Repository[]; readonly next?: string }>;
}

/** How one upstream registry stands. */
export interface UpstreamStatus {
  readonly host: RegistryHost;
  /** "ready": answers, or has not been asked yet. "failing": its breaker is open. "throttled": it asked us to wait. */
  readonly state: "ready" | "failing" | "throttled";
  /** Why, when it is not ready: one line without secrets. */
  readonly reason?: string;
  /** When it will be tried again, in milliseconds from now. */
  readonly retryInMs?: number;
  /** When it last stopped answering, in milliseconds since 1970, and why; absent: it always has. */
  readonly lastFailure?: { readonly atMs: number; readonly reason: string };
  /** How its credential stands, where one has to be fetched. */
  readonly credential?: {
    readonly state: "none" | "fetching" | "held" | "refreshing" | "failing";
    /** When the one that is held ends, in milliseconds since 1970. */
    readonly expiresAtMs?: number | undefined;
    /** Why the last fetch failed: one line without secrets. */
    readonly reason?: string | undefined;
  };
  /** Absent: it has not said that it limits. */
  readonly quota?: UpstreamQuota;
}

/** What a registry says is left of what it grants us. */
export interface UpstreamQuota {
  readonly remaining: number;
  readonly limit: number | undefined;
  /** Over how long it counts. */
  readonly windowMs: number | undefined;
  /** When it said so, in milliseconds since 1970. */
  readonly toldAtMs: number;
}

/** How many blobs wait to be fetched, are being fetched, and have all their bytes and are being put in their place; and who reads them as they arrive. */
export interface FillCounts {
  readonly waiting: number;
  readonly running: number;
  readonly publishing: number;
  readonly readers: number;
}

/** How the parts stand right now. Cheap: reads memory only. */
export interface Status {
  upstreams(): readonly UpstreamStatus[];
  fills(): FillCounts;
  store(): { readonly writable: boolean; readonly reason?: string };
}
