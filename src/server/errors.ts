/** Errors on the way out: which status and which code of the API an `OciError` becomes. Nowhere else is this decided. */
import { OciError, type OciErrorCode } from "../oci/errors.ts";
import { jsonAnswer, type Answer } from "./answer.ts";

interface WireError {
  readonly status: number;
  readonly code: string;
}

/**
 * OCI distribution-spec 1.1 "Error Codes" where it has one. 429 is never sent: containerd repeats it at once and containers/image
 * sleeps on it, while 503 sends both to the next mirror.
 */
const wireErrors = {
  BLOB_UNKNOWN: { status: 404, code: "BLOB_UNKNOWN" },
  MANIFEST_UNKNOWN: { status: 404, code: "MANIFEST_UNKNOWN" },
  NAME_UNKNOWN: { status: 404, code: "NAME_UNKNOWN" },
  NAME_INVALID: { status: 400, code: "NAME_INVALID" },
  DIGEST_INVALID: { status: 400, code: "DIGEST_INVALID" },
  MANIFEST_INVALID: { status: 400, code: "MANIFEST_INVALID" },
  TAG_INVALID: { status: 400, code: "TAG_INVALID" },
  UNAUTHORIZED: { status: 401, code: "UNAUTHORIZED" },
  DENIED: { status: 403, code: "DENIED" },
  UNSUPPORTED: { status: 405, code: "UNSUPPORTED" },
  RANGE_INVALID: { status: 416, code: "RANGE_INVALID" },
  REQUEST_INVALID: { status: 400, code: "REQUEST_INVALID" },
  UPSTREAM_UNAVAILABLE: { status: 502, code: "UNAVAILABLE" },
  UPSTREAM_TIMEOUT: { status: 504, code: "UNAVAILABLE" },
  UPSTREAM_THROTTLED: { status: 503, code: "TOOMANYREQUESTS" },
  OVERLOADED: { status: 503, code: "TOOMANYREQUESTS" },
} as const satisfies Record<OciErrorCode, WireError>;

const retryAfterSecondsMax = 30;

/** The answer to a failure that has a name. */
export function errorAnswer(error: OciError): Answer {
  const { status, code } = wireErrorOf(error);
  return jsonAnswer(status, { errors: [{ code, message: error.message }] }, { headers: errorHeaders(error, status) });
}

/** The answer to a failure of ours: it tells nothing of what went wrong; the log does. */
export function bugAnswer(requestId: string): Answer {
  return jsonAnswer(500, { errors: [{ code: "UNKNOWN", message: `an error of this server; its log says more about request ${requestId}` }] });
}

function wireErrorOf(error: OciError): WireError {
  // A client that pulls has sent no manifest: an invalid one is what an upstream answered.
  if (error.code === "MANIFEST_INVALID" && error.source === "upstream") return { status: 502, code: "MANIFEST_INVALID" };
  return wireErrors[error.code];
}

function errorHeaders(error: OciError, status: number): readonly string[] {
  if (error.code === "UNSUPPORTED") return ["Allow", "GET, HEAD"];
  if (error.code === "RANGE_INVALID") return ["Content-Range", `bytes */${error.sizeBytes ?? "*"}`];
  const waits = error.retryAfterMs !== undefined || status === 503;
  if (!waits) return [];
  const seconds = Math.ceil((error.retryAfterMs ?? 1_000) / 1_000);
  return ["Retry-After", String(Math.min(Math.max(seconds, 1), retryAfterSecondsMax))];
}
