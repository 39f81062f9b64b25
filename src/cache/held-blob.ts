/** HeldBlob: a blob that is here, read from its open file or, when small, from memory. */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { resolveRanges, type ByteRange, type RangeSpec } from "../oci/ranges.ts";
import type { Answered, BlobContent } from "../oci/registry.ts";
import type { OpenBlob } from "./open-blob.ts";
import { CutShort } from "./unbroken-blob.ts";

/** A whole blob or, with `specs`, parts of it. Throws `RANGE_INVALID`; then `source` has been released. Reading rejects with the system's error, or `CutShort`. */
export function heldBlob(digest: Digest, source: OpenBlob | Buffer, specs: readonly RangeSpec[] | undefined): BlobContent & Answered {
  const sizeBytes = Buffer.isBuffer(source) ? source.byteLength : source.sizeBytes;
  try {
    const ranges = specs && resolveRanges(specs, sizeBytes);
    return new HeldBlob({ mediaType: mediaTypes.octetStream, digest, sizeBytes }, source, ranges);
  } catch (error) {
    if (!Buffer.isBuffer(source)) source.release();
    throw error;
  }
}

const noWarnings: readonly string[] = [];
const noRanges: readonly ByteRange[] = [];

class HeldBlob implements BlobContent, Answered {
  readonly descriptor: Descriptor;
  readonly kind: "full" | "partial";
  readonly ranges: readonly ByteRange[];
  readonly outcome = "hit";
  readonly warnings = noWarnings;
  readonly #source: OpenBlob | Buffer;
  #disposed = false;

  constructor(descriptor: Descriptor, source: OpenBlob | Buffer, ranges: readonly ByteRange[] | undefined) {
    this.descriptor = descriptor;
    this.kind = ranges ? "partial" : "full";
    this.ranges = ranges ?? noRanges;
    this.#source = source;
  }

  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    if (Buffer.isBuffer(this.#source)) return this.#source.copy(target, 0, positionBytes);
    const { bytesRead } = await this.#source.handle.read(target, 0, target.byteLength, positionBytes);
    if (bytesRead === 0 && target.byteLength > 0 && positionBytes < this.#source.sizeBytes) {
      throw new CutShort(`${this.descriptor.digest} ends on the disk at byte ${positionBytes} or before, not at ${this.#source.sizeBytes}`);
    }
    return bytesRead;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!Buffer.isBuffer(this.#source)) this.#source.release();
  }
}
