/**
 * ByteSource: bytes that come one after the other, out of files, a pipe, or a decompressor. What lies in files is passed over without
 * being read.
 */
import { open, type FileHandle } from "node:fs/promises";
import type { BundlePart } from "./bundle-parts.ts";
import { BundleRefused } from "./bundle-refused.ts";
import { decompressed, packingOf } from "./decompression.ts";

/** Dispose of it. */
export interface ByteSource extends AsyncDisposable {
  /** Fills `target`; less only at the end. Throws `BundleRefused` for bytes that cannot be decompressed, and the system's error. */
  read(target: Uint8Array): Promise<number>;
  /** Passes over so many bytes; resolves to how many there were. Throws as `read`. */
  skip(sizeBytes: number): Promise<number>;
}

const pieceBytes = 1024 * 1024;
const magicBytes = 4;

/** Files as one. Compressed ones are decompressed. */
export async function openFiles(parts: readonly BundlePart[]): Promise<ByteSource> {
  const files = new FileSource(parts);
  const start = await files.peek(magicBytes);
  return unpacked(start, files);
}

/** What comes by a pipe, decompressed if need be. */
export async function openStream(chunks: AsyncIterable<Uint8Array>): Promise<ByteSource> {
  const stream = new StreamSource(chunks);
  const start = await stream.peek(magicBytes);
  return unpacked(start, stream);
}

class FileSource implements ByteSource {
  readonly #parts: readonly BundlePart[];
  #at = 0;
  #positionBytes = 0;
  #file: FileHandle | undefined;

  constructor(parts: readonly BundlePart[]) {
    this.#parts = parts;
  }

  async read(target: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < target.byteLength) {
      const file = await this.#current();
      if (!file) break;
      const { bytesRead } = await file.read(target, filled, target.byteLength - filled, this.#positionBytes);
      this.#positionBytes += bytesRead;
      filled += bytesRead;
      if (bytesRead === 0) await this.#next();
    }
    return filled;
  }

  async skip(sizeBytes: number): Promise<number> {
    let left = sizeBytes;
    for (let part = this.#parts[this.#at]; part && left > 0; part = this.#parts[this.#at]) {
      const skipped = Math.min(left, Math.max(part.sizeBytes - this.#positionBytes, 0));
      this.#positionBytes += skipped;
      left -= skipped;
      if (left > 0) await this.#next();
    }
    return sizeBytes - left;
  }

  /** The first bytes, which stay. Only at the start. */
  async peek(sizeBytes: number): Promise<Buffer> {
    const start = Buffer.alloc(sizeBytes);
    const length = await this.read(start);
    await this.#next();
    [this.#at, this.#positionBytes] = [0, 0];
    return start.subarray(0, length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #current(): Promise<FileHandle | undefined> {
    const part = this.#parts[this.#at];
    if (part) this.#file ??= await open(part.path, "r");
    return this.#file;
  }

  async #next(): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#at += 1;
    this.#positionBytes = 0;
  }
}

class StreamSource implements ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async read(target: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < target.byteLength && (await this.#hasMore())) {
      const piece = this.#rest.subarray(0, target.byteLength - filled);
      target.set(piece, filled);
      filled += piece.byteLength;
      this.#rest = this.#rest.subarray(piece.byteLength);
    }
    return filled;
  }

  async skip(sizeBytes: number): Promise<number> {
    let skipped = 0;
    while (skipped < sizeBytes && (await this.#hasMore())) {
      const length = Math.min(this.#rest.byteLength, sizeBytes - skipped);
      this.#rest = this.#rest.subarray(length);
      skipped += length;
    }
    return skipped;
  }

  async peek(sizeBytes: number): Promise<Buffer> {
    const start = Buffer.alloc(sizeBytes);
    const length = await this.read(start);
    this.#rest = Buffer.concat([start.subarray(0, length), this.#rest]);
    return start.subarray(0, length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }

  async #hasMore(): Promise<boolean> {
    while (this.#rest.byteLength === 0) {
      const { done, value } = await this.#chunks.next();
      if (done === true) return false;
      this.#rest = value;
    }
    return true;
  }
}

function unpacked(start: Buffer, source: ByteSource): ByteSource {
  return packingOf(start) === "none" ? source : new StreamSource(refusing(decompressed(piecesOf(source))));
}

async function* refusing(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    throw new BundleRefused(`cannot be decompressed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** What is left of a source, which is closed at the end. */
async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  await using _closed = source;
  for (;;) {
    const piece = Buffer.allocUnsafe(pieceBytes);
    const length = await source.read(piece);
    if (length === 0) return;
    yield piece.subarray(0, length);
  }
}
