/**
 * TrustedFiles: small files held in memory. What is held is trusted for a second, and one `stat` confirms it: a busy record costs
 * about one `stat` a second, and what a command, `rsync` or `rm` changed shows within a second. Who asks when that second is nearly
 * over starts the `stat` and does not wait for it, so that a disk that is busy with other things holds up nobody.
 */
import { constants, type Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import { isAbsence, type DiskReads } from "./disk-reads.ts";

const trustMs = 1_000;
/** How long before trust ends it is renewed. */
const renewAheadMs = 250;
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
  /** Whether it may be believed at `nowMs` (by `elapsed`). Asking counts as use, and begins to look at the file when that is due. */
  isTrusted(nowMs: number): boolean;
}

class Entry<T> implements TrustedFile {
  readonly value: T;
  signature: string;
  readonly #renew: (entry: Entry<T>) => void;
  /** Moved on when the file is confirmed, and to the past when it is another, or gone, or the entry is not held any more. */
  #untilMs: number;

  constructor({ value, signature, untilMs, renew }: { value: T; signature: string; untilMs: number; renew: (entry: Entry<T>) => void }) {
    this.value = value;
    this.signature = signature;
    this.#untilMs = untilMs;
    this.#renew = renew;
  }

  isTrusted(nowMs: number): boolean {
    if (nowMs >= this.#untilMs) return false;
    if (nowMs >= this.#untilMs - renewAheadMs) this.#renew(this);
    return true;
  }

  trust(untilMs: number): void {
    this.#untilMs = untilMs;
  }

  distrust(): void {
    this.#untilMs = -Infinity;
  }
}

export class TrustedFiles<T> {
  readonly #options: TrustedFilesOptions<T>;
  readonly #entries: LRUCache<string, Entry<T>>;
  readonly #loading = new Map<string, Promise<T | undefined>>();

  constructor(options: TrustedFilesOptions<T>) {
    this.#options = options;
    this.#entries = new LRUCache<string, Entry<T>>({
      max: options.entriesMax,
      // Who asked for it as a trusted file may ask it still.
      dispose: (entry) => entry.distrust(),
      ...(options.memoryBytesMax === undefined ? {} : { maxSize: options.memoryBytesMax }),
    });
  }

  /** The file's meaning: at once from memory when it was confirmed within the last second; undefined when it is absent or cannot be read. */
  find(path: string): T | undefined | Promise<T | undefined> {
    const entry = this.#entries.get(path);
    if (entry?.isTrusted(this.#options.clock.elapsed())) return entry.value;
    return this.#loading.get(path) ?? this.#look(path, entry);
  }

  /**
   * What `find` would answer at once, as a thing that can be asked later whether it still holds; undefined when `find` would look, or
   * when that answer is not what `isMeant` means: who read the file a while ago may have read what was there before.
   */
  findTrusted(path: string, isMeant: (value: T) => boolean = () => true): TrustedFile | undefined {
    const entry = this.#entries.get(path);
    return entry?.isTrusted(this.#options.clock.elapsed()) && isMeant(entry.value) ? entry : undefined;
  }

  /** The file and its meaning as they are now, without keeping them in memory. */
  async read(path: string): Promise<{ readonly value: T; readonly file: Stats } | undefined> {
    return await this.#options.reads.attempt(path, async () => {
      // Without waiting for a writer, should somebody have put a pipe there.
      await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const file = await handle.stat();
      if (!file.isFile() || file.size > this.#options.fileBytesMax) return undefined;
      const bytes = await readAll(handle, file.size);
      const value = bytes && this.#options.parse(bytes, file, path);
      return value === undefined ? undefined : { value, file };
    });
  }

  /** The file has been written or removed by us: read it anew, whoever is reading it just now. */
  forget(path: string): void {
    this.#entries.delete(path);
    this.#loading.delete(path);
  }

  /** Lets `touch` move the file's time; what it says is believed on without reading it anew. Throws the system's error. */
  async keptThrough(path: string, touch: (file: Stats) => Promise<void>): Promise<void> {
    const before = await stat(path);
    await touch(before);
    const entry = this.#entries.peek(path);
    if (entry?.signature !== signatureOf(before)) return;
    const after = await stat(path);
    if (after.ino === before.ino && after.size === before.size) entry.signature = signatureOf(after);
  }

  /** Looks at the file of an entry that is still believed; who asks meanwhile does not wait. What is no longer held is not kept alive by it. */
  #renew(path: string, entry: Entry<T>): void {
    if (this.#loading.has(path) || this.#entries.get(path) !== entry) return;
    // What is wrong with the file is met again, and told, by the next who has to wait for it.
    this.#look(path, entry).catch(() => {});
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
    const untilMs = this.#options.clock.elapsed() + trustMs;
    // Written while we looked: who asked before may have the old, nobody later.
    const confirmed = (): T => {
      if (isCurrent() && this.#entries.peek(path) === entry) entry.trust(untilMs);
      return entry.value;
    };
    try {
      const isSame = signatureOf(await stat(path)) === entry.signature;
      if (isSame) return confirmed();
      if (isCurrent()) this.#entries.delete(path);
      return await this.#load(path, isCurrent);
    } catch (error) {
      if (!isAbsence(error)) {
        // A disk that says nothing has not said that anything changed.
        this.#options.reads.note(path, error);
        return confirmed();
      }
      if (isCurrent()) this.#entries.delete(path);
      return undefined;
    }
  }

  async #load(path: string, isCurrent: () => boolean): Promise<T | undefined> {
    const untilMs = this.#options.clock.elapsed() + trustMs;
    const read = await this.read(path);
    if (!read) return undefined;
    // Written while we read: what we have may be what was there before.
    if (!isCurrent()) return read.value;
    const renew = (due: Entry<T>): void => this.#renew(path, due);
    const entry = new Entry({ value: read.value, signature: signatureOf(read.file), untilMs, renew });
    this.#entries.set(path, entry, this.#options.memoryBytesMax === undefined ? {} : { size: read.file.size + entryBytes });
    return read.value;
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
