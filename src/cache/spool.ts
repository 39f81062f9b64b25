/**
 * Spool: where a fill's bytes meet its readers. They go through a ring in memory to a file; each reader takes them from the ring
 * while it is near the tip, and from the file when it is behind. When the disk fails (full, broken, read-only) the ring alone
 * remains and grows a little: the stream then goes at the pace of its slowest reader.
 */
import { open, type FileHandle } from "node:fs/promises";
import { isStorageFailure } from "./atomic-write.ts";
import type { RingMemory } from "./ring-memory.ts";

const ringBytesMin = 64 * 1024;
/** Where memory is short: more than what is held back, or a stream of unknown size would wait for itself. */
const ringBytesLeast = 256 * 1024;
const ringBytesMax = 2 * 1024 * 1024;
const ringBytesWithoutDisk = 8 * 1024 * 1024;
const reservationBytesMax = 256 * 1024;

type Disk =
  | { readonly kind: "file"; readonly path: string; readonly file: FileHandle }
  /** Bytes before `bytesOnDisk` can still be read from the file, if there is one. */
  | { readonly kind: "failed"; readonly file: FileHandle | undefined; readonly path: string | undefined; readonly error: unknown };

export interface SpoolOptions {
  /** The file to write: made anew. Absent: memory only. */
  readonly path: string | undefined;
  /** How much is to come, when known: small blobs get a small ring. */
  readonly sizeBytes: number | undefined;
  /** What all rings share. */
  readonly memory: RingMemory;
  /** The first byte that some reader still needs, for when the ring is all there is. */
  readonly neededFrom: () => number;
  /** The disk failed; said once. */
  readonly onDiskFailure: (error: unknown) => void;
}

export class Spool {
  readonly #options: SpoolOptions;
  #ring: Buffer;
  #disk: Disk;
  #receivedBytes = 0;
  #flushedBytes = 0;
  #reservedBytes = 0;
  #flushing: Promise<void> | undefined;
  #space: PromiseWithResolvers<void> | undefined;
  #hasGrown: boolean;
  /** Before it, a ring that has grown holds nothing. */
  #grownAtBytes = 0;
  #isClosed = false;

  /** Opens the file; where that fails for the disk's sake the spool lives in memory. */
  static async open(options: SpoolOptions): Promise<Spool> {
    if (options.path === undefined) return new Spool(options, { kind: "failed", file: undefined, path: undefined, error: undefined });
    try {
      return new Spool(options, { kind: "file", path: options.path, file: await open(options.path, "wx+", 0o664) });
    } catch (error) {
      if (!isStorageFailure(error)) throw error;
      options.onDiskFailure(error);
      return new Spool(options, { kind: "failed", file: undefined, path: undefined, error });
    }
  }

