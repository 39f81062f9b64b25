/**
 * HeldImages: the images that are here, as an operator counts them: what a tag means, or a manifest that nothing else held names.
 * The disk is read as it is walked, in a thread of its own that steps back behind whoever serves; nothing of it is kept.
 */
import { Worker } from "node:worker_threads";
import { systemClock, type Clock } from "../oci/clock.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { untilAborted } from "../oci/waiting.ts";
import { HeldImageMemory } from "./held-image-memory.ts";
import { imageNames, type HeldImage, type ImageContents } from "./held-image.ts";
import type { HoldingsOrder, HoldingsReport } from "./holdings-thread.ts";
import type { Store } from "./store.ts";
import type { UnreadPath } from "./store-reader.ts";

export type { UnreadPath } from "./store-reader.ts";
export { imageNames, wasPulled, type HeldImage, type HeldPart, type ImageContents } from "./held-image.ts";

export interface WalkOptions {
  /** Which images, by any of their names (`imageNames`); absent: all. */
  readonly pattern?: ((name: string) => boolean) | undefined;
  /** Only this registry's. */
  readonly registry?: RegistryHost | undefined;
  /** Only this repository's. */
  readonly repository?: Repository | undefined;
  /** What the disk cannot give is thrown, not passed over: for who removes what is not named. */
  readonly isStrict?: boolean;
  /** Told once of each path that was passed over because the disk cannot give it: what lies there is not among the images. */
  readonly onUnread?: ((unread: UnreadPath) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HeldImagesOptions {
  readonly store: Store;
  readonly clock?: Clock;
}

/** A disk that gives nothing for so long is not waited for. */
const reportMsMax = 60_000;
/** What it reads is garbage at once: without a bound it would keep tens of megabytes of it. */
const threadLimits = { maxYoungGenerationSizeMb: 4 };
/** A thread that nobody asks for so long is ended: it is some megabytes. */
const idleMsMax = 10_000;

interface Waiting {
  readonly settle: (report: HoldingsReport) => void;
}

export class HeldImages {
  readonly #store: Store;
  readonly #clock: Clock;
  #thread: Worker | undefined;
  /** Who waits for a report, in the order of their orders. */
  #waiting: Waiting[] = [];
  #cancelEnd: (() => void) | undefined;
  #walks = 0;
  #walking = 0;

  constructor({ store, clock = systemClock }: HeldImagesOptions) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Every held image: repositories in the order of their names, in each the tagged ones first, by their first tags. What cannot be read
   * is passed over, or thrown when `isStrict`. Rejects with the signal's reason. Leave it by `return` or `break`, or walk it to its end.
   */
  async *walk({ pattern, registry, repository, isStrict = false, onUnread, signal }: WalkOptions = {}): AsyncGenerator<HeldImage> {
    // What this process has noted belongs to it.
    await this.#store.uses.write();
    const walk = ++this.#walks;
    this.#walking += 1;
    const memory = new HeldImageMemory();
    try {
      await this.#ask({ kind: "walk", walk, root: this.#store.layout.root, registry, repository, isStrict, nowMs: this.#clock.now() }, signal);
      for (let isEnd = false; !isEnd;) {
        const report = await this.#ask({ kind: "next", walk }, signal);
        if (report.kind !== "images") throw new Error(`the store's walk answers "${report.kind}"`);
        for (const one of report.unread) onUnread?.(one);
        for (const image of report.images) {
          signal?.throwIfAborted();
          if (!pattern || imageNames(image).some((name) => pattern(name))) yield memory.compact(image);
        }
        isEnd = report.isEnd;
      }
    } finally {
      this.#walking -= 1;
      this.#thread?.postMessage({ kind: "end", walk } satisfies HoldingsOrder);
      this.#endWhenIdle();
    }
  }

  /** What an image is made of, and what of it is here. What cannot be read counts as not held, or is thrown when `isStrict`. */
  async contents(
    image: Pick<HeldImage, "repository" | "digest">,
    { isStrict = false, signal }: Pick<WalkOptions, "isStrict" | "signal"> = {},
  ): Promise<ImageContents> {
    const { repository, digest } = image;
    const report = await this.#ask({ kind: "contents", root: this.#store.layout.root, repository, digest, isStrict }, signal);
    if (report.kind !== "contents") throw new Error(`the store's walk answers "${report.kind}"`);
    return report.contents;
  }

  async #ask(order: HoldingsOrder, signal: AbortSignal | undefined): Promise<HoldingsReport> {
    signal?.throwIfAborted();
    this.#cancelEnd?.();
    const { promise, resolve } = Promise.withResolvers<HoldingsReport>();
    const cancel = this.#clock.after(reportMsMax, () => this.#giveUp("the disk gave nothing for a minute"));
    const thread = (this.#thread ??= this.#start());
    this.#waiting.push({
      settle: (report) => {
        cancel();
        resolve(report);
      },
    });
    // Only while it is waited for: an idle one keeps no process.
    thread.ref();
    thread.postMessage(order);
    const report = await (signal ? untilAborted(promise, signal) : promise);
    if (report.kind === "failure")
      throw Object.assign(new Error(report.message), report.code === undefined ? {} : { code: report.code, syscall: report.syscall });
    return report;
  }

  #start(): Worker {
    const thread = new Worker(new URL("./holdings-thread.ts", import.meta.url), { name: "holdings", execArgv: [], resourceLimits: threadLimits });
    // What one says that was given up is not the answer of the next.
    const isOurs = (): boolean => this.#thread === thread;
    thread.on("message", (report: HoldingsReport) => isOurs() && this.#settle(report));
    thread.on("error", (error) => isOurs() && this.#giveUp(error.message));
    return thread;
  }

  #settle(report: HoldingsReport): void {
    this.#waiting.shift()?.settle(report);
    if (this.#waiting.length > 0) return;
    this.#thread?.unref();
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    this.#cancelEnd?.();
    if (this.#thread && this.#walking === 0 && this.#waiting.length === 0) this.#cancelEnd = this.#clock.after(idleMsMax, () => this.#giveUp("nobody asks"));
  }

  /** The thread is of no use any more: who asks next finds a new one. */
  #giveUp(message: string): void {
    // What it waits for may never come: nobody waits for its end.
    void this.#thread?.terminate();
    this.#thread = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { settle } of waiting) settle({ kind: "failure", message });
  }
}
