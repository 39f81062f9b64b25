/**
 * compileGoPatterns: regular expressions in Go's syntax (RE2), unanchored, several with commas between: what `--pattern` and `expr` take.
 * They run in linear time, whatever somebody writes.
 */
import { RE2JS, RE2JSException } from "re2js";
import { ConfigError } from "./config-error.ts";

/** Whether any of the patterns is found in a name. Throws `ConfigError`, misuse, for one that is none; `what` says where it was written. */
export function compileGoPatterns(written: string, { what = "--pattern" }: { readonly what?: string } = {}): (name: string) => boolean {
  const patterns = written
    .split(",")
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "")
    .map((pattern) => compile(pattern, what));
  return (name) => patterns.some((pattern) => pattern.matcher(name).find());
}

function compile(pattern: string, what: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw new ConfigError([`${what}: "${pattern}" is no regular expression of Go's: ${error.message}`], { cause: error, isMisuse: true });
  }
}
