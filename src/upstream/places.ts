/** Places: how many may do something at once, and how many may wait for it, first come, first served. */
import { OciError } from "../oci/errors.ts";

export interface PlacesOptions {
  readonly max: number;
  readonly waitingMax: number;
  /** For messages: what they are places at. */
  readonly name: string;
}

export class Places {
  readonly #options: PlacesOptions;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** Resolves to what gives the place back; once is enough. Rejects with `OVERLOADED`, or with the signal's reason: who leaves waits no more. */
  async take(signal: AbortSignal): Promise<() => void> {
    const { max, waitingMax, name } = this.#options;
    signal.throwIfAborted();
    if (this.#taken >= max) {
      if (this.#waiting.size >= waitingMax) throw new OciError("OVERLOADED", `too many requests wait for ${name}`, { retryAfterMs: 1_000 });
      await this.#turn(signal);
    } else {
      this.#taken += 1;
    }
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      this.#giveBack();
    };
  }

  /** Whoever gives a place back hands it to the next. */
  #giveBack(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#taken -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onTurn = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(onTurn);
        reject(signal.reason as Error);
      };
      this.#waiting.add(onTurn);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
