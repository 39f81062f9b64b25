/** NetworkBlob: a blob as it comes from an upstream, read once from its first byte to its last. */
import type { Descriptor } from "../oci/descriptor.ts";
import { OciError } from "../oci/errors.ts";
import type { ByteRange } from "../oci/ranges.ts";
import type { BlobContent } from "../oci/registry.ts";
import type { NetworkBody } from "./network-body.ts";

export interface NetworkBlobOptions {
  readonly descriptor: Descriptor;
  /** The part that comes; undefined: the whole. */
  readonly range: ByteRange | undefined;
  readonly body: NetworkBody;
  /** So long it may stand still. */
  readonly pullTimeoutMs: number;
  /** For messages: who sends it. */
  readonly host: string;
}

export class NetworkBlob implements BlobContent {
  readonly descriptor: Descriptor;
  readonly kind: "full" | "partial";
  readonly ranges: readonly ByteRange[];
  readonly #body: NetworkBody;
  readonly #pullTimeoutMs: number;
  readonly #host: string;
  /** Where the bytes must end, when anybody has said. */
  readonly #endBytes: number | undefined;
  #positionBytes: number;

  constructor({ descriptor, range, body, pullTimeoutMs, host }: NetworkBlobOptions) {
    this.descriptor = descriptor;
    this.kind = range ? "partial" : "full";
    this.ranges = range ? [range] : [];
    this.#body = body;
    this.#pullTimeoutMs = pullTimeoutMs;
    this.#host = host;
    this.#endBytes = range ? range.endBytes + 1 : descriptor.sizeBytes;
    this.#positionBytes = range?.startBytes ?? 0;
  }

  /** The next byte that will come. */
  get positionBytes(): number {
    return this.#positionBytes;
  }

  /** Rejects with `UPSTREAM_TIMEOUT` when nothing comes, `UPSTREAM_UNAVAILABLE` when it was cut short. */
  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    if (positionBytes < this.#positionBytes) throw new OciError("RANGE_INVALID", `byte ${positionBytes} has passed already: ${this.#positionBytes} is next`);
    const aheadBytes = positionBytes - this.#positionBytes;
    if (aheadBytes > 0) this.#positionBytes += await this.#body.skip(aheadBytes, this.#pullTimeoutMs);
    const count = this.#positionBytes === positionBytes ? await this.#body.read(target, this.#pullTimeoutMs) : 0;
    this.#positionBytes += count;
    if (count === 0 && target.length > 0 && this.#endBytes !== undefined && this.#positionBytes !== this.#endBytes) throw this.#cut(this.#endBytes);
    return count;
  }

  /** Ends the connection, unless everything has come. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#body.destroy();
    return Promise.resolve();
  }

  #cut(endBytes: number): OciError {
    return new OciError("UPSTREAM_UNAVAILABLE", `${this.#host} sent a blob up to byte ${this.#positionBytes} of ${endBytes}`, { source: "upstream" });
  }
}
