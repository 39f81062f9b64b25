/**
 * HashingQueue: passwords wait here for the one thread that hashes them. It starts with the first of them. Whoever has failed least
 * comes first, so that a guesser waits for people, not they for him.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { HashingTask } from "./hashing-thread.ts";

const waitingMax = 1_024;
const waitMsMax = 20_000;

export interface HashingOptions {
  /** The lower, the sooner; of equals the one that came first. */
  readonly rank: number;
  /** Aborted: nobody wants to know any more. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly task: HashingTask;
  readonly rank: number;
  settle(outcome: "right" | "wrong" | "busy"): void;
}

export class HashingQueue implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #waiting = new Set<Waiting>();
  #thread: Worker | undefined;
  #running: Waiting | undefined;
  #isClosed = false;

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** "busy": too many wait, for too long, it was closed, or the thread failed. Rejects with the signal's reason. */
  matches(task: HashingTask, { rank, signal }: HashingOptions): Promise<"right" | "wrong" | "busy"> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#isClosed) return resolve("busy");
      const leave = (): void => {
        this.#waiting.delete(waiting);
        cancel();
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        task,
        rank,
        settle(outcome) {
          leave();
          resolve(outcome);
        },
      };
      const cancel = this.#clock.after(waitMsMax, () => waiting.settle("busy"));
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiting);
      if (this.#waiting.size > waitingMax) this.#last()?.settle("busy");
      this.#next();
    });
  }

  /** Whoever still waits is told "busy". */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const waiting of this.#waiting) waiting.settle("busy");
    this.#running?.settle("busy");
    await this.#thread?.terminate();
  }

  #next(): void {
    if (this.#running) return;
    const first = this.#first();
    if (!first) return;
    this.#waiting.delete(first);
    this.#running = first;
    this.#thread ??= this.#start();
    this.#thread.postMessage(first.task);
  }

  #start(): Worker {
    const thread = new Worker(new URL("./hashing-thread.ts", import.meta.url), { name: "passwords", execArgv: [] });
    thread.on("message", (isRight: boolean) => this.#done(isRight ? "right" : "wrong"));
    thread.on("error", (error) => {
      this.#log.error({ error }, "thread that hashes passwords has failed");
      // The next password finds a new one.
      this.#thread = undefined;
      this.#done("busy");
    });
    // After its listeners, which would hold the process.
    thread.unref();
    return thread;
  }

  #done(outcome: "right" | "wrong" | "busy"): void {
    this.#running?.settle(outcome);
    this.#running = undefined;
    if (!this.#isClosed) this.#next();
  }

  #first(): Waiting | undefined {
    let first: Waiting | undefined;
    for (const waiting of this.#waiting) if (!first || waiting.rank < first.rank) first = waiting;
    return first;
  }

  #last(): Waiting | undefined {
    let last: Waiting | undefined;
    for (const waiting of this.#waiting) if (!last || waiting.rank >= last.rank) last = waiting;
    return last;
  }
}
