/**
 * RequestRecord: what one answered request amounted to. The server writes one for each request when its last byte has gone;
 * the request line and the metrics read it. Vocabulary, so that neither has to know the other.
 */
import type { Answered } from "./registry.ts";
import type { Repository } from "./repository.ts";

/** What was asked for. "probe" is health and metrics; "page" is what browsers show; "other" is everything that is no part of the API. */
export type RequestKind = "ping" | "manifest" | "blob" | "tags" | "referrers" | "catalog" | "probe" | "page" | "other";

export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  readonly kind: RequestKind;
  /** Undefined when the request names none, or one that is refused by its grammar. */
  readonly repository: Repository | undefined;
  /** A tag or digest, as it was understood. */
  readonly reference: string | undefined;
  /** The status sent; 499 when the client left before there was one. */
  readonly status: number;
  /** Bytes of the body that were handed to the connection. */
  readonly sentBytes: number;
  readonly durationMs: number;
  readonly outcome: Answered["outcome"] | undefined;
  /** The client's address without its port. */
  readonly client: string;
  readonly principal: string | undefined;
}
