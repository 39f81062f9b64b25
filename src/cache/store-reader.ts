/**
 * StoreReader: reads the store's small files in the thread that walks through all of them. It waits for the disk where it stands, which
 * costs a tenth of what a promise for each file does, and keeps nothing: readers' memory is left to readers.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync, type Dirent, type Stats } from "node:fs";
import { isErrno } from "../oci/errno.ts";
import { isStorageFailure } from "./atomic-write.ts";

/** What is there, perhaps, and could not be read. */
export interface UnreadPath {
  readonly path: string;
  /** The system's word: EACCES, EIO. */
  readonly code: string;
}

export interface StoreReaderOptions {
  /** What the disk cannot give is thrown: who is about to remove things must not take it for absent. */
  readonly isStrict: boolean;
  /** Told of what the disk cannot give, and what then is passed over. */
  readonly onUnread?: ((unread: UnreadPath) => void) | undefined;
}

export class StoreReader {
  readonly #isStrict: boolean;
  readonly #onUnread: StoreReaderOptions["onUnread"];

  constructor({ isStrict, onUnread }: StoreReaderOptions) {
    this.#isStrict = isStrict;
    this.#onUnread = onUnread;
  }

  /** A file's bytes and what `stat` says of it; undefined when there is none, or it is larger than it may be. */
  file(path: string, bytesMax: number): { readonly bytes: Buffer; readonly file: Stats } | undefined {
    return this.#attempt(path, () => {
      // A pipe that somebody left there is not waited for.
      const handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const file = fstatSync(handle);
        if (!file.isFile() || file.size > bytesMax) return undefined;
        const bytes = Buffer.allocUnsafe(file.size);
        return readSync(handle, bytes, 0, file.size, 0) === file.size ? { bytes, file } : undefined;
      } finally {
        closeSync(handle);
      }
    });
  }

  stat(path: string): Stats | undefined {
    return this.#attempt(path, () => statSync(path, { throwIfNoEntry: false }));
  }

  /** The names in a folder, in the order of their bytes; none when there is no such folder. */
  names(folder: string): readonly string[] {
    return this.#attempt(folder, () => readdirSync(folder))?.sort() ?? [];
  }

  /** The names of the folders in a folder, as the disk gives them. */
  folders(folder: string): readonly string[] {
    const entries: readonly Dirent[] = this.#attempt(folder, () => readdirSync(folder, { withFileTypes: true })) ?? [];
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  #attempt<T>(path: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      if (this.#isStrict || !isStorageFailure(error)) throw error;
      this.#onUnread?.({ path, code: error.code ?? error.message });
      return undefined;
    }
  }
}
