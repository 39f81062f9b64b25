/**
 * DiskReads: what the disk does not give counts as absent. A file that is gone and one that lies on a broken sector have the same
 * cure: it comes from upstream and is written anew. The second kind is told of.
 */
import type { Clock } from "../oci/clock.ts";
import { isErrno } from "../oci/errno.ts";
import type { Log } from "../oci/log.ts";
import { isStorageFailure } from "./atomic-write.ts";

/** A dying disk fails every pull: it is told of this often, not each time. */
const tellEveryMs = 10_000;

export class DiskReads {
  readonly #clock: Clock;
  readonly #log: Log;
  #toldAtMs = -Infinity;
  #untold = 0;

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** What `read` finds at `path`; undefined when it is absent, or the system cannot give it. Throws what is no system error. */
  async attempt<T>(path: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!isAbsence(error)) this.note(path, error);
      return undefined;
    }
  }

  /** What lies at `path` could not be read. Throws `error` when that was not the system's doing. */
  note(path: string, error: unknown): void {
    if (!isStorageFailure(error)) throw error;
    this.tell(path, error);
  }

  /** The same, whoever found it out. */
  tell(path: string, error: unknown): void {
    if (this.#clock.elapsed() - this.#toldAtMs < tellEveryMs) {
      this.#untold += 1;
      return;
    }
    this.#log.warn({ path, error, untold: this.#untold }, "the store cannot be read here: this counts as absent");
    this.#toldAtMs = this.#clock.elapsed();
    this.#untold = 0;
  }
}

/** True when there is just nothing of that name. */
export function isAbsence(error: unknown): boolean {
  return isErrno(error, "ENOENT", "ENOTDIR");
}
