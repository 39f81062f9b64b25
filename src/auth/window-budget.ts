/** WindowBudget: how often something may be done within a window of time, by one and by all together, before it is too often. */
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";

export interface WindowBudgetOptions {
  readonly perOne: number;
  readonly inAll: number;
  readonly windowMs: number;
  readonly clock: Clock;
}

interface Tally {
  count: number;
  readonly untilMs: number;
}

/** Whoever has not been here for longest is forgotten. */
const onesMax = 20_000;

export class WindowBudget {
  readonly #options: WindowBudgetOptions;
  readonly #ones = new LRUCache<string, Tally>({ max: onesMax });
  #all: Tally = { count: 0, untilMs: 0 };

  constructor(options: WindowBudgetOptions) {
    this.#options = options;
  }

  /** Counts one time more for `who`. Undefined: it may be done; else it is too often, nothing is counted, and it is so long until it may be. */
  spend(who: string): { readonly waitMs: number } | undefined {
    const { perOne, inAll, clock } = this.#options;
    const [one, all] = this.#tallies(who);
    const over = [one.count >= perOne ? one : undefined, all.count >= inAll ? all : undefined].filter((tally) => tally !== undefined);
    if (over.length > 0) return { waitMs: Math.max(...over.map(({ untilMs }) => untilMs - clock.elapsed())) };
    one.count++;
    all.count++;
    return undefined;
  }

  /** What was spent last is not to count. */
  giveBack(who: string): void {
    for (const tally of this.#tallies(who)) tally.count = Math.max(0, tally.count - 1);
  }

  #tallies(who: string): readonly [Tally, Tally] {
    this.#all = this.#current(this.#all);
    const one = this.#current(this.#ones.get(who));
    this.#ones.set(who, one);
    return [one, this.#all];
  }

  /** A window begins with the first time in it. */
  #current(tally: Tally | undefined): Tally {
    const nowMs = this.#options.clock.elapsed();
    return tally && nowMs < tally.untilMs ? tally : { count: 0, untilMs: nowMs + this.#options.windowMs };
  }
}
