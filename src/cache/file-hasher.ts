/**
 * FileHasher: hashes files in a thread of its own, one after the other, as fast as its user lets it. The event loop only passes
 * words, and the pool that reads for clients is left to them.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../oci/clock.ts";
import { algorithmOf, findDigest, type Digest } from "../oci/digest.ts";
import { untilAborted } from "../oci/waiting.ts";
import type { HashingOrder, HashingReport } from "./file-hashing-thread.ts";

export type Hashed =
  /** What the file's bytes are called, and which file that was. */
  | { readonly kind: "hashed"; readonly digest: Digest; readonly sizeBytes: number; readonly inode: number }
  /** There is no such file. */
  | { readonly kind: "absent" }
  /** It cannot be read: why, in the system's words. */
  | { readonly kind: "unreadable"; readonly reason: string };

export interface HashingOptions {
  /** Waited for after every step of at most 1 MiB; `bytes` is what it took, of small files at least one page. */
  readonly spend: (bytes: number) => Promise<void> | undefined;
  readonly signal: AbortSignal;
}

/** A disk that gives nothing for so long is not waited for. */
const stepMsMax = 60_000;

export class FileHasher implements AsyncDisposable {
  readonly #clock: Clock;
  #thread: Worker | undefined;
  #settle: ((report: HashingReport) => void) | undefined;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** Hashes the file at `path` as `wanted` was: to compare. One at a time. Rejects with the signal's reason. */
  async hash(path: string, wanted: Digest, { spend, signal }: HashingOptions): Promise<Hashed> {
    signal.throwIfAborted();
    const algorithm = algorithmOf(wanted);
    let report = await this.#order({ kind: "begin", path, algorithm });
    while (report.kind === "step") {
      await this.#paused(spend(report.bytes), signal);
      report = await this.#order({ kind: "go on" });
    }
    if (report.kind === "failure") return report.code === "ENOENT" ? { kind: "absent" } : { kind: "unreadable", reason: report.message };
    await this.#paused(spend(report.bytes), signal);
    const digest = findDigest(`${algorithm}:${report.hex}`);
    if (!digest) throw new Error(`the hash of ${path} is no digest`);
    return { kind: "hashed", digest, sizeBytes: report.sizeBytes, inode: report.inode };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread?.terminate();
    this.#thread = undefined;
  }

  /** A file that nobody wants to know of any more is closed. */
  async #paused(pause: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
    try {
      if (pause) await untilAborted(pause, signal);
      signal.throwIfAborted();
    } catch (error) {
      this.#thread?.postMessage({ kind: "stop" } satisfies HashingOrder);
      throw error;
    }
  }

  #order(order: HashingOrder): Promise<HashingReport> {
    const { promise, resolve } = Promise.withResolvers<HashingReport>();
    const cancel = this.#clock.after(stepMsMax, () => this.#giveUp("the disk gave nothing for a minute"));
    const thread = (this.#thread ??= this.#start());
    this.#settle = (report) => {
      cancel();
      thread.unref();
      resolve(report);
    };
    // Only while it is waited for: an idle one keeps no process.
    thread.ref();
    thread.postMessage(order);
    return promise;
  }

  #start(): Worker {
    const thread = new Worker(new URL("./file-hashing-thread.ts", import.meta.url), { name: "hashing", execArgv: [] });
    // What one says that was given up is not the answer of the next.
    const isOurs = (): boolean => this.#thread === thread;
    thread.on("message", (report: HashingReport) => isOurs() && this.#settle?.(report));
    thread.on("error", (error) => isOurs() && this.#giveUp(error.message));
    return thread;
  }

  /** The thread is of no use any more: the next file finds a new one. */
  #giveUp(reason: string): void {
    // What it waits for may never come: nobody waits for its end.
    void this.#thread?.terminate();
    this.#thread = undefined;
    this.#settle?.({ kind: "failure", code: "", message: reason });
  }
}
