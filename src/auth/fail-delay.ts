/**
 * FailDelay: a refusal that is kept waiting, as zot's `failDelay`: by a timer, not by a worker. So many wait at most; beyond that a
 * refusal leaves at once, since whoever comes in such numbers is slowed by the budgets, and sockets are dearer than seconds.
 */
import { delay, type Clock } from "../oci/clock.ts";
import { showsSomething } from "./basic.ts";

const waitingMax = 256;

export class FailDelay {
  readonly #delayMs: number;
  readonly #clock: Clock;
  #waiting = 0;

  /** `delayMs` 0: nobody waits. */
  constructor({ delayMs, clock }: { delayMs: number; clock: Clock }) {
    this.#delayMs = delayMs;
    this.#clock = clock;
  }

  /** To be awaited before a refusal. At once for who has shown nothing: it is how clients ask for the challenge. Rejects with the signal's reason. */
  async wait(authorization: readonly string[], signal: AbortSignal): Promise<void> {
    if (this.#delayMs === 0 || this.#waiting >= waitingMax || !showsSomething(authorization)) return;
    this.#waiting++;
    try {
      await delay(this.#clock, this.#delayMs, signal);
    } finally {
      this.#waiting--;
    }
  }
}
