/** Doublestar patterns of a configuration: `*` within a segment, `**` across them, with the one meaning that policies give them. */
import { parseGlob } from "../oci/glob.ts";
import { ConfigError } from "./config-error.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";

/** Whether a name matches `pattern`, whole. Throws `ConfigError` for what is no pattern. */
export function compilePattern(pattern: string): (name: string) => boolean {
  try {
    const glob = parseGlob(pattern);
    return (name) => glob.matches(name);
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)], { cause: error });
  }
}

/** Why the pattern at `path` cannot be used; nothing when it can. */
export function checkPattern(pattern: string, path: KeyPath): readonly Finding[] {
  try {
    compilePattern(pattern);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [{ path, message: `${formatKeyPath(path)}: ${error.message}` }];
  }
}

/** Longest pattern first: where several match, it is the one that counts. */
export function byLength(one: string, other: string): number {
  return other.length - one.length;
}
