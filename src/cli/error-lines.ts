/** Errors as people read them on a terminal: lines that say what is wrong, no stack. */
import { ConfigError } from "../config/config-error.ts";

/** What the system's words mean to who reads them on a terminal. */
const systemWords: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EACCES: "permission denied",
  EPERM: "not permitted",
  ENOTDIR: "a part of this path is no folder",
  EISDIR: "this is a folder",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left",
  ELOOP: "links in a circle",
  EIO: "the disk does not give it",
};

/** One line for each thing that went wrong, without secrets. */
export function errorLines(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems;
  const system = systemText(error);
  if (system !== undefined) return [system];
  const message = error instanceof Error ? error.message : String(error);
  return [message.replaceAll(/\s*\n\s*/g, " ")];
}

/** The path first, and the system's own word at the end, for who searches for it. */
function systemText(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error && "path" in error && "syscall" in error)) return undefined;
  const { code, path } = error;
  const words = typeof code === "string" ? systemWords[code] : undefined;
  return words === undefined || typeof path !== "string" ? undefined : `${path}: ${words} (${String(code)})`;
}

/** True when the command line is to blame. */
export function isMisuse(error: unknown): boolean {
  return error instanceof ConfigError && error.isMisuse;
}
