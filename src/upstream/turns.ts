/** Turns: few do it at once, some wait, and who comes then is told to come back. */
import { OciError } from "../oci/errors.ts";

export interface TurnsOptions {
  readonly runningMax: number;
  readonly waitingMax: number;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Does `work` when its turn has come. Rejects with `OVERLOADED` when too many wait, else as `work` does. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    const { runningMax, waitingMax } = this.#options;
    if (this.#running < runningMax) this.#running += 1;
    else if (this.#waiting.length < waitingMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else throw new OciError("OVERLOADED", `${waitingMax} programs wait to be run`, { retryAfterMs: 1_000 });
    try {
      return await work();
    } finally {
      // Whoever leaves hands its place on.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
