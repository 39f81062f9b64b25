/** Reading a file that a configuration names. */
import { readFile } from "node:fs/promises";
import { ConfigError } from "./config-error.ts";

const namedFileBytesMax = 1_048_576;

/** The file's text. Throws `ConfigError` that begins with `key` when it cannot be read, or is too long. */
export async function readNamedFile(key: string, path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new ConfigError([`${key}: cannot read ${path}: ${reasonOf(error)}`], { cause: error });
  });
  if (text.length > namedFileBytesMax) throw new ConfigError([`${key}: ${path} holds ${text.length} characters: at most ${namedFileBytesMax}`]);
  return text;
}

/** Why a file could not be read, in words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error && "code" in error)) return String(error);
  if (error.code === "ENOENT") return "no such file";
  if (error.code === "EACCES") return "permission denied";
  if (error.code === "EISDIR") return "it is a folder";
  return String(error.code);
}
