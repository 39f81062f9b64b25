/**
 * Fills: at most one running fill for each (registry, digest), however many ask. Equal digests of two registries are two fills: a
 * registry that crawls or lies never delays another's readers; they meet when they are published.
 */
import { algorithmOf, hexOf, type Digest } from "../oci/digest.ts";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { isErrno } from "../oci/errno.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { DownloadView } from "../oci/overview.ts";
import type { Registry } from "../oci/registry.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { FillCounts } from "../oci/views.ts";
import { Fill } from "./fill.ts";
import { FillQueue } from "./fill-queue.ts";
import type { FillRoom } from "./fill-room.ts";
import type { FillStorage } from "./fill-storage.ts";
import { hostFolder } from "./layout.ts";
import { removeIfThere } from "./atomic-write.ts";
import { RingMemory } from "./ring-memory.ts";
import { LoopShare } from "./loop-share.ts";
import type { Store } from "./store.ts";

/** Fills that go on though nobody reads them, per registry; beyond, the oldest pause. */
const readerlessMax = 8;
/** Eight downloads have all they want, and a registry's sixteen at least half a megabyte each. */
const ringBytesTotal = 32 * 1024 * 1024;

export interface FillsOptions {
  readonly upstream: Registry;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  readonly patienceMs: number;
  /** How many fills a registry serves at once. */
  readonly runningMax: (host: RegistryHost) => number;
  /** Who says whether there is room; absent: nobody asks. */
  readonly room?: FillRoom | undefined;
}

export class Fills {
  readonly #options: FillsOptions;
  readonly #fills = new Map<string, Fill>();
  readonly #memory = new RingMemory({ totalBytes: ringBytesTotal });
  readonly #share = new LoopShare();
  readonly #queues = new Map<RegistryHost, FillQueue>();
  #closed = false;
  #endedCount = 0;

  constructor(options: FillsOptions) {
    this.#options = options;
  }

  /** The fill that a reader from `positionBytes` on may join, if there is one. */
  find(host: RegistryHost, digest: Digest, positionBytes = 0): Fill | undefined {
    const fill = this.#fills.get(keyOf(host, digest));
    return fill?.canJoin(positionBytes) ? fill : undefined;
  }

