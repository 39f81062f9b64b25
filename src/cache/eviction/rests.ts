/** Rests: long work in short turns. For each turn of work so much rest: what is served meanwhile goes first. */
import { delay, type Clock } from "../../oci/clock.ts";

const turnMs = 10;
/** Time that went by in a turn beyond this was spent waiting, for a disk or a thread: nobody has to rest from that. */
const workMsMax = 30;

export interface RestsOptions {
  readonly clock: Clock;
  /** For each millisecond of work so many of rest; 0 only lets others run between two turns. */
  readonly factor: number;
  readonly signal?: AbortSignal | undefined;
}

export class Rests {
  readonly #options: RestsOptions;
  #startedAtMs: number;

  constructor(options: RestsOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.elapsed();
  }

  /** Between two pieces of work: rests when a turn is over. Throws the signal's reason. */
  async pause(): Promise<void> {
    const { clock, factor, signal } = this.#options;
    signal?.throwIfAborted();
    const workedMs = Math.min(clock.elapsed() - this.#startedAtMs, workMsMax);
    if (workedMs < turnMs) return;
    if (factor === 0) await new Promise(setImmediate);
    else await delay(clock, workedMs * factor, signal);
    this.#startedAtMs = clock.elapsed();
  }
}
