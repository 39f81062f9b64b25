/**
 * RangedBlob: several parts of a blob, in the order asked. Few upstreams answer several ranges in one request, and no two alike; so
 * each part is a request of its own, made when its turn has come.
 */
import type { Descriptor } from "../oci/descriptor.ts";
import { OciError } from "../oci/errors.ts";
import type { ByteRange } from "../oci/ranges.ts";
import type { BlobContent } from "../oci/registry.ts";
import type { NetworkBlob } from "./network-blob.ts";

export interface RangedBlobOptions {
  readonly ranges: readonly ByteRange[];
  /** The first part, already on its way. */
  readonly first: NetworkBlob;
  /** Asks for another. */
  readonly open: (range: ByteRange) => Promise<NetworkBlob>;
}

export class RangedBlob implements BlobContent {
  readonly descriptor: Descriptor;
  readonly kind = "partial";
  readonly ranges: readonly ByteRange[];
  readonly #open: (range: ByteRange) => Promise<NetworkBlob>;
  #part: NetworkBlob;
  #index = 0;
  #isDisposed = false;

  constructor({ ranges, first, open }: RangedBlobOptions) {
    this.descriptor = first.descriptor;
    this.ranges = ranges;
    this.#part = first;
    this.#open = open;
  }

  /** A position outside the part that is being read begins the next part that holds it. */
  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    if (!this.#isNext(positionBytes)) await this.#advanceTo(positionBytes);
    const count = await this.#part.read(target, positionBytes);
    const range = this.ranges[this.#index];
    if (count > 0 || target.length === 0 || !range || positionBytes > range.endBytes) return count;
    throw new OciError("UPSTREAM_UNAVAILABLE", `a part of ${this.descriptor.digest} ended at byte ${positionBytes}, not at ${range.endBytes}`, {
      source: "upstream",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.#part[Symbol.asyncDispose]();
  }

  #isNext(positionBytes: number): boolean {
    const range = this.ranges[this.#index];
    return range !== undefined && positionBytes >= this.#part.positionBytes && positionBytes <= range.endBytes + 1;
  }

  async #advanceTo(positionBytes: number): Promise<void> {
    const index = this.ranges.findIndex((range, at) => at > this.#index && positionBytes >= range.startBytes && positionBytes <= range.endBytes);
    const range = this.ranges[index];
    if (!range) throw new OciError("RANGE_INVALID", `byte ${positionBytes} lies in no part that is still to come`);
    await this.#part[Symbol.asyncDispose]();
    const part = await this.#open(range);
    this.#part = part;
    this.#index = index;
    if (this.#isDisposed) await part[Symbol.asyncDispose]();
  }
}
