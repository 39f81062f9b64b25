/**
 * LoopShare: how much of one turn of the event loop downloads may take together. A socket hands over megabytes in one go when it
 * can; hashed and copied at once, sixteen of them would keep every other answer waiting for tens of milliseconds.
 */
const turnBytesMax = 512 * 1024;

export class LoopShare {
  #spentBytes = 0;
  #next: Promise<void> | undefined;

  /** Counts bytes that were dealt with; resolves at once, or in the next turn when this one's share is spent. */
  spend(bytes: number): Promise<void> | undefined {
    this.#spentBytes += bytes;
    this.#next ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#spentBytes = 0;
        this.#next = undefined;
        resolve();
      });
    });
    return this.#spentBytes > turnBytesMax ? this.#next : undefined;
  }
}