  private constructor(options: SpoolOptions, disk: Disk) {
    this.#options = options;
    this.#disk = disk;
    this.#hasGrown = disk.kind === "failed";
    const wantedBytes = disk.kind === "failed" ? ringBytesWithoutDisk : ringBytesMax;
    const usefulBytes = Math.max(ringBytesMin, Math.min(wantedBytes, options.sizeBytes ?? wantedBytes));
    this.#ring = Buffer.allocUnsafeSlow(options.memory.take(usefulBytes, ringBytesLeast));
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** False when the bytes are not being kept. */
  get isOnDisk(): boolean {
    return this.#disk.kind === "file";
  }

  /** Whether a reader that begins at `positionBytes` can have everything from there on. */
  canServe(positionBytes: number): boolean {
    return positionBytes < this.#flushedBytes ? this.#disk.kind === "file" : positionBytes >= this.#ringStart() || this.#disk.kind === "file";
  }

  /** Room for the next bytes, or undefined when there is none yet: then wait for `space()`. */
  reserve(): Buffer | undefined {
    const keepFrom = this.#disk.kind === "file" ? this.#flushedBytes : Math.min(this.#options.neededFrom(), this.#receivedBytes);
    const freeBytes = this.#ring.length - (this.#receivedBytes - keepFrom);
    if (freeBytes <= 0) return undefined;
    const start = this.#receivedBytes % this.#ring.length;
    const length = Math.min(freeBytes, this.#ring.length - start, reservationBytesMax);
    this.#reservedBytes = length;
    return this.#ring.subarray(start, start + length);
  }

  /** Resolves when a new `reserve` may succeed: something was flushed, or a reader moved. */
  space(): Promise<void> {
    this.#space ??= Promise.withResolvers<void>();
    return this.#space.promise;
  }

  /** A reader moved on or left. */
  freed(): void {
    this.#space?.resolve();
    this.#space = undefined;
  }

  /** The first `lengthBytes` of what was reserved now hold the stream's next bytes. */
  commit(lengthBytes: number): void {
    this.#receivedBytes += lengthBytes;
    this.#reservedBytes = 0;
    if (this.#disk.kind === "file") this.#flushing ??= this.#flush();
  }

  /** Copies what is there at `positionBytes`, which must be below `limitBytes` and that not beyond what was received. Undefined: those bytes are gone. Rejects when the file cannot be read: then it is kept no more. */
  read(target: Uint8Array, positionBytes: number, limitBytes: number): number | Promise<number> | undefined {
    const length = Math.min(target.byteLength, limitBytes - positionBytes);
    if (positionBytes >= this.#ringStart()) return this.#copy(target, positionBytes, length);
    if (positionBytes >= this.#flushedBytes || !this.#disk.file) return undefined;
    return this.#readFile(this.#disk.file, target.subarray(0, Math.min(length, this.#flushedBytes - positionBytes)), positionBytes);
  }

  /** Waits until everything is in the file. The file and its path, or undefined when it could not be kept. */
  async flushed(): Promise<{ readonly path: string; readonly file: FileHandle } | undefined> {
    await this.#flushing;
    return this.#disk.kind === "file" ? { path: this.#disk.path, file: this.#disk.file } : undefined;
  }

  /** Begins again with nothing: what came was wrong. */
  async reset(): Promise<void> {
    await this.#flushing;
    this.#receivedBytes = 0;
    this.#flushedBytes = 0;
    this.#reservedBytes = 0;
    this.#grownAtBytes = 0;
    try {
      if (this.#disk.kind === "file") await this.#disk.file.truncate(0);
    } catch (error) {
      this.#goOnWithoutDisk(error);
    }
  }

  /** The path of the file, as long as it has one. */
  get path(): string | undefined {
    return this.#disk.path;
  }

  /** Closes the file. Nothing may be read any more. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#flushing;
    this.#options.memory.giveBack(this.#ring.length);
    await this.#disk.file?.close();
  }

  async #flush(): Promise<void> {
    while (this.#disk.kind === "file" && this.#flushedBytes < this.#receivedBytes) {
      const start = this.#flushedBytes % this.#ring.length;
      const length = Math.min(this.#receivedBytes - this.#flushedBytes, this.#ring.length - start);
      try {
        const { bytesWritten } = await this.#disk.file.write(this.#ring, start, length, this.#flushedBytes);
        this.#flushedBytes += bytesWritten;
      } catch (error) {
        this.#goOnWithoutDisk(error);
      }
      this.freed();
    }
    this.#flushing = undefined;
  }

  async #readFile(file: FileHandle, target: Uint8Array, positionBytes: number): Promise<number> {
    try {
      return (await file.read(target, 0, target.byteLength, positionBytes)).bytesRead;
    } catch (error) {
      if (this.#disk.kind === "file") this.#goOnWithoutDisk(error);
      throw error;
    }
  }

  /** Throws `error` when it was not the disk's. */
  #goOnWithoutDisk(error: unknown): void {
    if (!isStorageFailure(error)) throw error;
    const { path, file } = this.#disk;
    this.#disk = { kind: "failed", path, file, error };
    this.#options.onDiskFailure(error);
    // A reservation may be being written into: the ring can grow only between two of them. See `grow`.
  }

  /** Between two reservations: more room, when the disk has failed since. */
  grow(): void {
    if (this.#disk.kind === "file" || this.#hasGrown) return;
    this.#hasGrown = true;
    const moreBytes = this.#options.memory.take(ringBytesWithoutDisk - this.#ring.length, 0);
    const larger = Buffer.allocUnsafeSlow(this.#ring.length + moreBytes);
    const heldFrom = this.#ringStart();
    for (let position = heldFrom; position < this.#receivedBytes;) {
      const at = position % larger.length;
      position += this.#copy(larger.subarray(at), position, this.#receivedBytes - position);
    }
    this.#ring = larger;
    this.#grownAtBytes = heldFrom;
  }

  /** The first position whose byte is still in the ring, and not about to be written over. */
  #ringStart(): number {
    return Math.max(this.#grownAtBytes, this.#receivedBytes + this.#reservedBytes - this.#ring.length);
  }

  #copy(target: Uint8Array, positionBytes: number, lengthBytes: number): number {
    const start = positionBytes % this.#ring.length;
    const length = Math.min(lengthBytes, target.byteLength, this.#ring.length - start);
    target.set(this.#ring.subarray(start, start + length));
    return length;
  }
}
