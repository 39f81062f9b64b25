/**
 * Ownership: a blob's file becomes ours. Only its owner may set a file's time, and with a random user for each container most files are
 * somebody else's: a copy of ours takes the name. Where the filesystem can, the copy shares the bytes.
 */
import { constants } from "node:fs";
import { copyFile, open, stat } from "node:fs/promises";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { removeIfThere } from "./atomic-write.ts";
import { isAbsence, type DiskReads } from "./disk-reads.ts";
import type { InstanceFolder } from "./instance-folder.ts";
import type { Layout } from "./layout.ts";

export interface OwnershipOptions {
  readonly layout: Layout;
  readonly instance: InstanceFolder;
  readonly clock: Clock;
  readonly reads: DiskReads;
  /** Gives a synced file the blob's name. */
  readonly publish: (temporaryPath: string, digest: Digest) => Promise<void>;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #running = new Map<Digest, Promise<boolean>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /**
   * Makes the blob's file ours, written just now; calls for one blob share it, and blobs come one after the other: they may be large. False
   * where it cannot be: it is gone, or unreadable, or there is no room.
   */
  take(digest: Digest): Promise<boolean> {
    const running = this.#running.get(digest);
    if (running) return running;
    const work = this.#last.then(() => this.#copy(digest)).finally(() => this.#running.delete(digest));
    this.#running.set(digest, work);
    this.#last = work.catch(() => {}); // Whoever called for it hears of it.
    return work;
  }

  async #copy(digest: Digest): Promise<boolean> {
    const { layout, instance, clock, reads, publish } = this.#options;
    const path = layout.blob(digest);
    let temporaryPath: string | undefined;
    try {
      temporaryPath = await instance.temporaryPath();
      const { ino } = await stat(path);
      await copyFile(path, temporaryPath, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
      {
        await using file = await open(temporaryPath, constants.O_RDONLY);
        const now = new Date(clock.now());
        await file.utimes(now, now);
        await file.sync();
      }
      // Repaired, removed or brought again meanwhile: what lies there now is not what was copied.
      if ((await stat(path)).ino !== ino) return false;
      await publish(temporaryPath, digest);
      return true;
    } catch (error) {
      if (!isAbsence(error)) reads.note(path, error);
      return false;
    } finally {
      if (temporaryPath !== undefined) await removeIfThere(temporaryPath);
    }
  }
}
