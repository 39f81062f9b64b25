/** SingleFlight: however many ask for the same thing at the same time, the work is done once. */
import type { Clock } from "../oci/clock.ts";
import { atMost, untilAborted } from "../oci/waiting.ts";

interface Flight<T> {
  readonly work: Promise<T>;
  readonly sinceMs: number;
}

export class SingleFlight<T> {
  readonly #clock: Clock;
  readonly #flights = new Map<string, Flight<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The running work for `key`, or a new one. It belongs to all who wait: `signal` ends one caller's wait, never the work. */
  run(key: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return untilAborted(this.#flight(key, work).work, signal);
  }

  /** The same, but resolves to "late" when the work has been running for `deadlineMs`, whoever began it; it goes on then. */
  async runTimely(key: string, work: () => Promise<T>, { deadlineMs, signal }: { deadlineMs: number; signal: AbortSignal }): Promise<T | "late"> {
    const flight = this.#flight(key, work);
    const leftMs = flight.sinceMs + deadlineMs - this.#clock.elapsed();
    if (leftMs <= 0) return "late";
    return await atMost(this.#clock, leftMs, untilAborted(flight.work, signal));
  }

  #flight(key: string, work: () => Promise<T>): Flight<T> {
    const running = this.#flights.get(key);
    if (running) return running;
    const flight = { work: work().finally(() => this.#flights.delete(key)), sinceMs: this.#clock.elapsed() };
    flight.work.catch(() => {}); // Everybody may have left by then; who is still there hears of it.
    this.#flights.set(key, flight);
    return flight;
  }
}
