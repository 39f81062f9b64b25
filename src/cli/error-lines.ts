/** Errors as people read them on a terminal: lines that say what is wrong, no stack. */
import { ConfigError } from "../config/config-error.ts";

/** One line for each thing that went wrong, without secrets. */
export function errorLines(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems;
  const message = error instanceof Error ? error.message : String(error);
  return [message.replaceAll(/\s*\n\s*/g, " ")];
}

/** True when the command line is to blame. */
export function isMisuse(error: unknown): boolean {
  return error instanceof ConfigError && error.isMisuse;
}
