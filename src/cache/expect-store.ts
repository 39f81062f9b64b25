/** expectStore: for who only works on what is held: a mistyped folder is told, and not made. */
import { readdir } from "node:fs/promises";
import { isErrno } from "../oci/errno.ts";
import { isStorageFailure } from "./atomic-write.ts";
import { folders, versionFile } from "./layout.ts";

/**
 * Throws an `Error` in plain words when nothing is at `root`, or nothing of ours. An empty folder is a store of which nothing is held
 * yet. One that cannot be read is left to whoever opens it.
 */
export async function expectStore(root: string): Promise<void> {
  const names = await namesIn(root);
  if (names === "unreadable" || names?.length === 0) return;
  if (!names || ![versionFile, folders.blobs, folders.upstreams].some((name) => names.includes(name))) throw new Error(`there is no store at ${root}`);
}

async function namesIn(root: string): Promise<readonly string[] | "unreadable" | undefined> {
  try {
    return await readdir(root);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    if (isStorageFailure(error)) return "unreadable";
    throw error;
  }
}
