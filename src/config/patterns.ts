/** Doublestar patterns: `*` within a segment, `**` across them. */
import { Minimatch } from "minimatch";

/** Patterns that one with braces may stand for: each of them is tried on every pull. */
const braceExpandMax = 256;

/** Whether a name matches `pattern`, whole. Never throws. */
export function compilePattern(pattern: string): (name: string) => boolean {
  const compiled = new Minimatch(pattern, { dot: true, nocomment: true, nonegate: true, braceExpandMax });
  return (name) => compiled.match(name);
}

/** Longest pattern first: where several match, it is the one that counts. */
export function byLength(one: string, other: string): number {
  return other.length - one.length;
}
