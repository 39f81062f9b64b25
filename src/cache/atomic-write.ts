/**
 * Atomic writes: a name on disk holds either nothing or the whole content. fsync(file), rename, fsync(folder): in this order a
 * power cut leaves garbage under a temporary name at the worst.
 */
import { constants, type Stats } from "node:fs";
import { mkdir, open, rename, rmdir, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { isErrno } from "../oci/errno.ts";

export interface AtomicWriteOptions {
  /** Where the bytes are written first: in the same filesystem. */
  readonly temporaryPath: string;
  readonly mode?: number;
  /** False: whole after a kill, but perhaps torn after a power cut. */
  readonly sync?: boolean;
  /** The file's mtime, in milliseconds since 1970; else now. */
  readonly modifiedAtMs?: number | undefined;
}

/** Writes `bytes` to `path`. Throws the system's error and leaves nothing. */
export async function writeAtomic(
  path: string,
  bytes: Uint8Array | string,
  { temporaryPath, mode = 0o664, sync = true, modifiedAtMs }: AtomicWriteOptions,
): Promise<void> {
  try {
    {
      await using file = await open(temporaryPath, "wx", mode);
      await file.writeFile(bytes);
      if (modifiedAtMs !== undefined) await file.utimes(modifiedAtMs / 1_000, modifiedAtMs / 1_000);
      if (sync) await file.sync();
    }
    await publish(temporaryPath, path, { sync });
  } catch (error) {
    await removeIfThere(temporaryPath);
    throw error;
  }
}

/** Renames a file that has been synced to its final name and syncs the folder, which is made if need be. */
export async function publish(temporaryPath: string, path: string, { sync = true }: { sync?: boolean } = {}): Promise<void> {
  const folder = dirname(path);
  try {
    await rename(temporaryPath, path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    await makeFolder(folder, { sync });
    await rename(temporaryPath, path);
  }
  if (sync) await syncFolder(folder);
}

/** Makes sure that an empty file lies at `path`: a mark that says something by being there. Not synced: one that a power cut takes is made again. */
export async function mark(path: string): Promise<void> {
  try {
    await (await open(path, constants.O_CREAT | constants.O_WRONLY, 0o664)).close();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    await makeFolder(dirname(path), { sync: false });
    await (await open(path, constants.O_CREAT | constants.O_WRONLY, 0o664)).close();
  }
}

/**
 * Makes a folder and those above it, group-writable, and syncs each new name: what is published in the last one is not lost with
 * the first. Not `mkdir`'s own recursion, which never ends where a folder can be neither found nor made (/proc, a removed one).
 */
export async function makeFolder(folder: string, { sync = true }: { sync?: boolean } = {}): Promise<void> {
  try {
    await makeOne(folder, sync);
  } catch (error) {
    const parent = dirname(folder);
    if (!isErrno(error, "ENOENT") || parent === folder) throw error;
    await makeFolder(parent, { sync });
    await makeOne(folder, sync);
  }
}

export async function isThere(path: string): Promise<boolean> {
  return (await statIfThere(path)) !== undefined;
}

/** What the system says of a file; undefined when there is none. Throws the system's error for anything else. */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  return await ifThere(stat(path));
}

/** What `found` brings, or undefined when the file is not there. Rejects with the system's error for anything else. */
export async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** Removes a file. One that cannot be removed stays, for the sweep of temporary folders. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isStorageFailure(error)) throw error;
  }
}

/** Removes a file; false when there was none. Throws the system's error for anything else. */
export async function unlinkIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** Removes a folder in which nothing is left. Throws the system's error for anything but that. */
export async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ENOTEMPTY", "EEXIST")) throw error;
  }
}

/** What happened in a folder, that is what names came and went, survives a power cut. Nothing happens when it is not there. */
export async function syncFolderIfThere(folder: string): Promise<void> {
  try {
    await syncFolder(folder);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
  }
}

/**
 * True when the disk, not the program, is the reason: full, broken, read-only, not ours, or a folder in a file's place and the
 * other way round. Bytes pass through then, unkept. Every system call's error counts: what network filesystems, FUSE and torn
 * filesystems answer with is a list without end.
 */
export function isStorageFailure(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && typeof error.syscall === "string";
}

async function makeOne(folder: string, sync: boolean): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o775 });
  } catch (error) {
    if (isErrno(error, "EEXIST")) return;
    throw error;
  }
  if (sync) await syncFolder(dirname(folder));
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  await handle.sync();
}
