/**
 * TrustedFiles: small files held in memory. What is held is trusted for a second, then one `stat` confirms it: a busy record
 * costs one `stat` a second, and what a command, `rsync` or `rm` changed shows within a second.
 */
import { open, stat } from "node:fs/promises";
import type { Stats } from "node:fs";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import { isAbsence, type DiskReads } from "./disk-reads.ts";

const trustMs = 1_000;
/** What an entry costs beside its bytes, roughly: its path, its buffer's own, and what is made of it (an answer, its headers, its body as text). */
const entryBytes = 3_072;

export interface TrustedFilesOptions<T> {
  /** What the bytes mean; undefined when they are torn or not ours: the file then counts as absent, and heals by being written again. */
  readonly parse: (bytes: Buffer, file: Stats, path: string) => T | undefined;
  readonly clock: Clock;
  /** What cannot be read counts as absent. */
  readonly reads: DiskReads;
  /** Larger files count as absent. */
  readonly fileBytesMax: number;
  readonly entriesMax: number;
  /** Bounds the memory of all values together, each counted as its file's size plus a fixed cost. */
  readonly memoryBytesMax?: number;
}

/** A file's meaning, and until when it may be believed without looking again. */
export interface TrustedFile {
  /** By `elapsed`; moved on when the file is confirmed, and to the past when it is written or removed by us. */
  readonly trustedUntilMs: number;
}

interface Entry<T> extends TrustedFile {
  readonly value: T;
  readonly signature: string;
  trustedUntilMs: number;
}

export class TrustedFiles<T> {
  readonly #options: TrustedFilesOptions<T>;
  readonly #entries: LRUCache<string, Entry<T>>;
  readonly #loading = new Map<string, Promise<T | undefined>>();

  constructor(options: TrustedFilesOptions<T>) {
    this.#options = options;
    this.#entries = new LRUCache<string, Entry<T>>({
      max: options.entriesMax,
      ...(options.memoryBytesMax === undefined ? {} : { maxSize: options.memoryBytesMax }),
    });
  }

  /** The file's meaning: at once from memory when it was confirmed within the last second; undefined when it is absent or cannot be read. */
  find(path: string): T | undefined | Promise<T | undefined> {
    const entry = this.#entries.get(path);
    if (entry && this.#options.clock.elapsed() < entry.trustedUntilMs) return entry.value;
    return this.#loading.get(path) ?? this.#look(path, entry);
  }

  /** What `find` would answer at once, as a thing that can be asked later whether it still holds; undefined when `find` would look. */
  findTrusted(path: string): TrustedFile | undefined {
    const entry = this.#entries.get(path);
    return entry && this.#options.clock.elapsed() < entry.trustedUntilMs ? entry : undefined;
  }

  /** The file's meaning as it is now, without keeping it in memory. */
  async read(path: string): Promise<T | undefined> {
    return (await this.#read(path))?.value;
  }

  /** The file has been written or removed by us: read it anew, whoever is reading it just now. */
  forget(path: string): void {
    const entry = this.#entries.peek(path);
    if (entry) entry.trustedUntilMs = -Infinity;
    this.#entries.delete(path);
    this.#loading.delete(path);
  }

  #look(path: string, entry: Entry<T> | undefined): Promise<T | undefined> {
    const isCurrent = (): boolean => this.#loading.get(path) === work;
    const work: Promise<T | undefined> = (entry ? this.#confirm(path, entry, isCurrent) : this.#load(path, isCurrent)).finally(() => {
      if (isCurrent()) this.#loading.delete(path);
    });
    this.#loading.set(path, work);
    return work;
  }

  async #confirm(path: string, entry: Entry<T>, isCurrent: () => boolean): Promise<T | undefined> {
    try {
      const isSame = signatureOf(await stat(path)) === entry.signature;
      if (isSame) return this.#trusted(entry, isCurrent);
      if (isCurrent()) this.#entries.delete(path);
      return await this.#load(path, isCurrent);
    } catch (error) {
      if (!isAbsence(error)) {
        // A disk that says nothing has not said that anything changed.
        this.#options.reads.note(path, error);
        return this.#trusted(entry, isCurrent);
      }
      if (isCurrent()) this.#entries.delete(path);
      return undefined;
    }
  }

  /** Written while we looked: who asked before may have the old, nobody later. */
  #trusted(entry: Entry<T>, isCurrent: () => boolean): T {
    if (isCurrent()) entry.trustedUntilMs = this.#options.clock.elapsed() + trustMs;
    return entry.value;
  }

  async #load(path: string, isCurrent: () => boolean): Promise<T | undefined> {
    const read = await this.#read(path);
    if (!read) return undefined;
    // Written while we read: what we have may be what was there before.
    if (!isCurrent()) return read.value;
    const entry = { value: read.value, signature: signatureOf(read.file), trustedUntilMs: this.#options.clock.elapsed() + trustMs };
    this.#entries.set(path, entry, this.#options.memoryBytesMax === undefined ? {} : { size: read.file.size + entryBytes });
    return read.value;
  }

  async #read(path: string): Promise<{ readonly value: T; readonly file: Stats } | undefined> {
    return await this.#options.reads.attempt(path, async () => {
      await using handle = await open(path, "r");
      const file = await handle.stat();
      if (!file.isFile() || file.size > this.#options.fileBytesMax) return undefined;
      const bytes = await readAll(handle, file.size);
      const value = bytes && this.#options.parse(bytes, file, path);
      return value === undefined ? undefined : { value, file };
    });
  }
}

async function readAll(handle: Awaited<ReturnType<typeof open>>, sizeBytes: number): Promise<Buffer | undefined> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await handle.read(bytes, filled, sizeBytes - filled, filled);
    if (bytesRead === 0) return undefined; // It shrank under us.
    filled += bytesRead;
  }
  return bytes;
}

function signatureOf(file: Stats): string {
  return `${file.ino}:${file.size}:${file.mtimeMs}:${file.ctimeMs}`;
}
