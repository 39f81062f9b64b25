/**
 * The one error that crosses layers. Its code says what happened in the field's words; which HTTP status that becomes is the
 * server's affair, which upstream answer it came from is upstream's.
 */

/** Codes of OCI distribution-spec 1.1 "Error Codes" that a pull can meet, and, from `RANGE_INVALID` on, our own. */
export type OciErrorCode =
  | "BLOB_UNKNOWN"
  | "MANIFEST_UNKNOWN"
  | "NAME_UNKNOWN"
  | "NAME_INVALID"
  | "DIGEST_INVALID"
  | "MANIFEST_INVALID"
  | "TAG_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  /** The range asked for does not exist in the blob; `sizeBytes` is the blob's size when known. */
  | "RANGE_INVALID"
  /** The request cannot be understood for another reason than its names. */
  | "REQUEST_INVALID"
  /** An upstream could not be reached, or what it answered cannot be used. */
  | "UPSTREAM_UNAVAILABLE"
  /** An upstream did not answer in time. */
  | "UPSTREAM_TIMEOUT"
  /** An upstream asked us to slow down (429); `retryAfterMs` says for how long. */
  | "UPSTREAM_THROTTLED"
  /** We have more to do than we take on; `retryAfterMs` says when to come back. */
  | "OVERLOADED";

export interface OciErrorOptions {
  readonly cause?: unknown;
  readonly source?: "upstream" | "local";
  readonly retryAfterMs?: number;
  readonly sizeBytes?: number;
}

/** A failure with a name. The message says what, which and why, in lower case, and holds no secret and no URL query. */
export class OciError extends Error {
  readonly code: OciErrorCode;
  /** Who said so: "upstream" answered it, or we decided it here ("local"). A local one is never remembered as upstream's word. */
  readonly source: "upstream" | "local";
  readonly retryAfterMs: number | undefined;
  readonly sizeBytes: number | undefined;

  constructor(code: OciErrorCode, message: string, { cause, source = "local", retryAfterMs, sizeBytes }: OciErrorOptions = {}) {
    super(message, { cause });
    this.name = "OciError";
    this.code = code;
    this.source = source;
    this.retryAfterMs = retryAfterMs;
    this.sizeBytes = sizeBytes;
  }
}

/** True for "there is no such thing", whoever said so. */
export function isUnknown(error: unknown): error is OciError {
  return error instanceof OciError && (error.code === "MANIFEST_UNKNOWN" || error.code === "BLOB_UNKNOWN" || error.code === "NAME_UNKNOWN");
}

/** True for the failures of an upstream that is away, ill or overrun: what a held answer may stand in for. */
export function isOutage(error: unknown): error is OciError {
  return (
    error instanceof OciError &&
    (error.code === "UPSTREAM_UNAVAILABLE" || error.code === "UPSTREAM_TIMEOUT" || error.code === "UPSTREAM_THROTTLED" || error.code === "OVERLOADED")
  );
}
