/**
 * Cross-origin: which pages of other sites may read what is answered here, by the words of the Fetch standard ("CORS protocol"). It opens
 * answers to be read, and nothing to be changed: what a foreign page asks for in somebody's name is refused where it always was.
 */

export interface CrossOriginOptions {
  /** Origins as browsers write them; "any": every page, and none of them in somebody's name. */
  readonly origins: readonly string[] | "any";
  /** Whether browsers may show the cookies that somebody has here. Never to "any". */
  readonly withCredentials: boolean;
}

interface Asking {
  readonly method: string;
  /** `Origin`: absent where no page of another site asks. */
  readonly origin: string | undefined;
  /** What is allowed at this address, as the answer to an OPTIONS has it. */
  readonly allowed: string | undefined;
}

/** What clients of the API send beside what every page may. */
const requestHeaders = "Authorization, Cache-Control, Content-Type, If-None-Match, Range, X-Registry, X-Request-Id, X-ZOT-API-CLIENT";
/** What they read beside what every page may. */
const answerHeaders = "Content-Range, Docker-Content-Digest, ETag, Link, OCI-Filters-Applied, Retry-After, Warning, WWW-Authenticate, X-Request-Id";
/** Chromium remembers no preflight for longer. */
const preflightSeconds = 7_200;

/** Headers for an answer. An origin that is not listed gets none that opens anything: its browser keeps the answer from the page. */
export function crossOriginHeaders({ origins, withCredentials }: CrossOriginOptions, { method, origin, allowed }: Asking): readonly string[] {
  const varies = origins === "any" ? [] : ["Vary", "Origin"];
  const isAllowed = origin !== undefined && (origins === "any" || origins.includes(origin));
  if (!isAllowed) return varies;
  return [
    ...varies,
    "Access-Control-Allow-Origin",
    origins === "any" ? "*" : origin,
    ...(withCredentials && origins !== "any" ? ["Access-Control-Allow-Credentials", "true"] : []),
    ...(method === "OPTIONS" ? preflight(allowed) : ["Access-Control-Expose-Headers", answerHeaders]),
  ];
}

function preflight(allowed: string | undefined): readonly string[] {
  const methods = allowed === undefined ? [] : ["Access-Control-Allow-Methods", allowed];
  return [...methods, "Access-Control-Allow-Headers", requestHeaders, "Access-Control-Max-Age", String(preflightSeconds)];
}
