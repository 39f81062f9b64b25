/**
 * Where a bundle goes: a file, numbered parts of one size, or a pipe. Files get their names when all of them are whole and on the disk:
 * an export that fails or is killed leaves nothing that looks like a bundle.
 */
import { open, rename, unlink, type FileHandle } from "node:fs/promises";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import { listParts, partName, type BundlePart } from "./bundle-parts.ts";

/** Where to: `-` is the pipe. A name that ends in `.zst` is compressed. */
export interface BundleTarget {
  readonly output: string;
  /** Split into parts of so many bytes. */
  readonly partBytes?: number | undefined;
  readonly standardOutput: () => Writable;
}

/** Ending of a file that is not whole yet. */
const partialEnding = ".partial";

/** Writes all of `bytes` there. Resolves to the files, none for a pipe. Rejects with what `bytes` or the disk throws, and leaves nothing then. */
export async function writeBundle(bytes: AsyncIterable<Uint8Array>, { output, partBytes, standardOutput }: BundleTarget): Promise<readonly BundlePart[]> {
  const isCompressed = output.endsWith(".zst");
  if (output === "-") {
    await pipeline(Readable.from(bytes, { objectMode: false }), standardOutput(), { end: false });
    return [];
  }
  const files = new PartFiles(output, partBytes);
  try {
    const write = async (pieces: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const piece of pieces) await files.write(piece);
    };
    if (isCompressed) await pipeline(Readable.from(bytes, { objectMode: false }), createZstdCompress(), write);
    else await write(bytes);
    return await files.finish();
  } catch (error) {
    await files.abandon();
    throw error;
  }
}

class PartFiles {
  readonly #output: string;
  readonly #partBytes: number | undefined;
  readonly #parts: { readonly path: string; sizeBytes: number }[] = [];
  #file: FileHandle | undefined;

  constructor(output: string, partBytes: number | undefined) {
    this.#output = output;
    this.#partBytes = partBytes;
  }

  async write(piece: Uint8Array): Promise<void> {
    for (let rest = piece; rest.byteLength > 0;) {
      const { file, part } = await this.#current();
      const room = rest.subarray(0, (this.#partBytes ?? Infinity) - part.sizeBytes);
      const { bytesWritten } = await file.write(room);
      part.sizeBytes += bytesWritten;
      rest = rest.subarray(bytesWritten);
    }
  }

  /** Gives the parts their names; what an earlier export left under further numbers goes, since it would count as more of this bundle. */
  async finish(): Promise<readonly BundlePart[]> {
    await this.#current();
    await this.#close();
    for (const { path } of this.#parts) await rename(`${path}${partialEnding}`, path);
    if (this.#partBytes !== undefined) for (const { path } of (await listParts(this.#output)).slice(this.#parts.length)) await unlink(path);
    return this.#parts;
  }

  async abandon(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    for (const { path } of this.#parts) {
      await unlink(`${path}${partialEnding}`).catch(() => {
        // It has its name already, or was never made; what was thrown first is what matters.
      });
    }
  }

  async #current(): Promise<{ readonly file: FileHandle; readonly part: { sizeBytes: number } }> {
    const last = this.#parts.at(-1);
    if (this.#file && last && last.sizeBytes < (this.#partBytes ?? Infinity)) return { file: this.#file, part: last };
    await this.#close();
    const path = this.#partBytes === undefined ? this.#output : partName(this.#output, this.#parts.length + 1);
    const part = { path, sizeBytes: 0 };
    this.#parts.push(part);
    const file = await open(`${path}${partialEnding}`, "w");
    this.#file = file;
    return { file, part };
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.sync();
    await file?.close();
  }
}
