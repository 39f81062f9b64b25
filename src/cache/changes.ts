/** Changes: lets many wait for the next change of something, and tells them together. */
import type { Clock } from "../oci/clock.ts";

/** Small changes are told at most this often: fifty readers woken for every packet would cost more than the bytes. */
const tellEveryMs = 5;

export class Changes {
  readonly #clock: Clock;
  #next = Promise.withResolvers<void>();
  #toldAtMs = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves at the next change. */
  next(): Promise<void> {
    return this.#next.promise;
  }

  /** Something that nobody should wait for has changed. */
  tell(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#toldAtMs = this.#clock.elapsed();
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** Something small has changed: told at once after a while of silence, else together with what follows within milliseconds. */
  tellSoon(): void {
    const quietMs = this.#clock.elapsed() - this.#toldAtMs;
    if (quietMs >= tellEveryMs) this.tell();
    else this.#cancel ??= this.#clock.after(tellEveryMs - quietMs, () => this.tell());
  }
}
