/**
 * RingMemory: how much memory the rings of all fills may take together. The first get all they want, later ones a part of what is
 * left: a crowd of downloads makes each a little slower, and not the process large.
 */
export class RingMemory {
  readonly #totalBytes: number;
  #takenBytes = 0;

  constructor({ totalBytes }: { totalBytes: number }) {
    this.#totalBytes = totalBytes;
  }

  /** As much of `wantedBytes` as there is for one, and never less than `leastBytes`. To be given back. */
  take(wantedBytes: number, leastBytes: number): number {
    const share = Math.floor((this.#totalBytes - this.#takenBytes) / shares);
    const bytes = Math.min(wantedBytes, Math.max(leastBytes, share));
    this.#takenBytes += bytes;
    return bytes;
  }

  giveBack(bytes: number): void {
    this.#takenBytes -= bytes;
  }
}

/** So many could still come and get as much as this one. */
const shares = 8;
