/**
 * UnbrokenBlob: a blob whose reader does not notice that the disk fails under it. What cannot be read where it lies is pulled
 * again from there on, as if it had never been held.
 */
import type { Descriptor } from "../oci/descriptor.ts";
import { OciError } from "../oci/errors.ts";
import type { ByteRange } from "../oci/ranges.ts";
import type { Answered, BlobContent } from "../oci/registry.ts";
import { isStorageFailure } from "./atomic-write.ts";

/** A file that ended before its blob did: somebody cut it while it was open. */
export class CutShort extends Error {}

export interface UnbrokenBlobOptions {
  readonly content: BlobContent & Answered;
  /** Where the rest comes from: `ranges` of the same blob, or all of it. Told why. Rejects when it cannot be had. */
  readonly pullAgain: (error: unknown, ranges: readonly ByteRange[] | undefined) => Promise<BlobContent & Answered>;
}

export class UnbrokenBlob implements BlobContent, Answered {
  readonly descriptor: Descriptor;
  readonly kind: "full" | "partial";
  readonly ranges: readonly ByteRange[];
  readonly warnings: readonly string[];
  readonly #pullAgain: UnbrokenBlobOptions["pullAgain"];
  #content: BlobContent & Answered;
  #isDisposed = false;

  constructor({ content, pullAgain }: UnbrokenBlobOptions) {
    const { descriptor, kind, ranges, warnings } = content;
    this.descriptor = descriptor;
    this.kind = kind;
    this.ranges = ranges;
    this.warnings = warnings;
    this.#content = content;
    this.#pullAgain = pullAgain;
  }

  get outcome(): Answered["outcome"] {
    return this.#content.outcome;
  }

  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    try {
      return await this.#content.read(target, positionBytes);
    } catch (error) {
      if (!isStorageFailure(error) && !(error instanceof CutShort)) throw error;
      await this.#replace(error, positionBytes);
      return await this.#content.read(target, positionBytes);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.#content[Symbol.asyncDispose]();
  }

  async #replace(error: unknown, positionBytes: number): Promise<void> {
    // Before anything else: a fill that lost its file may be waiting for this very reader.
    await this.#content[Symbol.asyncDispose]();
    const content = await this.#pullAgain(error, this.#rangesFrom(positionBytes));
    const before = this.descriptor.sizeBytes;
    const { sizeBytes } = content.descriptor;
    const isAnother = before !== undefined && sizeBytes !== undefined && before !== sizeBytes;
    if (this.#isDisposed || isAnother) {
      await content[Symbol.asyncDispose]();
      throw new OciError("UPSTREAM_UNAVAILABLE", `the rest of ${this.descriptor.digest} is of another size: ${sizeBytes} bytes in all, not ${before}`);
    }
    this.#content = content;
  }

  /** What is still to be read: ranges are read in the order asked, each from its beginning to its end. */
  #rangesFrom(positionBytes: number): readonly ByteRange[] | undefined {
    if (this.kind === "full") {
      const { sizeBytes } = this.descriptor;
      return positionBytes === 0 || sizeBytes === undefined ? undefined : [{ startBytes: positionBytes, endBytes: sizeBytes - 1 }];
    }
    const at = this.ranges.findIndex(({ startBytes, endBytes }) => startBytes <= positionBytes && positionBytes <= endBytes);
    return this.ranges.slice(Math.max(0, at)).map((range, index) => (index === 0 && at >= 0 ? { ...range, startBytes: positionBytes } : range));
  }
}
