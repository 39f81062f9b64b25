/**
 * decompressed: the bytes within gzip or zstd, or the bytes themselves where they are neither; told by how they begin, never by a
 * file's name. Several members or frames, one behind the other, are one content.
 */
import { once } from "node:events";
import { PassThrough, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";

/** How bytes are packed. */
export type Packing = "gzip" | "zstd" | "none";

const outputBytes = 256 * 1024;
const zstdMagic = 0xfd2fb528;
const magicBytes = 4;

/** What the first bytes of something say; a few are enough. */
export function packingOf(head: Uint8Array): Packing {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  const word = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  return word.length >= magicBytes && word.readUInt32LE(0) === zstdMagic ? "zstd" : "none";
}

/** Throws what `source` throws, and zlib's error where the packing is torn. Whoever stops early closes `source`. */
export async function* decompressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = new Input(source);
  try {
    switch (packingOf(await input.peek(magicBytes))) {
      case "gzip":
        return yield* through(input.pieces(), createGunzip({ chunkSize: outputBytes }));
      case "zstd":
        while (!(await input.isAtEnd())) yield* oneFrame(input);
        return;
      case "none":
        return yield* input.pieces();
    }
  } finally {
    await input.close();
  }
}

async function* through(source: AsyncIterable<Uint8Array>, unpacking: Transform): AsyncGenerator<Uint8Array> {
  const output = new PassThrough({ highWaterMark: outputBytes });
  const piping = Promise.allSettled([pipeline(source, unpacking, output)]); // Its failure destroys `output`, who tells of it.
  try {
    yield* output as AsyncIterable<Uint8Array>;
  } finally {
    output.destroy();
    await piping;
  }
}

/** Node's zstd ends with the first frame: what it did not take of a piece goes back for the next one. */
async function* oneFrame(input: Input): AsyncGenerator<Uint8Array> {
  const frame = createZstdDecompress({ chunkSize: outputBytes });
  const feeding = Promise.allSettled([feed(input, frame)]);
  try {
    yield* frame as AsyncIterable<Uint8Array>;
  } finally {
    frame.destroy();
    await feeding;
  }
}

async function feed(input: Input, frame: ReturnType<typeof createZstdDecompress>): Promise<void> {
  const ended = once(frame, "close").catch(() => undefined); // An error is the reader's to hear of.
  let fedBytes = 0;
  try {
    for (let piece = await input.next(); piece; piece = await input.next()) {
      fedBytes += piece.byteLength;
      const { promise: taken, resolve } = Promise.withResolvers<void>();
      frame.write(piece, () => resolve());
      await Promise.race([taken, ended]);
      const leftBytes = fedBytes - frame.bytesWritten;
      if (leftBytes > 0) return input.putBack(piece.subarray(piece.byteLength - leftBytes));
      if (frame.destroyed) return;
    }
    frame.end();
  } catch (error) {
    frame.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Pieces that can be looked at before they are taken. */
class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  #kept: Uint8Array | undefined;
  #isOver = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async next(): Promise<Uint8Array | undefined> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept || this.#isOver) return kept;
    const { value, done } = await this.#source.next();
    if (done === true) this.#isOver = true;
    return done === true ? undefined : value;
  }

  putBack(piece: Uint8Array): void {
    this.#kept = piece;
  }

  /** The first bytes, which stay; fewer only where there are no more. */
  async peek(lengthBytes: number): Promise<Uint8Array> {
    let head = (await this.next()) ?? Buffer.alloc(0);
    while (head.byteLength < lengthBytes) {
      const more = await this.next();
      if (!more) break;
      head = Buffer.concat([head, more]);
    }
    this.putBack(head);
    return head;
  }

  async isAtEnd(): Promise<boolean> {
    return (await this.peek(1)).byteLength === 0;
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (let piece = await this.next(); piece; piece = await this.next()) yield piece;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#source.return?.();
  }
}
