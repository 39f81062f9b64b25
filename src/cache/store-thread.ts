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
  /** A disk that gives nothing for so long is not waited for. Default: a minute. */
  readonly reportMsMax?: number;
}

/** What a thread answers when an order cannot be followed. The system's error has a code. */
export interface ThreadFailure {
  readonly kind: "failure";
  readonly message: string;
  readonly code?: string | undefined;
  readonly syscall?: string | undefined;
}

/** The disk gave nothing for too long, to this order or to those before it. */
export class DiskSilent extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DiskSilent";
  }
}

/** A thread that waits for such a disk cannot be ended: while there are so many of them, no more are started. */
const hangingMax = 2;
/** What it reads is garbage at once: without a bound it would keep tens of megabytes of it. */
const threadLimits = { maxYoungGenerationSizeMb: 4 };
/** A thread that nobody asks for so long is ended: it is some megabytes. */
const idleMsMax = 10_000;

export class StoreThread<Order, Report extends { readonly kind: string }> {
  readonly #options: StoreThreadOptions;
  #thread: Worker | undefined;
  /** Who waits for a report, in the order of their orders. */
  #waiting: ((report: Report | ThreadFailure | DiskSilent) => void)[] = [];
  #cancelEnd: (() => void) | undefined;
  #holds = 0;
  #hanging = 0;

  constructor(options: StoreThreadOptions) {
    this.#options = options;
  }

  /** Its answer. Rejects with what it failed by, with `DiskSilent`, or with the signal's reason. */
  async ask(order: Order, signal: AbortSignal | undefined): Promise<Report> {
    signal?.throwIfAborted();
    if (this.#hanging >= hangingMax) throw new DiskSilent(`the disk gives nothing: ${this.#hanging} threads wait for it`);
    this.#cancelEnd?.();
    const { promise, resolve } = Promise.withResolvers<Report | ThreadFailure | DiskSilent>();
    const { clock, reportMsMax = 60_000 } = this.#options;
    const cancel = clock.after(reportMsMax, () => this.#abandon(new DiskSilent(`the disk gave nothing within ${reportMsMax} ms`)));
    const thread = (this.#thread ??= this.#start());
    this.#waiting.push((report) => {
      cancel();
      resolve(report);
    });
    // Only while it is waited for: an idle one keeps no process.
    thread.ref();
    thread.postMessage(order);
    const report = await (signal ? untilAborted(promise, signal) : promise);
    if (report instanceof DiskSilent) throw report;
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
    thread.on("error", (error) => isOurs() && this.#giveUp({ kind: "failure", message: error.message }));
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
      this.#cancelEnd = this.#options.clock.after(idleMsMax, () => this.#giveUp({ kind: "failure", message: "nobody asks" }));
    }
  }

  /** It waits for the disk, and may do so for ever. */
  #abandon(silence: DiskSilent): void {
    if (this.#thread) {
      this.#hanging++;
      this.#thread.once("exit", () => this.#hanging--);
    }
    this.#giveUp(silence);
  }

  /** The thread is of no use any more: who asks next finds a new one. */
  #giveUp(reason: ThreadFailure | DiskSilent): void {
    // What it waits for may never come: nobody waits for its end.
    void this.#thread?.terminate();
    this.#thread = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const settle of waiting) settle(reason);
  }
}

function isFailure(report: { readonly kind: string }): report is ThreadFailure {
  return report.kind === "failure";
}
