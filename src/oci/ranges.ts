/** Byte ranges: what is asked for, and what that means in content of a known size. RFC 9110 14.1.2. */
import { OciError } from "./errors.ts";

/** As asked: from `startBytes` to the end, to `endBytes` (inclusive), or the last `suffixBytes`. */
export type RangeSpec = { readonly startBytes: number; readonly endBytes?: number } | { readonly suffixBytes: number };

/** As it lies in the content: `endBytes` is inclusive and inside. */
export interface ByteRange {
  readonly startBytes: number;
  readonly endBytes: number;
}

/**
 * Places each range in content of `sizeBytes`, in the order asked, ends cut to the size; ranges that do not exist are dropped.
 * Throws `RANGE_INVALID` with `sizeBytes` when none exists, or one is reversed. Empty content knows no ranges: returns undefined,
 * which means "answer it whole".
 */
export function resolveRanges(specs: readonly RangeSpec[], sizeBytes: number): readonly ByteRange[] | undefined {
  if (sizeBytes === 0) return undefined;
  const ranges = specs.flatMap((spec) => resolveRange(spec, sizeBytes) ?? []);
  if (ranges.length > 0) return ranges;
  throw new OciError("RANGE_INVALID", `no byte of the range asked for exists: the content has ${sizeBytes} bytes`, { sizeBytes });
}

/** How many bytes a range spans. */
export function lengthOf(range: ByteRange): number {
  return range.endBytes - range.startBytes + 1;
}

function resolveRange(spec: RangeSpec, sizeBytes: number): ByteRange | undefined {
  if ("suffixBytes" in spec) {
    if (spec.suffixBytes === 0) return undefined;
    return { startBytes: Math.max(0, sizeBytes - spec.suffixBytes), endBytes: sizeBytes - 1 };
  }
  const { startBytes, endBytes } = spec;
  if (startBytes >= sizeBytes) return undefined;
  if (endBytes !== undefined && endBytes < startBytes) throw new OciError("RANGE_INVALID", `a reversed range: ${startBytes}-${endBytes}`, { sizeBytes });
  return { startBytes, endBytes: Math.min(endBytes ?? sizeBytes - 1, sizeBytes - 1) };
}
