/**
 * Registry: everything that can be pulled from. The HTTP server serves one, the cache is one in front of another, each
 * upstream is one, "air-gapped" is one that knows nothing, metrics is a wrapper around one.
 */
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { Manifest } from "./manifest.ts";
import type { ByteRange, RangeSpec } from "./ranges.ts";
import type { Reference } from "./reference.ts";
import type { Repository } from "./repository.ts";

/** One pullable thing. Every method throws `OciError` only; each names the codes of its own. */
export interface Registry {
  /** Exact bytes of a manifest. Throws `MANIFEST_UNKNOWN`, `NAME_UNKNOWN`, `DENIED`, or an outage (`isOutage`). */
  getManifest(repository: Repository, reference: Reference, call: Call): Promise<Manifest & Answered>;
  /** What a reference means now. What was answered can be got. Throws as `getManifest`, and `UNSUPPORTED` when it cannot be told without a body. */
  headManifest(repository: Repository, reference: Reference, call: Call): Promise<Descriptor & Answered>;
  /** A blob, whole or in part. Dispose of what you get. Throws `BLOB_UNKNOWN`, `RANGE_INVALID` (with `sizeBytes`), `DENIED`, or an outage. */
  getBlob(repository: Repository, digest: Digest, call: BlobCall): Promise<BlobContent & Answered>;
  /** Whether a blob is there and how large. Moves no body. Throws as `getBlob`. */
  headBlob(repository: Repository, digest: Digest, call: Call): Promise<Descriptor & Answered>;
  /** A page of tags, sorted; `next` is the `last` of the page that follows. Throws `NAME_UNKNOWN`, `DENIED`, or an outage. */
  listTags(repository: Repository, call: TagsCall): Promise<TagsPage & Answered>;
  /** Manifests whose subject is `digest`; an unknown subject has none. Filtered when `artifactType` is given. */
  listReferrers(repository: Repository, digest: Digest, call: ReferrersCall): Promise<Referrers & Answered>;
  /**
   * What `getManifest` would answer without waiting for anything; undefined when it takes more than a look into memory. Never
   * throws. The road that most pulls take: a promise and what it needs would cost more than the answer.
   */
  manifestAtHand?(repository: Repository, reference: Reference): (Manifest & Answered) | undefined;
  /** The same for a whole blob. */
  blobAtHand?(repository: Repository, digest: Digest): BlobAtHand | undefined;
}

/** What is common to every call. */
export interface Call {
  /** Ends the caller's wait; never a fill or a revalidation that others share. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  /** "load", "verify" and "view" do not count as use; "revalidate" lets a "pull" go first. */
  readonly purpose: "pull" | "revalidate" | "load" | "verify" | "view";
  /** False: answer from what is held, and ask nobody. */
  readonly mayFetch: boolean;
  readonly principal?: string;
  /** Endpoints to pass over, after one of them gave wrong bytes or was too slow. */
  readonly avoid?: readonly SourceId[];
  /** Somebody with the right to has asked that freshness be ignored (`Cache-Control: no-cache`). */
  readonly noCache?: boolean;
}

export interface BlobCall extends Call {
  /** Parts of the blob, answered in this order. Absent: the whole. */
  readonly ranges?: readonly RangeSpec[];
}

export interface TagsCall extends Call {
  /** Only tags after this one. */
  readonly last?: string;
  /** At most so many; absent: as many as the answerer likes. */
  readonly limit?: number;
}

export interface ReferrersCall extends Call {
  readonly artifactType?: string;
}

/** Names one endpoint of one registry, for logs and `avoid`: `host` or `host via https://mirror/prefix`. */
export type SourceId = string;

/** What is common to every answer. */
export interface Answered {
  /** From here; from upstream and now held; from here though upstream could not confirm it; from upstream without being kept. */
  readonly outcome: "hit" | "miss" | "stale" | "passed";
  /** Texts for `Warning: 299 - "..."`, without the quotes. */
  readonly warnings: readonly string[];
  readonly source?: SourceId;
  /** Set by upstreams: true when anybody could have had these bytes, so that they may be shared between registries. */
  readonly isPublic?: boolean;
}

/** A whole blob in memory: the same object for as long as it is the same answer. */
export interface BlobAtHand extends Answered {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

export interface TagsPage {
  readonly tags: readonly string[];
  readonly next?: string;
}

export interface Referrers {
  readonly manifests: readonly Descriptor[];
}

/**
 * A blob that can be read, whether it lies on disk, is arriving, or comes over the network. Dispose of it: it holds a file, a
 * place among a fill's readers, or a connection.
 */
export interface BlobContent extends AsyncDisposable {
  readonly descriptor: Descriptor;
  /** "full": the whole blob (asked without ranges, or ranges could not be honoured). "partial": just `ranges`. */
  readonly kind: "full" | "partial";
  /** For "partial", in the order asked; else empty. */
  readonly ranges: readonly ByteRange[];
  /**
   * Copies bytes that lie at `positionBytes` of the blob into `target`, as many as are there and fit; waits while there are
   * none yet. Resolves to 0 only at the end of the blob. Positions are asked in ascending order within each range; a position
   * ahead of the last is allowed: what lies between is skipped. One read at a time.
   * Rejects with `OciError` when the bytes cannot be had or were wrong: destroy what you sent them to, never end it.
   */
  read(target: Uint8Array, positionBytes: number): Promise<number>;
}
