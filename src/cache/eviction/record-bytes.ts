/** What a repository's records and folders take on the disk. Records are many and each smaller than a block: they are counted, not asked. */
import { readdir } from "node:fs/promises";
import { digestAlgorithms } from "../../oci/digest.ts";
import { isErrno } from "../../oci/errno.ts";
import type { Layout } from "../layout.ts";
import type { Repository } from "../../oci/repository.ts";

/** What nearly every filesystem takes for a small file, and for a small folder. */
export const blockBytes = 4_096;

/** What the records and folders of an image take that has just come, until they are counted. */
export const newRepositoryBytes = 16 * blockBytes;

/** Bytes, of blocks of 4 KiB. The empty files that only say something by being there take none. */
export async function recordBytesOf(layout: Layout, repository: Repository): Promise<number> {
  const foldersOfRecords = [layout.tags(repository), layout.pins(repository), ...sharded(layout.manifests(repository)), ...sharded(layout.links(repository))];
  let blocks = 3; // Its own folder, and those that the digests' algorithms lie in.
  for (const folder of foldersOfRecords) {
    const count = await countEntries(folder);
    if (count !== undefined) blocks += count + 1;
  }
  return blocks * blockBytes;
}

/** What the folders take that blobs and what is said of them lie in: of blobs, of public ones, and of each registry's deliveries. */
export function folderBytesOf({ shards, hosts }: { readonly shards: number; readonly hosts: number }): number {
  const ownFolders = 16 + 4 * hosts;
  return (ownFolders + shards * (2 + hosts)) * blockBytes;
}

function sharded(folder: string): readonly string[] {
  return digestAlgorithms.map((algorithm) => `${folder}/${algorithm}`);
}

async function countEntries(folder: string): Promise<number | undefined> {
  try {
    return (await readdir(folder)).length;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
