/** Doublestar patterns of a configuration: `*` within a segment, `**` across them, with the one meaning that policies give them. */
import { parseGlob } from "../oci/glob.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";

/** Whether a name matches `pattern`, whole. Throws an Error for what is no pattern: `checkPattern` has said so before. */
export function compilePattern(pattern: string): (name: string) => boolean {
  const glob = parseGlob(pattern);
  return (name) => glob.matches(name);
}

/** Why the pattern at `path` cannot be used; nothing when it can. */
export function checkPattern(pattern: string, path: KeyPath): readonly Finding[] {
  try {
    parseGlob(pattern);
    return [];
  } catch (error) {
    return [{ path, message: `${formatKeyPath(path)}: ${error instanceof Error ? error.message : String(error)}` }];
  }
}

/** Longest pattern first: where several match, it is the one that counts. */
export function byLength(one: string, other: string): number {
  return other.length - one.length;
}
