/** PruneConfig: when images are removed, which, and down to what size, as the program wants to be told. */
import type { ParsedConfig } from "./schema.ts";

export interface PruneConfig {
  /** Whether images are pruned by age or name while serving. */
  readonly enabled: boolean;
  readonly by: "accessed" | "created" | "pattern";
  /** The age from which images go; Infinity: none is that old. */
  readonly olderThanMs: number;
  /** Regular expressions in Go's syntax, with commas between; undefined: none. */
  readonly expr: string | undefined;
  /** Infinity: any number. */
  readonly countMax: number;
  /** Every Infinity is never. */
  readonly rhythm: { readonly kind: "cron"; readonly expression: string; readonly timezone: string } | { readonly kind: "every"; readonly everyMs: number };
  readonly dryRun: boolean;
  /** Undefined: as large as the disk. */
  readonly maxSizeBytes: number | undefined;
  /** Above 0, at most 1. */
  readonly lowWater: number;
  readonly keep: readonly KeepConfig[];
  readonly timezone: string;
}

/** A pattern alone keeps what matches, `lastTags` so many tags of every repository; together, so many of those that match. */
export interface KeepConfig {
  readonly pattern: string | undefined;
  readonly lastTags: number | undefined;
}

export function pruneConfigOf(parsed: ParsedConfig["pruneConfig"]): PruneConfig {
  const { schedule, timezone, frequency, count } = parsed;
  return {
    enabled: parsed.enabled,
    by: parsed.type,
    olderThanMs: parsed.duration,
    expr: parsed.expr,
    countMax: count === -1 ? Infinity : count,
    rhythm: schedule === undefined ? { kind: "every", everyMs: frequency } : { kind: "cron", expression: schedule, timezone },
    // Either spelling: what was only to be rehearsed must never be done.
    dryRun: parsed.dryRun || parsed.dryrun === true,
    maxSizeBytes: parsed.maxSize,
    lowWater: parsed.lowWater,
    keep: parsed.keep.flatMap(({ pattern, lastTags }) => (pattern === undefined && lastTags === undefined ? [] : [{ pattern, lastTags }])),
    timezone,
  };
}
