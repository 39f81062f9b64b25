/**
 * Quirks: what a fake server does otherwise than a good one would, for the requests that a matcher picks. One object can hold
 * several; of all rules that match a request, later ones win key by key.
 */
import type { Throttle } from "./sending.ts";

/** Which requests a rule is for. Every key given must agree; an empty matcher means every request. */
export interface RequestMatcher {
  readonly method?: string;
  readonly kind?: RequestKind;
  readonly repository?: string;
  /** A substring of the URL, or a pattern for it. */
  readonly path?: string | RegExp;
  /** Only requests with, or only those without, a Range header. */
  readonly ranged?: boolean;
  /** Let so many matching requests pass first. */
  readonly skip?: number;
  /** Then apply to so many. Absent: to all that follow. */
  readonly times?: number;
}

export type RequestKind = "ping" | "manifest" | "blob" | "tags" | "referrers" | "catalog" | "token" | "other";

/** Everything a fake server can be made to do wrong. */
export interface Quirk {
  /** Answer with this status and `body`, whatever is there. */
  readonly status?: number;
  /** Set on the answer last; undefined removes one (`"docker-content-digest": undefined`). Names are lower case. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The body of `status`, or in place of the right one. */
  readonly body?: string | Uint8Array;
  /** Take the request and never answer; or answer headers and no body. */
  readonly silent?: "before headers" | "after headers";
  /** Close the connection without a byte of answer. */
  readonly drop?: boolean;
  /** Answer only when this promise is done; a function is asked anew for each request. */
  readonly hold?: Promise<unknown> | (() => Promise<unknown>);
  /** Stop in the body after so many bytes until the promise is done. */
  readonly holdBody?: { readonly atBytes: number; readonly until: Promise<unknown> };
  /** Redirect there. "cdn": to the signed URL of this blob or manifest at the fake's own CDN. */
  readonly redirectTo?: string;
  readonly redirectStatus?: number;
  /** No Content-Length: the body goes chunked, and HEAD does not tell its size. */
  readonly chunked?: boolean;
  /** Compress the body and say so, asked or not. */
  readonly gzip?: boolean;
  /** The right length, one byte changed; at this position of the whole content, else in the middle. */
  readonly wrongBytes?: boolean | { readonly atBytes: number };
  /** Cut the connection after so many body bytes of this answer; a function is asked anew for each. */
  readonly cutAfterBytes?: number | (() => number);
  /** Pace of the body: of each answer by itself, or of all that share one `Throttle`. */
  readonly bytesPerSecond?: number | Throttle;
  /** Repeat the body for ever, chunked. */
  readonly endless?: boolean;
  /**
   * Range requests: "ignored" (200, whole), "wrong-start" (206 that begins elsewhere), "short" (206 with half of what was asked), "no-content-range",
   * "unsatisfiable" (416).
   */
  readonly ranges?: "ignored" | "wrong-start" | "short" | "no-content-range" | "unsatisfiable";
  /** How tags/list pages: `last` names the next page, or an opaque `next_page`; a missing size means one page. */
  readonly tags?: {
    readonly pageSize?: number;
    readonly paging?: "last" | "opaque";
    /** Put among the tags as they are: null, digests, numbers. */
    readonly extraEntries?: readonly unknown[];
    /** `"tags": null` for a repository without any. */
    readonly nullWhenEmpty?: boolean;
  };
  /**
   * The referrers API: "missing" (404), "redirect" (303 to a page), "html" (200, a page), "not-an-index" (200, other JSON). The fallback tag is a tag like
   * any other.
   */
  readonly referrers?: "missing" | "redirect" | "html" | "not-an-index";
  /** The tag `sha256-<hex>` is the manifest of that digest itself, as GitLab has it. */
  readonly subjectAtFallbackTag?: boolean;
}

/** What of a request a matcher looks at. */
export interface MatchableRequest {
  readonly method: string;
  readonly url: string;
  readonly kind: RequestKind;
  readonly repository: string | undefined;
  readonly range: string | undefined;
}

/** The rules of one fake server, in the order they were added. */
export class QuirkRules {
  readonly #rules: { readonly matcher: RequestMatcher; readonly quirk: Quirk; seen: number }[] = [];

  /** Adds a rule; the result takes it away again. */
  add(matcher: RequestMatcher, quirk: Quirk): () => void {
    const rule = { matcher, quirk, seen: 0 };
    this.#rules.push(rule);
    return () => {
      const at = this.#rules.indexOf(rule);
      if (at >= 0) this.#rules.splice(at, 1);
    };
  }

  clear(): void {
    this.#rules.length = 0;
  }

  /** What to do with `request`. Counts it for rules with `skip` or `times`. */
  take(request: MatchableRequest): Quirk {
    let quirk: Quirk = {};
    for (const rule of this.#rules) {
      if (!matches(rule.matcher, request)) continue;
      const { skip = 0, times = Infinity } = rule.matcher;
      const seen = rule.seen++;
      if (seen >= skip && seen < skip + times) quirk = { ...quirk, ...rule.quirk };
    }
    return quirk;
  }
}

function matches(matcher: RequestMatcher, request: MatchableRequest): boolean {
  if (matcher.method !== undefined && matcher.method !== request.method) return false;
  if (matcher.kind !== undefined && matcher.kind !== request.kind) return false;
  if (matcher.repository !== undefined && matcher.repository !== request.repository) return false;
  if (matcher.ranged !== undefined && matcher.ranged !== (request.range !== undefined)) return false;
  if (typeof matcher.path === "string") return request.url.includes(matcher.path);
  return matcher.path === undefined || matcher.path.test(request.url);
}
