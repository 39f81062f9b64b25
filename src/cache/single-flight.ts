/** SingleFlight: however many ask for the same thing at the same time, the work is done once. */
import type { Clock } from "../oci/clock.ts";

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
    return abandonable(this.#flight(key, work).work, signal);
  }

  /** The same, but resolves to "late" when the work has been running for `deadlineMs`, whoever began it; it goes on then. */
  async runTimely(key: string, work: () => Promise<T>, { deadlineMs, signal }: { deadlineMs: number; signal: AbortSignal }): Promise<T | "late"> {
    const flight = this.#flight(key, work);
    const leftMs = flight.sinceMs + deadlineMs - this.#clock.elapsed();
    if (leftMs <= 0) return "late";
    return await atMost(this.#clock, leftMs, abandonable(flight.work, signal));
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

/** Waits for `work` until `signal` aborts; then rejects with its reason while the work goes on. */
export function abandonable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Waits for `work` at most `limitMs`; then resolves to "late" while the work goes on. */
export function atMost<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T | "late"> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => resolve("late"));
    work.then(resolve, reject).finally(cancel);
  });
}
