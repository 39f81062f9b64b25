/** FillReader: one reader of an arriving blob, at its own pace. */
import type { Clock } from "../oci/clock.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { ByteRange } from "../oci/ranges.ts";
import type { BlobContent } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import type { RangedFetches } from "./ranged-fetches.ts";

/** What a reader sees of the fill that it follows. */
export interface FollowedFill {
  readonly digest: Digest;
  readonly repository: Repository;
  readonly state: FillState;
  /** Counts how often it began anew: what was read before belongs to another stream. */
  readonly generation: number;
  readonly receivedBytes: number;
  /** False when the ring in memory is all there is. */
  readonly isKept: boolean;
  readonly ranged: RangedFetches | undefined;
  releasedBytes(): number;
  read(target: Uint8Array, positionBytes: number): number | Promise<number>;
  etaMs(positionBytes: number): number | undefined;
  changed(): Promise<void>;
}

export type FillState =
  /** In the queue, or asking upstream: nothing is promised yet. */
  | { readonly kind: "beginning" }
  | { readonly kind: "arriving"; readonly sizeBytes: number | undefined }
  /** Every byte is here and right; the file is on its way to its final name. */
  | { readonly kind: "verified"; readonly sizeBytes: number }
  | { readonly kind: "failed"; readonly error: unknown };

/** A range that the fill reaches within this time waits for it. */
const waitForFillMs = 5_000;
/** How often a reader far ahead of the fill looks again. */
const lookAgainMs = 250;

export class FillReader implements BlobContent {
  descriptor: Descriptor;
  kind: "full" | "partial" = "full";
  ranges: readonly ByteRange[] = [];
  /** The next byte that this reader needs. */
  positionBytes = 0;
  readonly #fill: FollowedFill;
  readonly #clock: Clock;
  readonly #onLeave: (reader: FillReader) => void;
  #generation: number | undefined;
  #cut: OciError | undefined;
  #left = false;

  constructor(fill: FollowedFill, clock: Clock, onLeave: (reader: FillReader) => void) {
    this.#fill = fill;
    this.#clock = clock;
    this.#onLeave = onLeave;
    this.descriptor = { mediaType: mediaTypes.octetStream, digest: fill.digest, sizeBytes: undefined };
  }

  /** From now on this reader answers a blob of this size, or just these ranges of it. */
  answer(sizeBytes: number | undefined, ranges: readonly ByteRange[] | undefined): void {
    this.descriptor = { ...this.descriptor, sizeBytes };
    if (!ranges) return;
    this.kind = "partial";
    this.ranges = ranges;
    this.positionBytes = ranges[0]?.startBytes ?? 0;
  }

  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    this.positionBytes = positionBytes;
    for (;;) {
      this.#check();
      if (positionBytes < this.#fill.releasedBytes()) return await this.#take(target, positionBytes);
      const { state } = this.#fill;
      if (state.kind === "verified") return 0;
      const length = await this.#readAhead(target, positionBytes);
      if (length !== undefined) return length;
    }
  }

  /** Ends this reader with `error`. */
  cut(error: OciError): void {
    this.#cut = error;
    this.#leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
  }

  #leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#onLeave(this);
  }

  async #take(target: Uint8Array, positionBytes: number): Promise<number> {
    this.#generation ??= this.#fill.generation;
    const length = await this.#fill.read(target, positionBytes);
    // Bytes of a stream that turned out wrong, and was begun again while we read.
    this.#check();
    this.positionBytes = positionBytes + length;
    return length;
  }

  /** Waits for the fill, or, too far ahead of it, takes what a fetch of its own brings. Undefined: look again. */
  async #readAhead(target: Uint8Array, positionBytes: number): Promise<number | undefined> {
    const { ranged, receivedBytes, state } = this.#fill;
    const isAhead = state.kind === "arriving" && this.kind === "partial" && positionBytes > receivedBytes;
    if (!ranged || !isAhead || positionBytes >= ranged.limitBytes) return await this.#wait(this.#fill.changed());
    const etaMs = this.#fill.etaMs(positionBytes);
    if (etaMs !== undefined && etaMs > waitForFillMs && this.#fill.isKept) {
      const range = this.ranges.find(({ startBytes, endBytes }) => startBytes <= positionBytes && positionBytes <= endBytes);
      const length = await ranged.read(target, positionBytes, range?.endBytes ?? positionBytes);
      if (length !== undefined) {
        this.#generation ??= this.#fill.generation;
        return length;
      }
    }
    return await this.#wait(this.#fill.changed(), lookAgainMs);
  }

  async #wait(changed: Promise<void>, atMostMs?: number): Promise<undefined> {
    if (atMostMs === undefined) {
      await changed;
      return undefined;
    }
    let cancel: (() => void) | undefined;
    await Promise.race([changed, new Promise<void>((resolve) => (cancel = this.#clock.after(atMostMs, resolve)))]);
    cancel?.();
    return undefined;
  }

  #check(): void {
    if (this.#cut) throw this.#cut;
    if (this.#left) throw new OciError("OVERLOADED", "the reader has left");
    const { state } = this.#fill;
    if (state.kind === "failed") throw state.error;
    if (this.#generation !== undefined && this.#generation !== this.#fill.generation) {
      throw new OciError("UPSTREAM_UNAVAILABLE", `what had come of ${this.#fill.digest} was wrong, and is asked for again`, { source: "upstream" });
    }
  }
}
