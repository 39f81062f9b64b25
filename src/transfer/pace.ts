/** Pace: so many bytes a second, however many ask, so that work nobody waits for leaves the disk to those who do. */
import { delay, type Clock } from "../oci/clock.ts";

/** What was not used counts for so long: a short rest is made up for, a long one is not. */
const burstMs = 100;

export class Pace {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  #freeAtMs = -Infinity;

  /** Infinity: as fast as it goes. */
  constructor({ bytesPerSecond, clock }: { readonly bytesPerSecond: number; readonly clock: Clock }) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  /** Counts what was used; what it returns is waited for before more is. Rejects with the signal's reason. */
  spend(bytes: number, signal: AbortSignal): Promise<void> | undefined {
    const nowMs = this.#clock.elapsed();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - burstMs) + (bytes * 1_000) / this.#bytesPerSecond;
    return this.#freeAtMs > nowMs ? delay(this.#clock, this.#freeAtMs - nowMs, signal) : undefined;
  }
}
