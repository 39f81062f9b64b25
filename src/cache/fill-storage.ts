/** FillStorage: what a fill asks of the store, which knows where everything lies. */
import type { Repository } from "../oci/repository.ts";

/** Where a fill keeps what it gets, and what becomes of it. */
export interface FillStorage {
  /** A new path for the part of a blob of this size (if anybody says), or undefined where nothing can be kept, for want of room too. */
  partPath(wanted: { readonly sizeBytes: number | undefined; readonly arrivedBytes: () => number }): Promise<string | undefined>;
  /** What an earlier fill of this blob left, ours alone now: to be removed, or left again. */
  findClaimed(): Promise<{ readonly path: string; readonly sizeBytes: number } | undefined>;
  /** Keeps an unfinished part for the next fill; one that is gone is nobody's loss. */
  leave(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  temporaryPath(): Promise<string>;
  /** The registry has delivered the blob, and it was checked. */
  recordDelivery(delivery: { readonly isPublic: boolean }): Promise<void>;
  /** A synced, checked file takes its final name, and `repositories` may show it. */
  publish(path: string, blob: { readonly sizeBytes: number; readonly repositories: readonly Repository[] }): Promise<void>;
  /** The disk, not the program, is why something is not kept. */
  onDiskFailure(error: unknown): void;
}
