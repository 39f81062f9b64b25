/**
 * BroughtBlobs: blobs that are here for an image which is not written yet, so that nothing names them. Whoever prunes takes such a one
 * for a stray when nobody has touched it for an hour; they are touched by a timer, however long the rest takes to come. Dispose of it.
 */
import type { Store } from "../cache/store.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";

export interface BroughtBlobsOptions {
  readonly store: Store;
  readonly clock: Clock;
}

const touchEveryMs = 20 * 60_000;

export class BroughtBlobs implements AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #digests = new Set<Digest>();
  #cancel: () => void;
  #touching: Promise<void> | undefined;
  #isOver = false;

  constructor({ store, clock }: BroughtBlobsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#cancel = this.#arm();
  }

  /** It was brought, or found, just now. */
  add(digest: Digest): void {
    this.#digests.add(digest);
  }

  /** Throws what went wrong with a touch, beyond what a disk does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#cancel();
    await this.#touching;
  }

  #arm(): () => void {
    return this.#clock.after(touchEveryMs, () => {
      this.#touching = this.#touchAll();
      this.#touching.catch(() => {}); // Thrown again where it is disposed of.
    });
  }

  /** One that is gone is missed by who names it. */
  async #touchAll(): Promise<void> {
    for (const digest of this.#digests) {
      if (this.#isOver) return;
      await this.#store.blobs.touch(digest);
    }
    if (!this.#isOver) this.#cancel = this.#arm();
  }
}
