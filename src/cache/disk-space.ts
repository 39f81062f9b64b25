/** findDiskSpace: how much the disk under the store holds, and has left. */
import { statfs } from "node:fs/promises";
import { isStorageFailure } from "./atomic-write.ts";

/** Undefined where the system does not say. `freeBytes` is what we may take; root may take more. */
export async function findDiskSpace(folder: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch (error) {
    if (isStorageFailure(error)) return undefined;
    throw error;
  }
}
