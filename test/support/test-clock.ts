/** TestClock: time that moves only when the test says so. */
import type { Clock } from "../../src/oci/clock.ts";

export class TestClock implements Clock {
  #elapsedMs = 0;
  #offsetMs: number;
  readonly #wakes = new Set<{ readonly atMs: number; readonly wake: () => void }>();

  /** `startMs` is what `now()` says first. */
  constructor({ startMs = Date.UTC(2026, 0, 1) }: { startMs?: number } = {}) {
    this.#offsetMs = startMs;
  }

  now(): number {
    return this.#offsetMs + this.#elapsedMs;
  }

  elapsed(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, wake: () => void): () => void {
    const entry = { atMs: this.#elapsedMs + Math.max(0, delayMs), wake };
    this.#wakes.add(entry);
    return () => this.#wakes.delete(entry);
  }

  /** How many wakes are waiting. */
  get waiting(): number {
    return this.#wakes.size;
  }

  /** Moves time on, running what falls due in order, those included that were asked for meanwhile; promises get their turn after each. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + byMs;
    await turn();
    for (;;) {
      const next = this.#nextDue(untilMs);
      if (!next) break;
      this.#wakes.delete(next);
      this.#elapsedMs = next.atMs;
      next.wake();
      await turn();
    }
    this.#elapsedMs = untilMs;
    await turn();
  }

  /** Changes what `now()` says, as somebody who sets the machine's clock; `elapsed()` does not notice. */
  jump(byMs: number): void {
    this.#offsetMs += byMs;
  }

  #nextDue(untilMs: number): { readonly atMs: number; readonly wake: () => void } | undefined {
    const due = [...this.#wakes].filter((entry) => entry.atMs <= untilMs);
    return due.toSorted((one, other) => one.atMs - other.atMs)[0];
  }
}

/** Lets everything run that waits for promises alone. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
