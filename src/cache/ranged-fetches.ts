/**
 * RangedFetches: bytes far ahead of a fill, fetched on their own for readers who begin there. Few, bounded and shared, so that
 * parallel ranged pulls of one blob cost the upstream hardly more than the blob.
 */
import { open, unlink, type FileHandle } from "node:fs/promises";
import type { BlobContent } from "../oci/registry.ts";
import { isStorageFailure } from "./atomic-write.ts";

const openMax = 2;
const fetchBytesMax = 8 * 1024 * 1024;
/** All fetches of one fill together: at most this part of the blob. */
const budgetShare = 1 / 16;
const chunkBytes = 256 * 1024;
/** A fetch shorter than this is not worth a request. */
const fetchBytesMin = 64 * 1024;

interface Segment {
  readonly startBytes: number;
  readonly endBytes: number;
  readonly abort: AbortController;
  receivedBytes: number;
  state: "running" | "done" | "failed";
  changed: PromiseWithResolvers<void>;
}

export interface RangedFetchesOptions {
  readonly sizeBytes: number;
  /** Bytes from here on are never fetched: they wait for the digest. */
  readonly limitBytes: number;
  readonly fetch: (startBytes: number, endBytes: number, signal: AbortSignal) => Promise<BlobContent>;
  /** Where to keep what comes; rejects where nothing can be kept. */
  readonly temporaryPath: () => Promise<string>;
  readonly run: (name: string, work: Promise<unknown>) => void;
}

export class RangedFetches {
  readonly #options: RangedFetchesOptions;
  readonly #segments: Segment[] = [];
  #budgetBytes: number;
  #file: Promise<FileHandle> | undefined;
  #refused = false;

  constructor(options: RangedFetchesOptions) {
    this.#options = options;
    this.#budgetBytes = Math.floor(options.sizeBytes * budgetShare);
  }

  /** Bytes from here on have to come with the fill. */
  get limitBytes(): number {
    return this.#options.limitBytes;
  }

  /** Bytes at `positionBytes`, of a range that goes to `endBytes`, which a fetch of ours brings; undefined: they have to come with the fill. */
  async read(target: Uint8Array, positionBytes: number, endBytes: number): Promise<number | undefined> {
    const segment = this.#find(positionBytes) ?? this.#begin(positionBytes, endBytes);
    if (!segment || !this.#file) return undefined;
    while (segment.state === "running" && segment.startBytes + segment.receivedBytes <= positionBytes) await segment.changed.promise;
    const length = Math.min(target.byteLength, segment.startBytes + segment.receivedBytes - positionBytes);
    if (length <= 0) return undefined;
    const { bytesRead } = await (await this.#file).read(target, 0, length, positionBytes);
    return bytesRead;
  }

  /** The fill has come to `positionBytes`: fetches that it overtook are not needed any more. */
  overtakenTo(positionBytes: number): void {
    for (const segment of this.#segments) {
      if (segment.state === "running" && segment.startBytes + segment.receivedBytes <= positionBytes && segment.startBytes < positionBytes)
        segment.abort.abort();
    }
  }

  async close(): Promise<void> {
    for (const segment of this.#segments) segment.abort.abort();
    const file = await this.#file?.catch(() => undefined); // It never opened: nothing to close.
    await file?.close();
  }

  #find(positionBytes: number): Segment | undefined {
    return this.#segments.find((segment) => {
      const reachBytes = segment.state === "running" ? segment.endBytes + 1 : segment.startBytes + segment.receivedBytes;
      return segment.startBytes <= positionBytes && positionBytes < reachBytes;
    });
  }

  #begin(positionBytes: number, endBytes: number): Segment | undefined {
    if (this.#refused || this.#segments.filter(({ state }) => state === "running").length >= openMax) return undefined;
    const wantedBytes = Math.min(fetchBytesMax, endBytes + 1 - positionBytes, this.#options.limitBytes - positionBytes);
    const length = Math.min(wantedBytes, this.#budgetBytes);
    if (length < Math.min(wantedBytes, fetchBytesMin) || length <= 0) return undefined;
    this.#budgetBytes -= length;
    const segment: Segment = {
      startBytes: positionBytes,
      endBytes: positionBytes + length - 1,
      abort: new AbortController(),
      receivedBytes: 0,
      state: "running",
      changed: Promise.withResolvers<void>(),
    };
    this.#segments.push(segment);
    this.#file ??= this.#openFile();
    this.#options.run("fetch a range", this.#receive(segment));
    return segment;
  }

  async #receive(segment: Segment): Promise<void> {
    try {
      const file = await this.#file;
      await using content = await this.#options.fetch(segment.startBytes, segment.endBytes, segment.abort.signal);
      if (content.kind === "full" || !file) {
        this.#refused = true; // It ignores ranges: the fill is the only way.
        segment.state = "failed";
        return;
      }
      // Overtaken by the fill, it may hang on a connection that says nothing: dropping the connection ends the read below, whose failure is nobody's loss.
      const drop = (): void => void Promise.resolve(content[Symbol.asyncDispose]()).catch(() => {});
      segment.abort.signal.addEventListener("abort", drop, { once: true });
      const chunk = Buffer.allocUnsafeSlow(chunkBytes);
      for (let position = segment.startBytes; position <= segment.endBytes && !segment.abort.signal.aborted;) {
        const length = await content.read(chunk.subarray(0, segment.endBytes + 1 - position), position);
        if (length === 0) break;
        await file.write(chunk, 0, length, position);
        position += length;
        segment.receivedBytes += length;
        this.#wake(segment);
      }
      segment.state = "done";
    } catch {
      // Whatever it was: these bytes come with the fill, which reports its own failures.
      segment.state = "failed";
    } finally {
      this.#wake(segment);
    }
  }

  #wake(segment: Segment): void {
    segment.changed.resolve();
    segment.changed = Promise.withResolvers<void>();
  }

  async #openFile(): Promise<FileHandle> {
    const path = await this.#options.temporaryPath();
    try {
      const file = await open(path, "wx+", 0o600);
      await unlink(path); // The name is not needed: nothing is left behind whatever happens.
      return file;
    } catch (error) {
      if (isStorageFailure(error)) this.#refused = true;
      throw error;
    }
  }
}
