/** OpenBlob: one open file of a blob and how many read it; it closes a little after the last has left. */
import { stat, type FileHandle } from "node:fs/promises";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { DiskReads } from "./disk-reads.ts";

/** A file that nobody reads any more stays open for so long: its next reader is often near. */
const lingerMs = 1_000;

export interface OpenBlobOptions {
  readonly clock: Clock;
  readonly background: Background;
  readonly reads: DiskReads;
  readonly handle: FileHandle;
  readonly sizeBytes: number;
  readonly inode: number;
  /** One more, or one fewer. */
  readonly onReaders: (by: 1 | -1) => void;
  /** Nobody can acquire it any more. */
  readonly onClose: () => void;
}

export class OpenBlob {
  readonly handle: FileHandle;
  readonly sizeBytes: number;
  readonly inode: number;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #reads: DiskReads;
  readonly #onReaders: (by: 1 | -1) => void;
  readonly #onClose: () => void;
  #confirmedAtMs: number;
  #readers = 0;
  #closed = false;
  #cancelClose: () => void;

  constructor({ handle, sizeBytes, inode, clock, background, reads, onReaders, onClose }: OpenBlobOptions) {
    this.#onReaders = onReaders;
    this.#onClose = onClose;
    this.handle = handle;
    this.sizeBytes = sizeBytes;
    this.inode = inode;
    this.#reads = reads;
    this.#clock = clock;
    this.#background = background;
    this.#confirmedAtMs = clock.elapsed();
    this.#cancelClose = clock.after(lingerMs, () => this.#close());
  }

  /** Whether its name still leads to it; asked of the disk once a second. */
  async isCurrent(path: string): Promise<boolean> {
    if (this.#clock.elapsed() - this.#confirmedAtMs < lingerMs) return true;
    const file = await this.#reads.attempt(path, () => stat(path));
    if (file) this.#confirmedAtMs = this.#clock.elapsed();
    return file?.ino === this.inode && file.size === this.sizeBytes;
  }

  /** False when it was closed in the meantime. */
  acquire(): boolean {
    if (this.#closed) return false;
    this.#cancelClose();
    this.#readers += 1;
    this.#onReaders(1);
    return true;
  }

  release(): void {
    this.#readers -= 1;
    this.#onReaders(-1);
    if (this.#readers === 0) this.#cancelClose = this.#clock.after(lingerMs, () => this.#close());
  }

  #close(): void {
    this.#closed = true;
    this.#onClose();
    this.#background.run("close a blob", this.handle.close());
  }
}
