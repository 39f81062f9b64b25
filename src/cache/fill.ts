/**
 * Fill: one blob of one registry on its way to the disk, and everybody who reads it meanwhile. It belongs to the server, not to
 * the client that began it: clients come and go, each at its own pace, while the bytes arrive once.
 *
 * The last 64 KiB are held back until the digest is right; if it is wrong, nobody has a whole blob and nothing is kept.
 */
import { stat } from "node:fs/promises";
import type { Clock } from "../oci/clock.ts";
import { algorithmOf, Digester, type Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { Registry } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { FillReader, type FillState, type FollowedFill } from "./fill-reader.ts";
import { FillSource } from "./fill-source.ts";
import { copyPart } from "./part-copy.ts";
import { RangedFetches } from "./ranged-fetches.ts";
import { Spool } from "./spool.ts";

/** What is held back until the digest is right. */
export const heldBackBytes = 64 * 1024;

/** In a stream that is not kept, a reader that takes nothing for so long is cut for the others' sake. */
const slowReaderMs = 5_000;

/** Readers are told of new bytes at most this often: fifty of them woken for every packet would cost more than the bytes. */
const wakeEveryMs = 5;

/** Where a fill keeps what it gets, and what becomes of it. */
export interface FillStorage {
  /** A new path for the part, or undefined where nothing can be kept. */
  partPath(): Promise<string | undefined>;
  /** What an earlier fill of this blob left, ours alone now. */
  findClaimed(): Promise<string | undefined>;
  /** Keeps an unfinished part for the next fill. */
  leave(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  temporaryPath(): Promise<string>;
  /** The registry has delivered the blob, and it was checked. */
  recordDelivery(delivery: { readonly isPublic: boolean }): Promise<void>;
  /** A synced, checked file takes its final name, and `repositories` may show it. */
  publish(path: string, blob: { readonly sizeBytes: number; readonly repositories: readonly Repository[] }): Promise<void>;
  onDiskFailure(error: unknown): void;
}

/** What is left of an earlier fill. */
interface Claim {
  readonly path: string;
  /** Every byte is there. */
  readonly isWhole: boolean;
  /** How much of it is gone on from. */
  readonly lengthBytes: number;
}

export interface FillOptions {
  readonly upstream: Registry;
  readonly repository: Repository;
  readonly digest: Digest;
  readonly requestId: string;
  readonly storage: FillStorage;
  readonly clock: Clock;
  readonly log: Log;
  /** The blob's size, where the repository may show it without asking. */
  readonly grantedBytes: number | undefined;
  /** How long nothing may move before the fill is given up. */
  readonly patienceMs: number;
  /** Resolves to what gives the place back when the registry has one for another fill. */
  readonly place: (signal: AbortSignal) => Promise<() => void>;
  readonly run: (name: string, work: Promise<unknown>) => void;
  readonly onReaders: (fill: Fill) => void;
}

export class Fill implements FollowedFill {
  readonly digest: Digest;
  /** Through which repository it is asked of the registry. */
  readonly repository: Repository;
  /** Resolves when it is over, well or not, and its files are where they belong. */
  readonly ended: Promise<void>;
  readonly #options: FillOptions;
  readonly #abort = new AbortController();
  readonly #readers = new Set<FillReader>();
  readonly #repositories = new Map<string, Repository>();
  readonly #startedAtMs: number;
  #state: FillState = { kind: "beginning" };
  #changed = Promise.withResolvers<void>();
  #spool: Spool | undefined;
  #ranged: RangedFetches | undefined;
  #generation = 0;
  #arrivingSinceMs = 0;
  #arrivingFromBytes = 0;
  #over = false;
  #wokenAtMs = -Infinity;
  #cancelWake: (() => void) | undefined;
  #isQueued = true;

  constructor(options: FillOptions) {
    this.#options = options;
    this.digest = options.digest;
    this.repository = options.repository;
    this.#startedAtMs = options.clock.elapsed();
    this.ended = this.#run().finally(() => this.#finish());
  }

  get state(): FillState {
    return this.#state;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  get startedAtMs(): number {
    return this.#startedAtMs;
  }

  /** True while other fills of the registry go first. */
  get isQueued(): boolean {
    return this.#isQueued;
  }

  /** True when it was stopped, not because anything went wrong. */
  get wasPaused(): boolean {
    return this.#abort.signal.aborted;
  }

  get generation(): number {
    return this.#generation;
  }

  get receivedBytes(): number {
    return this.#spool?.receivedBytes ?? 0;
  }

  get isKept(): boolean {
    return this.#spool?.isOnDisk ?? true;
  }

  get ranged(): RangedFetches | undefined {
    return this.#ranged;
  }

  get sizeBytes(): number | undefined {
    return this.#state.kind === "arriving" || this.#state.kind === "verified" ? this.#state.sizeBytes : undefined;
  }

  /** False when it is over, or its first bytes are gone: then a new fill has to begin. */
  canJoin(positionBytes = 0): boolean {
    return !this.#over && this.#state.kind !== "failed" && !this.#abort.signal.aborted && (this.#spool?.canServe(positionBytes) ?? true);
  }

  /** Whether `repository` will show the blob when it is here. */
  isFor(repository: Repository): boolean {
    return this.#repositories.has(repositoryName(repository));
  }

  /** A reader more, on behalf of `repository`, which may show the blob from now on. Dispose of it. */
  join(repository: Repository): FillReader {
    const reader = new FillReader(this, this.#options.clock, (left) => this.#leave(left));
    this.#readers.add(reader);
    this.#repositories.set(repositoryName(repository), repository);
    return reader;
  }

  /** Resolves at the next change: more bytes, another state. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Resolves when `isTrue` of the state and of how much is there; never rejects. */
  async until(isTrue: (state: FillState, receivedBytes: number) => boolean): Promise<FillState> {
    while (!isTrue(this.#state, this.receivedBytes)) await this.#changed.promise;
    return this.#state;
  }

  /** How far readers may see. */
  releasedBytes(): number {
    switch (this.#state.kind) {
      case "beginning":
      case "failed":
        return 0;
      case "arriving":
        return Math.max(0, Math.min(this.receivedBytes, (this.#state.sizeBytes ?? this.receivedBytes) - heldBackBytes));
      case "verified":
        return this.#state.sizeBytes;
      default:
        return this.#state satisfies never;
    }
  }

  /** Bytes at `positionBytes`, which have been released. Throws when they are gone: the reader was too slow for a stream that is not kept. */
  read(target: Uint8Array, positionBytes: number): number | Promise<number> {
    const length = this.#spool?.read(target, positionBytes, this.releasedBytes());
    if (!this.isKept) this.#spool?.freed();
    if (length === undefined) throw new OciError("OVERLOADED", `too slow for ${this.digest}, which cannot be kept here: the disk is full or failing`);
    return length;
  }

  /** How long until the fill comes to `positionBytes` at its present rate; Infinity when it stands, undefined when it is too early to tell. */
  etaMs(positionBytes: number): number | undefined {
    const elapsedMs = this.#options.clock.elapsed() - this.#arrivingSinceMs;
    const arrivedBytes = this.receivedBytes - this.#arrivingFromBytes;
    if (this.#state.kind !== "arriving" || (elapsedMs < 250 && arrivedBytes < 1024 * 1024)) return undefined;
    return ((positionBytes - this.receivedBytes) * elapsedMs) / arrivedBytes;
  }

  /** Stops it; what has come stays for a later fill. */
  pause(reason: string): void {
    this.#abort.abort(new OciError("OVERLOADED", reason, { retryAfterMs: 1_000 }));
  }

  async #run(): Promise<void> {
    let giveBack: (() => void) | undefined;
    const source = this.#source();
    try {
      giveBack = await this.#options.place(this.#abort.signal);
      this.#isQueued = false;
      await this.#receiveRight(source);
      await source.close();
      giveBack();
      giveBack = undefined;
      await this.#publish();
    } catch (error) {
      this.#become({ kind: "failed", error: this.#abort.signal.aborted ? this.#abort.signal.reason : error });
      await this.#keepPart(error);
    } finally {
      giveBack?.();
      await source.close();
    }
  }

  #source(): FillSource {
    const { upstream, repository, digest, requestId, clock, patienceMs } = this.#options;
    return new FillSource({ upstream, repository, digest, requestId, clock, patienceMs, signal: this.#abort.signal });
  }

  /** Receives until the bytes are right; wrong ones get one more try. */
  async #receiveRight(source: FillSource): Promise<void> {
    const claimed = await this.#claim();
    if (await this.#receive(source, claimed)) return;
    this.#options.log.warn({ repository: repositoryName(this.repository), digest: this.digest }, "upstream sent wrong bytes");
    this.#generation += 1;
    if (claimed === undefined) await source.distrust();
    else await source.close();
    this.#become({ kind: "beginning" });
    await this.#ranged?.close();
    this.#ranged = undefined;
    await this.#spool?.reset();
    if (await this.#receive(source, undefined)) return;
    throw new OciError("UPSTREAM_UNAVAILABLE", `${this.repository.host} sent other bytes than ${this.digest}`, { source: "upstream" });
  }

  /**
   * What an earlier fill left. Whole, where the size is known and we may show the blob without asking: then it only lacked its name
   * when its process was killed. Else without its last byte: asking for that proves that we still may have it.
   */
  async #claim(): Promise<Claim | undefined> {
    const path = await this.#options.storage.findClaimed();
    if (path === undefined) return undefined;
    const { size } = await stat(path);
    const isWhole = size === this.#options.grantedBytes;
    return { path, isWhole, lengthBytes: isWhole ? size : Math.max(0, size - 1) };
  }

  /** Receives the blob once, going on from what is claimed. False when the digest is wrong. */
  async #receive(source: FillSource, claimed: Claim | undefined): Promise<boolean> {
    const { storage, digest } = this.#options;
    const digester = new Digester(algorithmOf(digest));
    const sizeBytes = claimed?.isWhole ? claimed.lengthBytes : await source.begin(claimed?.lengthBytes ?? 0);
    this.#spool ??= await Spool.open({
      path: await storage.partPath(),
      sizeBytes,
      neededFrom: () => Math.min(...[...this.#readers].map((reader) => reader.positionBytes)),
      onDiskFailure: (error) => storage.onDiskFailure(error),
    });
    this.#prepareRanges(sizeBytes);
    this.#arrivingFromBytes = claimed?.lengthBytes ?? 0;
    this.#arrivingSinceMs = this.#options.clock.elapsed();
    this.#become({ kind: "arriving", sizeBytes });
    if (claimed) {
      await copyPart({ ...claimed, receive: async (bytes) => await this.#take(bytes, digester) });
      await storage.remove(claimed.path);
    }
    while (!claimed?.isWhole) {
      const target = await this.#reserve();
      const length = await source.read(target, this.receivedBytes);
      if (length === 0) break;
      if (sizeBytes !== undefined && this.receivedBytes + length > sizeBytes) return false;
      digester.update(target.subarray(0, length));
      this.#commit(length);
    }
    if (digester.digest() !== digest) return false;
    // Whoever got the last bytes may rely on them: they are in the file before they leave, and a kill from here on loses nothing.
    if (await this.#spool.flushed()) await storage.recordDelivery({ isPublic: source.isPublic && !claimed });
    this.#become({ kind: "verified", sizeBytes: this.receivedBytes });
    return true;
  }

  async #take(bytes: Uint8Array, digester: Digester): Promise<void> {
    digester.update(bytes);
    for (let taken = 0; taken < bytes.byteLength;) {
      const target = await this.#reserve();
      const length = Math.min(target.byteLength, bytes.byteLength - taken);
      target.set(bytes.subarray(taken, taken + length));
      this.#commit(length);
      taken += length;
    }
  }

  #commit(lengthBytes: number): void {
    this.#spool?.commit(lengthBytes);
    this.#ranged?.overtakenTo(this.receivedBytes);
    const quietMs = this.#options.clock.elapsed() - this.#wokenAtMs;
    if (quietMs >= wakeEveryMs) this.#wake();
    else this.#cancelWake ??= this.#options.clock.after(wakeEveryMs - quietMs, () => this.#wake());
  }

  async #reserve(): Promise<Buffer> {
    const spool = this.#spool;
    if (!spool) throw new Error("a fill without a spool");
    for (;;) {
      this.#abort.signal.throwIfAborted();
      spool.grow();
      const target = spool.reserve();
      if (target) return target;
      await this.#space(spool);
    }
  }

  /** Waits for room. In a stream that is not kept, the reader in whose way the others stand gets a few seconds and is cut then. */
  async #space(spool: Spool): Promise<void> {
    if (spool.isOnDisk) return await spool.space();
    const space = spool.space();
    const cancel = this.#options.clock.after(slowReaderMs, () => {
      const needed = Math.min(...[...this.#readers].map((reader) => reader.positionBytes));
      for (const reader of this.#readers) {
        if (reader.positionBytes === needed)
          reader.cut(new OciError("OVERLOADED", `too slow for ${this.digest}, which cannot be kept here: the disk is full or failing`));
      }
      spool.freed();
    });
    await space;
    cancel();
  }

  #prepareRanges(sizeBytes: number | undefined): void {
    if (sizeBytes === undefined || this.#ranged) return;
    const { upstream, repository, digest, requestId, storage, clock, run } = this.#options;
    this.#ranged = new RangedFetches({
      sizeBytes,
      limitBytes: sizeBytes - heldBackBytes,
      fetch: (startBytes, endBytes, signal) =>
        upstream.getBlob(repository, digest, { signal, requestId, purpose: "pull", mayFetch: true, ranges: [{ startBytes, endBytes }] }),
      temporaryPath: () => storage.temporaryPath(),
      clock,
      run,
    });
  }

  /** The digest is right: readers have the rest already; now the file becomes part of the store. */
  async #publish(): Promise<void> {
    const { storage, log } = this.#options;
    const kept = await this.#spool?.flushed();
    if (!kept) return;
    try {
      await kept.file.sync();
      await storage.publish(kept.path, { sizeBytes: this.receivedBytes, repositories: [...this.#repositories.values()] });
      const ms = Math.round(this.#options.clock.elapsed() - this.#startedAtMs);
      log.debug({ repository: repositoryName(this.repository), digest: this.digest, bytes: this.receivedBytes, ms }, "blob stored");
    } catch (error) {
      storage.onDiskFailure(error);
      await storage.remove(kept.path);
    }
  }

  async #keepPart(error: unknown): Promise<void> {
    const path = this.#spool?.path;
    if (path === undefined) return;
    await this.#spool?.flushed();
    const isWorthKeeping = this.isKept && this.receivedBytes > heldBackBytes && !isUnknown(error) && this.#generation === 0;
    if (isWorthKeeping) await this.#options.storage.leave(path);
    else await this.#options.storage.remove(path);
  }

  #leave(reader: FillReader): void {
    this.#readers.delete(reader);
    this.#spool?.freed();
    if (this.#over && this.#readers.size === 0) this.#close();
    else if (!this.isKept && this.#readers.size === 0) this.pause("nobody reads it any more, and it cannot be kept");
    this.#options.onReaders(this);
  }

  #finish(): void {
    this.#over = true;
    if (this.#readers.size === 0) this.#close();
  }

  #close(): void {
    this.#options.run("close a fill", Promise.all([this.#spool?.close(), this.#ranged?.close()]));
    this.#spool = undefined;
  }

  #become(state: FillState): void {
    this.#state = state;
    this.#wake();
  }

  #wake(): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    this.#wokenAtMs = this.#options.clock.elapsed();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
