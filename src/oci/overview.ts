/** Overview: how things stand, as people look at it. */
import type { Digest } from "./digest.ts";
import type { RegistryHost, Repository } from "./repository.ts";
import type { UpstreamStatus } from "./views.ts";

/** How things stand. Reads memory, but for `disk`. */
export interface Overview {
  served(): ServedFigures;
  downloads(): readonly DownloadView[];
  upstreams(): readonly UpstreamStatus[];
  store(): { readonly writable: boolean; readonly reason?: string };
  /** Undefined until they have been counted. */
  totals(): { readonly manifests: number; readonly blobs: number; readonly manifestBytes: number; readonly blobBytes: number } | undefined;
  /** `host` undefined: of everything. */
  budgets(): readonly { readonly host: RegistryHost | undefined; readonly takenBytes: number; readonly limitBytes: number }[];
  /** Of the disk that the store lies on; undefined where it does not say. */
  disk(): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | undefined>;
}

/** Since the program started. */
export interface ServedFigures {
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  /** Manifests answered from what is held, and those for which an upstream was asked. */
  readonly heldPulls: number;
  readonly upstreamPulls: number;
  /** Bytes sent out of what is held, and bytes sent as they arrived. */
  readonly heldBytes: number;
  readonly upstreamBytes: number;
}

/** A blob on its way here. */
export interface DownloadView {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly state: "waiting" | "arriving" | "publishing";
  readonly receivedBytes: number;
  readonly sizeBytes: number | undefined;
  readonly readers: number;
  readonly runningMs: number;
}
