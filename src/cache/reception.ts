/**
 * Reception: the bytes of one blob on their way from its registry into a spool, until they are right. What an earlier process left
 * is gone on with; wrong bytes are asked for once more.
 */
import type { Clock } from "../oci/clock.ts";
import { algorithmOf, Digester, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { Registry } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import { FillSource } from "./fill-source.ts";
import type { FillStorage } from "./fill-storage.ts";
import type { LoopShare } from "./loop-share.ts";
import { copyPart } from "./part-copy.ts";
import { RangedFetches } from "./ranged-fetches.ts";
import type { RingMemory } from "./ring-memory.ts";
import { Spool } from "./spool.ts";

/** What is held back until the digest is right. */
export const heldBackBytes = 64 * 1024;

/** In a stream that is not kept, a reader that takes nothing for so long is cut for the others' sake. */
const slowReaderMs = 5_000;
/** Before so much time or so many bytes nobody can tell how fast a stream is. */
const rateKnownAfterMs = 250;
const rateKnownAfterBytes = 1024 * 1024;

export interface ReceptionOptions {
  readonly upstream: Registry;
  readonly repository: Repository;
  readonly digest: Digest;
  readonly requestId: string;
  readonly storage: FillStorage;
  readonly memory: RingMemory;
  readonly clock: Clock;
  /** The blob's size, where the repository may show it without asking. */
  readonly grantedBytes: number | undefined;
  /** How long nothing may move before it is given up. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
  /** What all receptions may take of a turn together. */
  readonly share: LoopShare;
  readonly run: (name: string, work: Promise<unknown>) => void;
  /** The upstream answers: bytes follow. */
  readonly onArriving: (sizeBytes: number | undefined) => void;
  readonly onBytes: () => void;
  /** What came, or was left of an earlier fill, was wrong and is forgotten; it begins again. */
  readonly onWrong: (whose: "upstream" | "left") => void;
  /** The first byte that some reader still needs; Infinity when nobody reads. */
  readonly neededFrom: () => number;
  /** Readers that need the byte at `positionBytes` have kept the others waiting for too long. */
  readonly onSlow: (positionBytes: number) => void;
}

/** What is left of an earlier fill. */
interface Claim {
  readonly path: string;
  /** Every byte is there. */
  readonly isWhole: boolean;
  /** How much of it is gone on from. */
  readonly lengthBytes: number;
}

export class Reception {
  readonly #options: ReceptionOptions;
  readonly #source: FillSource;
  #spool: Spool | undefined;
  #ranged: RangedFetches | undefined;
  #generation = 0;
  #sinceMs = 0;
  #fromBytes = 0;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.#source = new FillSource(options);
  }

  get spool(): Spool | undefined {
    return this.#spool;
  }

  get ranged(): RangedFetches | undefined {
    return this.#ranged;
  }

  /** Counts how often it began anew: bytes of different generations belong to different streams. */
  get generation(): number {
    return this.#generation;
  }

  get receivedBytes(): number {
    return this.#spool?.receivedBytes ?? 0;
  }

  /** Resolves when every byte is in the spool, in the file if there is one, and right. Rejects when it has to be given up. */
  async receive(): Promise<void> {
    const { repository, digest, storage, onWrong } = this.#options;
    const claimed = await this.#claim();
    try {
      if (await this.#receiveOnce(claimed)) return;
      this.#generation += 1;
      if (claimed) await this.#source.close();
      else await this.#source.distrust();
      onWrong(claimed ? "left" : "upstream");
      await this.#ranged?.close();
      this.#ranged = undefined;
      await this.#spool?.reset();
      if (await this.#receiveOnce(undefined)) return;
      throw new OciError("UPSTREAM_UNAVAILABLE", `${repository.host} sent other bytes than ${digest}`, { source: "upstream" });
    } finally {
      await this.#source.close();
      if (claimed) await storage.leave(claimed.path); // Unless it was copied: then it is gone.
    }
  }

  /** How long until it comes to `positionBytes` at its present rate; Infinity when it stands, undefined when it is too early to tell. */
  etaMs(positionBytes: number): number | undefined {
    const elapsedMs = this.#options.clock.elapsed() - this.#sinceMs;
    const arrivedBytes = this.receivedBytes - this.#fromBytes;
    if (elapsedMs < rateKnownAfterMs && arrivedBytes < rateKnownAfterBytes) return undefined;
    return ((positionBytes - this.receivedBytes) * elapsedMs) / arrivedBytes;
  }

  /** Closes the files. Nothing may be read any more. */
  async close(): Promise<void> {
    await Promise.all([this.#spool?.close(), this.#ranged?.close()]);
  }

  /**
   * What an earlier fill left. Whole, where the size is known and we may show the blob without asking: then it only lacked its name
   * when its process was killed. Else without its last byte: asking for that proves that we still may have it.
   */
  async #claim(): Promise<Claim | undefined> {
    const claimed = await this.#options.storage.findClaimed();
    if (!claimed) return undefined;
    const { path, sizeBytes } = claimed;
    const isWhole = sizeBytes === this.#options.grantedBytes;
    return { path, isWhole, lengthBytes: isWhole ? sizeBytes : Math.max(0, sizeBytes - 1) };
  }

  /** Receives the blob once, going on from what is claimed. False when it is wrong. */
  async #receiveOnce(claimed: Claim | undefined): Promise<boolean> {
    const { storage, digest, clock, share, onArriving } = this.#options;
    const digester = new Digester(algorithmOf(digest));
    const begun = await this.#begin(claimed);
    if (begun === "beyond") return false;
    const { sizeBytes } = begun;
    const spool = await this.#openSpool(sizeBytes);
    this.#ranged = this.#rangedFetches(sizeBytes);
    this.#fromBytes = claimed?.lengthBytes ?? 0;
    this.#sinceMs = clock.elapsed();
    onArriving(sizeBytes);
    if (claimed && !(await this.#takeOver(claimed, spool, digester))) return false;
    while (!claimed?.isWhole) {
      const target = await this.#reserve(spool);
      const length = await this.#source.read(target, spool.receivedBytes);
      if (length === 0) break;
      if (sizeBytes !== undefined && spool.receivedBytes + length > sizeBytes) return false;
      digester.update(target.subarray(0, length));
      this.#commit(spool, length);
      await share.spend(length);
    }
    if (digester.digest() !== digest) return false;
    // Whoever gets the last bytes may rely on them: they are in the file before they leave, and a kill from here on loses nothing.
    if (await spool.flushed()) await storage.recordDelivery({ isPublic: this.#source.isPublic && !claimed });
    return true;
  }

  /** Where the bytes after what is claimed come from, and how many there are in all; "beyond" when the blob ends before what is claimed does. */
  async #begin(claimed: Claim | undefined): Promise<{ readonly sizeBytes: number | undefined } | "beyond"> {
    if (claimed?.isWhole) return { sizeBytes: claimed.lengthBytes };
    try {
      return { sizeBytes: (await this.#source.begin(claimed?.lengthBytes ?? 0)) ?? this.#namedBytes() };
    } catch (error) {
      if (!claimed || !(error instanceof OciError) || error.code !== "RANGE_INVALID") throw error;
      await this.#options.storage.remove(claimed.path);
      return "beyond";
    }
  }

  /** Copies what is claimed into the spool. False when it cannot be read; it is gone afterwards, in any case. */
  async #takeOver(claimed: Claim, spool: Spool, digester: Digester): Promise<boolean> {
    const isWhole = await copyPart({ ...claimed, receive: async (bytes) => await this.#take(spool, bytes, digester) });
    await this.#options.storage.remove(claimed.path);
    return isWhole;
  }

  /** What a manifest says, where the upstream says nothing; once it was wrong, nobody knows. */
  #namedBytes(): number | undefined {
    return this.#generation === 0 ? this.#options.grantedBytes : undefined;
  }

  async #openSpool(sizeBytes: number | undefined): Promise<Spool> {
    const { storage, memory, neededFrom } = this.#options;
    const onDiskFailure = (error: unknown): void => storage.onDiskFailure(error);
    this.#spool ??= await Spool.open({
      path: await storage.partPath({ sizeBytes, arrivedBytes: () => this.receivedBytes }),
      sizeBytes,
      memory,
      neededFrom,
      onDiskFailure,
    });
    return this.#spool;
  }

  async #take(spool: Spool, bytes: Uint8Array, digester: Digester): Promise<void> {
    digester.update(bytes);
    for (let taken = 0; taken < bytes.byteLength;) {
      const target = await this.#reserve(spool);
      const length = Math.min(target.byteLength, bytes.byteLength - taken);
      target.set(bytes.subarray(taken, taken + length));
      this.#commit(spool, length);
      await this.#options.share.spend(length);
      taken += length;
    }
  }

  #commit(spool: Spool, lengthBytes: number): void {
    spool.commit(lengthBytes);
    this.#ranged?.overtakenTo(spool.receivedBytes);
    this.#options.onBytes();
  }

  async #reserve(spool: Spool): Promise<Buffer> {
    for (;;) {
      this.#options.signal.throwIfAborted();
      spool.grow();
      const target = spool.reserve();
      if (target) return target;
      await this.#space(spool);
    }
  }

  /** Waits for room. In a stream that is not kept, those in whose way the others stand get a few seconds and are cut then. */
  async #space(spool: Spool): Promise<void> {
    if (spool.isOnDisk) return await spool.space();
    const { clock, onSlow, neededFrom } = this.#options;
    const space = spool.space();
    const cancel = clock.after(slowReaderMs, () => {
      onSlow(neededFrom());
      spool.freed();
    });
    await space;
    cancel();
  }

  #rangedFetches(sizeBytes: number | undefined): RangedFetches | undefined {
    if (sizeBytes === undefined) return undefined;
    const { upstream, repository, digest, requestId, storage, run } = this.#options;
    return new RangedFetches({
      sizeBytes,
      limitBytes: sizeBytes - heldBackBytes,
      fetch: (startBytes, endBytes, signal) =>
        upstream.getBlob(repository, digest, { signal, requestId, purpose: "pull", mayFetch: true, ranges: [{ startBytes, endBytes }] }),
      temporaryPath: () => storage.temporaryPath(),
      run,
    });
  }
}
