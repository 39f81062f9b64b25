/**
 * Fill: one blob of one registry on its way to the disk, and everybody who reads it meanwhile. It belongs to the server, not to
 * the client that began it: clients come and go, each at its own pace, while the bytes arrive once.
 *
 * The last 64 KiB are held back until the digest is right; if it is wrong, nobody has a whole blob and nothing is kept.
 */
import type { Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { Changes } from "./changes.ts";
import { FillReader, type FillState, type FollowedFill } from "./fill-reader.ts";
import type { RangedFetches } from "./ranged-fetches.ts";
import { heldBackBytes, Reception, type ReceptionOptions } from "./reception.ts";

type WhatToReceive = "upstream" | "repository" | "digest" | "requestId" | "storage" | "memory" | "clock" | "grantedBytes" | "patienceMs" | "share" | "run";

export interface FillOptions extends Pick<ReceptionOptions, WhatToReceive> {
  readonly log: Log;
  /** Resolves to what gives the place back when the registry has one for another fill. */
  readonly place: (signal: AbortSignal) => Promise<() => void>;
  /** A reader has left. */
  readonly onReaders: (fill: Fill) => void;
}

export class Fill implements FollowedFill {
  readonly digest: Digest;
  /** Through which repository it is asked of the registry. */
  readonly repository: Repository;
  readonly startedAtMs: number;
  /** Resolves when it is over, well or not, and its files are where they belong. */
  readonly ended: Promise<void>;
  readonly #options: FillOptions;
  readonly #abort = new AbortController();
  readonly #changes: Changes;
  readonly #reception: Reception;
  readonly #readers = new Set<FillReader>();
  readonly #repositories = new Map<string, Repository>();
  #state: FillState = { kind: "beginning" };
  #isQueued = true;
  #isOver = false;

  constructor(options: FillOptions) {
    const { digest, repository, clock } = options;
    this.#options = options;
    this.digest = digest;
    this.repository = repository;
    this.startedAtMs = clock.elapsed();
    this.#changes = new Changes(clock);
    this.#reception = new Reception({
      ...options,
      signal: this.#abort.signal,
      onArriving: (sizeBytes) => this.#become({ kind: "arriving", sizeBytes }),
      onBytes: () => this.#changes.tellSoon(),
      onWrong: (whose) => this.#beginAgain(whose),
      neededFrom: () => Math.min(...[...this.#readers].map(({ positionBytes }) => positionBytes)),
      onSlow: (positionBytes) => this.#cutThoseAt(positionBytes),
    });
    this.ended = this.#run().finally(() => this.#end());
  }

  get state(): FillState {
    return this.#state;
  }

  get readerCount(): number {
    return this.#readers.size;
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
    return this.#reception.generation;
  }

  get receivedBytes(): number {
    return this.#reception.receivedBytes;
  }

  get isKept(): boolean {
    return this.#reception.spool?.isOnDisk ?? true;
  }

  get ranged(): RangedFetches | undefined {
    return this.#reception.ranged;
  }

  get sizeBytes(): number | undefined {
    return this.#state.kind === "arriving" || this.#state.kind === "verified" ? this.#state.sizeBytes : undefined;
  }

  /** False when it is over, or its first bytes are gone: then a new fill has to begin. */
  canJoin(positionBytes = 0): boolean {
    return !this.#isOver && this.#state.kind !== "failed" && !this.wasPaused && (this.#reception.spool?.canServe(positionBytes) ?? true);
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
    return this.#changes.next();
  }

  /** Resolves when `isTrue` of the state and of how much is there; never rejects. */
  async until(isTrue: (state: FillState, receivedBytes: number) => boolean): Promise<FillState> {
    while (!isTrue(this.#state, this.receivedBytes)) await this.#changes.next();
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
    const { spool } = this.#reception;
    const length = spool?.read(target, positionBytes, this.releasedBytes());
    if (!this.isKept) spool?.freed();
    if (length === undefined) throw this.#tooSlow();
    return length;
  }

  etaMs(positionBytes: number): number | undefined {
    return this.#reception.etaMs(positionBytes);
  }

  /** Stops it; what has come stays for a later fill. */
  pause(reason: string): void {
    this.#abort.abort(new OciError("OVERLOADED", reason, { retryAfterMs: 1_000 }));
  }

  async #run(): Promise<void> {
    let giveBack: (() => void) | undefined;
    try {
      giveBack = await this.#options.place(this.#abort.signal);
      this.#isQueued = false;
      await this.#reception.receive();
    } catch (error) {
      giveBack?.();
      this.#become({ kind: "failed", error: this.wasPaused ? this.#abort.signal.reason : error });
      return await this.#keepPart(error);
    }
    giveBack();
    this.#become({ kind: "verified", sizeBytes: this.receivedBytes });
    await this.#publish();
  }

  /** The digest is right: readers have the rest already, whatever comes of the file, which now becomes part of the store. */
  async #publish(): Promise<void> {
    const { storage, log, clock } = this.#options;
    const { spool } = this.#reception;
    const kept = await spool?.flushed();
    if (!kept) {
      // What was written before the disk failed: left there, it would keep the disk full.
      if (spool?.path !== undefined) await storage.remove(spool.path);
      return;
    }
    try {
      await kept.file.sync();
      await storage.publish(kept.path, { sizeBytes: this.receivedBytes, repositories: [...this.#repositories.values()] });
      const ms = Math.round(clock.elapsed() - this.startedAtMs);
      log.debug({ repository: repositoryName(this.repository), digest: this.digest, bytes: this.receivedBytes, ms }, "blob stored");
    } catch (error) {
      storage.onDiskFailure(error);
      await storage.remove(kept.path);
    }
  }

  async #keepPart(error: unknown): Promise<void> {
    const { spool, generation } = this.#reception;
    if (spool?.path === undefined) return;
    await spool.flushed();
    const isWorthKeeping = this.isKept && this.receivedBytes > heldBackBytes && !isUnknown(error) && generation === 0;
    if (isWorthKeeping) await this.#options.storage.leave(spool.path);
    else await this.#options.storage.remove(spool.path);
  }

  #beginAgain(whose: "upstream" | "left"): void {
    const message = whose === "upstream" ? "upstream sent wrong bytes" : "what was left of a download is damaged";
    this.#options.log.warn({ repository: repositoryName(this.repository), digest: this.digest }, message);
    this.#become({ kind: "beginning" });
  }

  #cutThoseAt(positionBytes: number): void {
    for (const reader of this.#readers) if (reader.positionBytes === positionBytes) reader.cut(this.#tooSlow());
  }

  #tooSlow(): OciError {
    return new OciError("OVERLOADED", `too slow for ${this.digest}, which cannot be kept here: the disk is full or failing`);
  }

  #leave(reader: FillReader): void {
    this.#readers.delete(reader);
    this.#reception.spool?.freed();
    if (this.#readers.size === 0) this.#left();
    this.#options.onReaders(this);
  }

  /** Nobody reads it any more. */
  #left(): void {
    if (this.#isOver) this.#close();
    else if (!this.isKept) this.pause("nobody reads it any more, and it cannot be kept");
    else if (this.#state.kind === "arriving" && this.#state.sizeBytes === undefined) this.pause("nobody reads it any more, and it may never end");
  }

  #end(): void {
    this.#isOver = true;
    if (this.#readers.size === 0) this.#close();
  }

  #close(): void {
    this.#options.run("close a fill", this.#reception.close());
  }

  #become(state: FillState): void {
    this.#state = state;
    this.#changes.tell();
  }
}
