/** FillQueue: how many fills one registry serves at once, and how many wait for it, first come first served. */
import { OciError } from "../oci/errors.ts";
import type { RegistryHost } from "../oci/repository.ts";

const waitingMax = 256;
const retryAfterMs = 5_000;

export class FillQueue {
  readonly #host: RegistryHost;
  readonly #runningMax: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(host: RegistryHost, { runningMax }: { runningMax: number }) {
    this.#host = host;
    this.#runningMax = runningMax;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running;
  }

  /** Throws `OVERLOADED` when a fill that came now would not even find a place to wait. */
  check(): void {
    if (this.#running < this.#runningMax || this.#waiting.length < waitingMax) return;
    throw new OciError("OVERLOADED", `${this.#host} has ${this.#running} downloads running and ${this.#waiting.length} waiting: try again soon`, {
      retryAfterMs,
    });
  }

  /** Resolves to what gives the place back, once. Throws `OVERLOADED`, or the signal's reason. */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    this.check();
    if (this.#running >= this.#runningMax) await this.#wait(signal);
    else this.#running += 1;
    let isBack = false;
    return () => {
      if (isBack) return;
      isBack = true;
      this.#next();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason as Error);
      };
      this.#waiting.push(enter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** A place that is given back goes straight to the first who waits. */
  #next(): void {
    const enter = this.#waiting.shift();
    if (enter) enter();
    else this.#running -= 1;
  }
}
