/** The names in a folder; none when it is not there. Throws the system's error for anything else. */
import { opendir, readdir } from "node:fs/promises";
import { isErrno } from "../oci/errno.ts";

export async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** Whether there is any name in a folder: the first tells, however many follow. Throws as `listFolder`. */
export async function hasEntries(folder: string): Promise<boolean> {
  try {
    await using entries = await opendir(folder, { bufferSize: 1 });
    return (await entries.read()) !== null;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
