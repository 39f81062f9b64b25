/**
 * StoreChanges: what this process writes into the store and removes from it, for whoever keeps count. What other processes do shows on
 * the disk only.
 */
import type { Digest } from "../oci/digest.ts";
import type { Repository } from "../oci/repository.ts";

export interface StoreListener {
  /** A repository holds something else now: a manifest or a tag more, or fewer. */
  repositoryChanged(repository: Repository, how: "grew" | "shrank"): void;
  /** A blob's file is there, new or written anew (its time in milliseconds since 1970). */
  blobWritten(digest: Digest, file: { readonly allocatedBytes: number; readonly mtimeMs: number }): void;
  /** A blob's file has a new time: something that is held names it, and perhaps something of another process's does too. */
  blobTouched(digest: Digest, file: { readonly allocatedBytes: number }): void;
  blobRemoved(digest: Digest): void;
}

export class StoreChanges {
  readonly #listeners = new Set<StoreListener>();

  /** Tells `listener` from now on, until the result is called. */
  listen(listener: StoreListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  repositoryChanged(repository: Repository, how: "grew" | "shrank"): void {
    for (const listener of this.#listeners) listener.repositoryChanged(repository, how);
  }

  blobWritten(digest: Digest, file: { readonly size: number; readonly blocks: number; readonly mtimeMs: number }): void {
    for (const listener of this.#listeners) listener.blobWritten(digest, { allocatedBytes: allocatedBytes(file), mtimeMs: file.mtimeMs });
  }

  blobTouched(digest: Digest, file: { readonly blocks: number }): void {
    for (const listener of this.#listeners) listener.blobTouched(digest, { allocatedBytes: allocatedBytes(file) });
  }

  blobRemoved(digest: Digest): void {
    for (const listener of this.#listeners) listener.blobRemoved(digest);
  }
}

/** What a file takes on the disk. stat(2): blocks of 512 bytes, whatever the filesystem's own. */
export function allocatedBytes({ blocks }: { readonly blocks: number }): number {
  return blocks * 512;
}