  /** Begins a fill; the caller has looked that none is there to join. Throws `OVERLOADED` when the registry's queue is full. */
  start(repository: Repository, digest: Digest, { requestId, grantedBytes }: { requestId: string; grantedBytes: number | undefined }): Fill {
    const { upstream, clock, log, background, patienceMs } = this.#options;
    if (this.#closed) throw new OciError("OVERLOADED", "the server is shutting down", { retryAfterMs: 1_000 });
    const queue = this.#queueOf(repository.host);
    queue.check();
    const key = keyOf(repository.host, digest);
    const before = this.#fills.get(key);
    const { storage, giveBack } = this.#storage(repository.host, digest, key);
    const fill: Fill = new Fill({
      upstream,
      repository,
      digest,
      requestId,
      grantedBytes,
      clock,
      log,
      patienceMs,
      share: this.#share,
      storage,
      memory: this.#memory,
      // What an earlier fill leaves must lie there before it is looked for.
      place: async (signal) => {
        await before?.ended;
        return await queue.enter(signal);
      },
      run: (name, work) => background.run(name, work),
      onReaders: (changed) => this.#onReaders(changed),
    });
    this.#fills.set(key, fill);
    background.run(
      "fill",
      fill.ended.finally(() => {
        this.#endedCount += 1;
        giveBack();
        if (this.#fills.get(key) === fill) this.#fills.delete(key);
        if (queue.running === 0 && queue.waiting === 0) this.#queues.delete(repository.host);
      }),
    );
    return fill;
  }

  /** Counts the fills that have ended: whoever looked at the disk before one did has to look again. */
  get endedCount(): number {
    return this.#endedCount;
  }

  /** Throws `OVERLOADED` when the registry's queue is full: said at a manifest, so that its blobs need not find out. */
  check(host: RegistryHost): void {
    this.#queues.get(host)?.check();
  }

  /** Resolves when a download of it that runs is over, well or not, and its file where it belongs; at once when there is none. */
  async ended(host: RegistryHost, digest: Digest): Promise<void> {
    await this.#fills.get(keyOf(host, digest))?.ended;
  }

  counts(): FillCounts {
    const queues = [...this.#queues.values()];
    const fills = [...this.#fills.values()];
    return {
      running: queues.reduce((sum, queue) => sum + queue.running, 0),
      waiting: queues.reduce((sum, queue) => sum + queue.waiting, 0),
      publishing: fills.filter(({ state }) => state.kind === "verified").length,
      readers: fills.reduce((sum, fill) => sum + fill.readerCount, 0),
    };
  }

  /** Each of them, the longest under way first. */
  list(): readonly DownloadView[] {
    const nowMs = this.#options.clock.elapsed();
    return [...this.#fills.values()].flatMap((fill) => {
      const { repository, digest, state, isQueued, receivedBytes, sizeBytes, readerCount: readers } = fill;
      if (state.kind === "failed") return [];
      const stage = state.kind === "verified" ? "publishing" : isQueued ? "waiting" : "arriving";
      return [{ repository, digest, state: stage, receivedBytes, sizeBytes, readers, runningMs: nowMs - fill.startedAtMs }] satisfies DownloadView[];
    });
  }

  /** Stops all fills; what has come stays for the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    const fills = [...this.#fills.values()];
    for (const fill of fills) fill.pause("the server is shutting down");
    await Promise.all(fills.map((fill) => fill.ended));
  }

  #queueOf(host: RegistryHost): FillQueue {
    let queue = this.#queues.get(host);
    if (!queue) {
      queue = new FillQueue(host, { runningMax: this.#options.runningMax(host) });
      this.#queues.set(host, queue);
    }
    return queue;
  }

  #onReaders(changed: Fill): void {
    if (changed.readerCount > 0 || this.#closed) return;
    const readerless = [...this.#fills.values()]
      .filter(
        (fill) =>
          fill.repository.host === changed.repository.host && fill.readerCount === 0 && (fill.state.kind === "beginning" || fill.state.kind === "arriving"),
      )
      .sort((a, b) => a.startedAtMs - b.startedAtMs);
    for (const fill of readerless.slice(0, Math.max(0, readerless.length - readerlessMax))) fill.pause("paused: too many downloads that nobody waits for");
  }

  /** Where a fill keeps its bytes, and what gives back the room that it was given. */
  #storage(host: RegistryHost, digest: Digest, key: string): { readonly storage: FillStorage; readonly giveBack: () => void } {
    const { store, log, room } = this.#options;
    let giveBack = (): void => {};
    const storage: FillStorage = {
      partPath: async (wanted) => {
        const given = room ? await room.claim({ host, digest, ...wanted }) : () => {};
        if (!given) return undefined;
        giveBack = given;
        return await store.whereWritable(() => store.instance.partPath(key));
      },
      findClaimed: async () => await store.whereWritable(() => store.instance.findClaimed(key)),
      leave: async (path) => {
        await store.whereWritable(() => store.instance.leave(path, key));
      },
      remove: removeIfThere,
      temporaryPath: async () => await store.instance.temporaryPath(),
      recordDelivery: async (delivery) => {
        await store.whereWritable(() => store.provenance.record(host, digest, delivery));
      },
      publish: async (path, { sizeBytes, repositories }) => {
        await store.blobs.adopt(path, digest);
        for (const repository of repositories) await store.repositories.putLink(repository, digest, sizeBytes);
        store.noteWritten();
      },
      onDiskFailure: (error) => {
        // Removed by a hand, or taken over while we slept: its readers have all of it, and the next fill begins anew.
        if (isErrno(error, "ENOENT")) return log.info({ digest }, "a download's file is gone: it is not kept");
        log.warn({ digest, error }, "blob cannot be kept and passes through");
        store.noteFailure(error);
      },
    };
    return { storage, giveBack: () => giveBack() };
  }
}

function keyOf(host: RegistryHost, digest: Digest): string {
  return `${hostFolder(host)}~${algorithmOf(digest)}-${hexOf(digest)}`;
}
