/**
 * DiskShare: how much of the disk's few threads some work may hold. Each file that is read or written holds one of those that everything else
 * needs too, and a disk that hangs does not give it back: so many may hang, and the rest goes on without them.
 */
import type { Clock } from "../oci/clock.ts";
import { atMost } from "../oci/waiting.ts";

export interface DiskShareOptions {
  /** At the disk at once. */
  readonly workingMax: number;
  /** Who waits behind them. */
  readonly waitingMax: number;
  /** For the waiting and the work. */
  readonly answerMs: number;
  readonly clock: Clock;
}

interface Waiter {
  readonly begin: () => void;
}

export class DiskShare {
  readonly #options: DiskShareOptions;
  readonly #waiting = new Set<Waiter>();
  #working = 0;
  /** Of these, those that nobody waits for any more. */
  #hanging = 0;

  constructor(options: DiskShareOptions) {
    this.#options = options;
  }

  /** What `work` comes to. Throws an Error when that takes too long, and at once while as many hang as there may be. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { workingMax, waitingMax, answerMs, clock } = this.#options;
    if (this.#hanging >= workingMax) throw new DiskHangs(`the disk gives nothing: ${this.#hanging} questions hang`);
    if (this.#waiting.size >= waitingMax) throw new DiskHangs(`${waitingMax} questions wait for the disk`);
    const turn = Promise.withResolvers<void>();
    const waiter: Waiter = { begin: turn.resolve };
    this.#waiting.add(waiter);
    this.#next();
    const state = { isAtWork: false, isLate: false };
    const working = turn.promise.then(async () => {
      state.isAtWork = true;
      try {
        return { result: await work() };
      } finally {
        this.#working--;
        if (state.isLate) this.#hanging--;
        this.#next();
      }
    });
    working.catch(() => {}); // It may fail when nobody waits any more; who still does hears of it.
    const done = await atMost(clock, answerMs, working);
    if (done !== "late") return done.result;
    if (state.isAtWork) {
      state.isLate = true;
      this.#hanging++;
    } else this.#waiting.delete(waiter); // Never begun.
    throw new DiskHangs(`the disk gave nothing within ${answerMs} ms`);
  }

  #next(): void {
    for (const waiter of this.#waiting) {
      if (this.#working >= this.#options.workingMax) return;
      this.#waiting.delete(waiter);
      this.#working++;
      waiter.begin();
    }
  }
}

/** Nobody can tell what the disk would have said. */
export class DiskHangs extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DiskHangs";
  }
}
