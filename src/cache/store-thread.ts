/**
 * StoreThread: a thread that reads the store for others: it is given one order at a time, and answers each once. It is started when
 * somebody asks, and ended when nobody has asked for a while.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../oci/clock.ts";
import { untilAborted } from "../oci/waiting.ts";

export interface StoreThreadOptions {
  /** The module that it runs. */
  readonly script: URL;
  readonly name: string;
  readonly clock: Clock;
}

/** What a thread answers when an order cannot be followed. The system's error has a code. */
export interface ThreadFailure {
  readonly kind: "failure";
  readonly message: string;
  readonly code?: string | undefined;
  readonly syscall?: string | undefined;
}

/** A disk that gives nothing for so long is not waited for. */
const reportMsMax = 60_000;
/** What it reads is garbage at once: without a bound it would keep tens of megabytes of it. */
const threadLimits = { maxYoungGenerationSizeMb: 4 };
/** A thread that nobody asks for so long is ended: it is some megabytes. */
const idleMsMax = 10_000;

export class StoreThread<Order, Report extends { readonly kind: string }> {
  readonly #options: StoreThreadOptions;
  #thread: Worker | undefined;
  /** Who waits for a report, in the order of their orders. */
  #waiting: ((report: Report | ThreadFailure) => void)[] = [];
  #cancelEnd: (() => void) | undefined;
  #holds = 0;

  constructor(options: StoreThreadOptions) {
    this.#options = options;
  }

  /** Its answer. Rejects with what it failed by, or with the signal's reason. */
  async ask(order: Order, signal: AbortSignal | undefined): Promise<Report> {
    signal?.throwIfAborted();
    this.#cancelEnd?.();
    const { promise, resolve } = Promise.withResolvers<Report | ThreadFailure>();
    const cancel = this.#options.clock.after(reportMsMax, () => this.#giveUp("the disk gave nothing for a minute"));
    const thread = (this.#thread ??= this.#start());
    this.#waiting.push((report) => {
      cancel();
      resolve(report);
    });
    // Only while it is waited for: an idle one keeps no process.
    thread.ref();
    thread.postMessage(order);
    const report = await (signal ? untilAborted(promise, signal) : promise);
    if (isFailure(report)) throw Object.assign(new Error(report.message), report.code === undefined ? {} : { code: report.code, syscall: report.syscall });
    return report;
  }

  /** Says what is not answered. */
  tell(order: Order): void {
    this.#thread?.postMessage(order);
  }

  /** It is not ended for idleness until the result is called: it keeps something between two orders. */
  hold(): () => void {
    this.#holds += 1;
    return () => {
      this.#holds -= 1;
      this.#endWhenIdle();
    };
  }

  #start(): Worker {
    const { script, name } = this.#options;
    const thread = new Worker(script, { name, execArgv: [], resourceLimits: threadLimits });
    // What one says that was given up is not the answer of the next.
    const isOurs = (): boolean => this.#thread === thread;
    thread.on("message", (report: Report | ThreadFailure) => isOurs() && this.#settle(report));
    thread.on("error", (error) => isOurs() && this.#giveUp(error.message));
    return thread;
  }

  #settle(report: Report | ThreadFailure): void {
    this.#waiting.shift()?.(report);
    if (this.#waiting.length > 0) return;
    this.#thread?.unref();
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    this.#cancelEnd?.();
    if (this.#thread && this.#holds === 0 && this.#waiting.length === 0) {
      this.#cancelEnd = this.#options.clock.after(idleMsMax, () => this.#giveUp("nobody asks"));
    }
  }

  /** The thread is of no use any more: who asks next finds a new one. */
  #giveUp(message: string): void {
    // What it waits for may never come: nobody waits for its end.
    void this.#thread?.terminate();
    this.#thread = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const settle of waiting) settle({ kind: "failure", message });
  }
}

function isFailure(report: { readonly kind: string }): report is ThreadFailure {
  return report.kind === "failure";
}
