/** What lies under `tmp/`: parts of downloads, running, left and taken over, and what is brought by commands. */
import { stat } from "node:fs/promises";
import { isErrno } from "../../oci/errno.ts";
import { listFolder } from "../list-folder.ts";
import { allocatedBytes } from "../store-changes.ts";

/** Allocated bytes of all files in the folders of processes, but for those that `isKnown`. */
export async function temporaryBytes(tmp: string, isKnown: (path: string) => boolean): Promise<number> {
  let sum = 0;
  for (const folder of await listFolder(tmp)) {
    for (const name of await listFolder(`${tmp}/${folder}`)) {
      const path = `${tmp}/${folder}/${name}`;
      if (!isKnown(path)) sum += await allocatedAt(path);
    }
  }
  return sum;
}

async function allocatedAt(path: string): Promise<number> {
  try {
    return allocatedBytes(await stat(path));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return 0; // It has just got its name, or is gone.
    throw error;
  }
}
