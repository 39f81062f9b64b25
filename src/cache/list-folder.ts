/** The names in a folder; none when it is not there. Throws the system's error for anything else. */
import { readdir } from "node:fs/promises";
import { isErrno } from "./atomic-write.ts";

export async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
