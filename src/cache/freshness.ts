/**
 * Freshness: when the upstream is asked again, and when what is held may stand in for it. Pure rules over times; no I/O.
 */
import type { OciError } from "../oci/errors.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";

/** How long something may be relied on: milliseconds, or Infinity for ever. */
export type AgeMs = number;

/** The rules of one registry. */
export interface FreshnessRules {
  /** How long a tag is trusted before it is revalidated; 0: always revalidate, Infinity: never. */
  tagTtlMs(repository: Repository, tag: Tag): AgeMs;
  /** How old a held answer may be, since its last confirmation, to stand in for an upstream that is away. 0: never. */
  readonly staleIfErrorMs: AgeMs;
  /** The same for an upstream that refuses us (401, 403). */
  readonly whenDeniedMs: AgeMs;
  /** The same for one that says it is gone (404). */
  readonly whenGoneMs: AgeMs;
}

export interface FreshnessOptions {
  rulesOf(host: RegistryHost): FreshnessRules;
  /** Nothing is ever asked again. */
  readonly airGapped: boolean;
  /** `latest` is revalidated on every pull, whatever its time to live. */
  readonly alwaysPullLatest: boolean;
}

export class Freshness {
  #options: FreshnessOptions;

  constructor(options: FreshnessOptions) {
    this.#options = options;
  }

  /** From now on by other rules. */
  reconfigure(options: FreshnessOptions): void {
    this.#options = options;
  }

  get airGapped(): boolean {
    return this.#options.airGapped;
  }

  /** Whether a tag that was confirmed at `checkedAtMs` may be answered without asking. A time in the future counts as long ago. */
  isFresh(repository: Repository, tag: Tag, { checkedAtMs, nowMs }: { checkedAtMs: number; nowMs: number }): boolean {
    if (this.#options.airGapped) return true;
    const ttlMs = this.tagTtlMs(repository, tag);
    const ageMs = nowMs - checkedAtMs;
    return ttlMs === Infinity || (ageMs >= 0 && ageMs < ttlMs);
  }

  tagTtlMs(repository: Repository, tag: Tag): AgeMs {
    if (tag === "latest" && this.#options.alwaysPullLatest) return 0;
    return this.#options.rulesOf(repository.host).tagTtlMs(repository, tag);
  }

  /** The warning with which a held answer goes out though the upstream failed with `error`; undefined when it may not. */
  standIn(repository: Repository, error: OciError, { checkedAtMs, nowMs }: { checkedAtMs: number; nowMs: number }): string | undefined {
    const rules = this.#options.rulesOf(repository.host);
    const ageMs = Math.max(0, nowMs - checkedAtMs);
    if (ageMs > ageMaxMs(rules, error)) return undefined;
    return `${reasonOf(repository.host, error)}; served from cache, last checked ${new Date(checkedAtMs).toISOString()}`;
  }
}

function ageMaxMs(rules: FreshnessRules, error: OciError): number {
  const ageMs = ruleFor(rules, error);
  // An age of 0 means never, even for what was confirmed in this very millisecond.
  return ageMs === 0 ? -1 : ageMs;
}

function ruleFor(rules: FreshnessRules, error: OciError): AgeMs {
  switch (error.code) {
    case "DENIED":
    case "UNAUTHORIZED":
      return rules.whenDeniedMs;
    case "MANIFEST_UNKNOWN":
    case "BLOB_UNKNOWN":
    case "NAME_UNKNOWN":
      return rules.whenGoneMs;
    default:
      return rules.staleIfErrorMs;
  }
}

function reasonOf(host: RegistryHost, error: OciError): string {
  if (error.code === "DENIED" || error.code === "UNAUTHORIZED") return `access refused by ${host}`;
  return error.code.endsWith("_UNKNOWN") ? `gone from ${host}` : `upstream ${host} unavailable`;
}
