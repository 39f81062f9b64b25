/** Conditional requests by ETag. A content's ETag is its digest: strong, and the same wherever it is served. RFC 9110 13. */
import type { Digest } from "../oci/digest.ts";

const etagsMax = 64;

/** True when `If-None-Match` names exactly this digest, quoted or not. `*` is not a digest: mirrors must never answer 304 unasked. */
export function namesDigest(ifNoneMatch: string | undefined, digest: Digest): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(",", etagsMax).some((etag) => bareEtag(etag) === digest);
}

/** True when ranges may be honoured: there is no `If-Range`, or it names this digest, and not weakly: parts of what is merely alike do not fit. */
export function rangesApply(ifRange: string | undefined, digest: Digest): boolean {
  return ifRange === undefined || (!isWeak(ifRange) && bareEtag(ifRange) === digest);
}

function isWeak(written: string): boolean {
  return written.trimStart().startsWith("W/");
}

function bareEtag(written: string): string {
  const etag = written.trim().replace(/^W\//, "");
  return etag.startsWith('"') && etag.endsWith('"') ? etag.slice(1, -1) : etag;
}
