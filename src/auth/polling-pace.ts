/** PollingPace: who asks again and again is told how often; who asks sooner is to ask less often from then on. RFC 8628 3.5. */
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";

export interface PollingPaceOptions {
  /** Between two questions, as it was told. */
  readonly intervalMs: number;
  readonly clock: Clock;
}

interface Asked {
  readonly atMs: number;
  readonly intervalMs: number;
}

/** What is added each time that somebody was too early. RFC 8628 3.5. */
export const pollingStepMs = 5_000;
/** Nobody is put off for longer, however often he comes. */
const intervalMsMax = 60_000;
/** On the way two questions may come closer together than they were sent. */
const leewayMs = 1_000;
const askersMax = 20_000;

export class PollingPace {
  readonly #options: PollingPaceOptions;
  readonly #asked = new LRUCache<string, Asked>({ max: askersMax });

  constructor(options: PollingPaceOptions) {
    this.#options = options;
  }

  /** Whether `who`, who asks just now, was to wait longer; the first question is never too early. */
  isTooSoon(who: string): boolean {
    const atMs = this.#options.clock.elapsed();
    const last = this.#asked.get(who);
    const intervalMs = last?.intervalMs ?? this.#options.intervalMs;
    const isTooSoon = last !== undefined && atMs - last.atMs < intervalMs - leewayMs;
    this.#asked.set(who, { atMs, intervalMs: isTooSoon ? Math.min(intervalMs + pollingStepMs, intervalMsMax) : intervalMs });
    return isTooSoon;
  }
}
