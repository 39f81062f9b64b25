/** Which of several patterns that match a name counts. */
import type { Glob } from "../oci/glob.ts";

/** Sorts the longest first, in bytes; of equals the one with fewer wildcards; else by their letters. */
export function byPrecedence({ pattern: one }: Glob, { pattern: other }: Glob): number {
  const byLength = Buffer.byteLength(other) - Buffer.byteLength(one);
  if (byLength !== 0) return byLength;
  const byWildcards = wildcards(one) - wildcards(other);
  if (byWildcards !== 0) return byWildcards;
  return one < other ? -1 : 1;
}

function wildcards(pattern: string): number {
  return pattern.replaceAll(/[^*?[\]{}]/g, "").length;
}
