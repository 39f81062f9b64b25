/** Private files: what nobody but this user may read. Whole or not there, also after a kill or without power, and for other processes of the same folder. */
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isErrno } from "../oci/errno.ts";

/** Entries of a folder that are looked at; who fills it with more is not helped. */
const entriesMax = 10_000;

/**
 * Writes `folder/name`, for its owner's eyes, dated `atMs`; makes the folder, if need be, likewise. It is on disk once this resolves. Throws the
 * system's error and leaves nothing.
 */
export async function writePrivate(folder: string, name: string, { text, atMs }: { text: string; atMs: number }): Promise<void> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `.${randomUUID()}.tmp`);
  try {
    {
      await using file = await open(temporary, "wx", 0o600);
      await file.writeFile(text);
      await file.utimes(atMs / 1_000, atMs / 1_000);
      await file.sync();
    }
    await rename(temporary, join(folder, name));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
  if (made !== undefined) for (let above = folder; above.length >= made.length; above = dirname(above)) await syncFolder(dirname(above));
}

/** What was renamed or removed in it is so without power too, once this resolves. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

/** The names of a folder's files; none when it is not there. Throws the system's error for another reason. */
export async function listPrivate(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith(".")).slice(0, entriesMax);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** The names of the folders in a folder; none when it is not there. Throws the system's error for another reason. */
export async function listPrivateFolders(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** The file's text; undefined when it is not there. Throws the system's error for another reason. */
export async function readPrivate(folder: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, name), "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Removes a file; one that is not there is as good as removed. */
export async function removePrivate(folder: string, name: string): Promise<void> {
  await rm(join(folder, name), { force: true });
}
