/** BlobLoad: the blobs of one image, brought here by the cache's own downloads, and counted. */
import { StoreUnwritable } from "../cache/deposit-failures.ts";
import type { Digest } from "../oci/digest.ts";
import { isUnknown } from "../oci/errors.ts";
import type { LoadContext } from "./load-context.ts";
import type { WalkedBlob } from "./walked.ts";

const readBytes = 256 * 1024;

export class BlobLoad {
  readonly #context: LoadContext;
  #hasFetched = false;

  constructor(context: LoadContext) {
    this.#context = context;
  }

  /** Whether anything was missing. */
  get hasFetched(): boolean {
    return this.#hasFetched;
  }

  /** Brings it here, or notes that it lies elsewhere. Throws what `loadImage` throws. */
  async bring({ descriptor, isForeign }: WalkedBlob): Promise<void> {
    this.#context.tally.blobs += 1;
    this.#context.tally.sizeBytes += descriptor.sizeBytes ?? 0;
    const { digest, sizeBytes } = descriptor;
    try {
      if (this.#context.options.dryRun) return await this.#lookFor(digest, sizeBytes ?? 0);
      const fetchedBytes = await this.#context.options.slots.run(() => this.#context.attempt(() => this.#hold(digest, sizeBytes)));
      if (fetchedBytes !== undefined) await this.#keep(digest, fetchedBytes);
      this.#context.parts.brought.add(digest);
    } catch (error) {
      if (!isForeign || !isUnknown(error)) throw error;
      this.#context.notes.push(`${digest} lies elsewhere by its licence, and cannot be had there`);
    }
  }

  async #lookFor(digest: Digest, sizeBytes: number): Promise<void> {
    const { store } = this.#context.parts;
    if ((await store.provenance.covers(this.#context.repository.host, digest)) && (await store.blobs.has(digest))) {
      this.#context.tally.hereBytes += sizeBytes;
      return;
    }
    this.#countFetched(digest, sizeBytes);
  }

  /** Reads all of a blob through the cache; undefined when it was here. */
  async #hold(digest: Digest, sizeBytes: number | undefined): Promise<number | undefined> {
    const { registry, store } = this.#context.parts;
    this.#context.call.signal.throwIfAborted();
    // A manifest of this repository names it, although it is not written yet: nobody need be asked whether it may be shown.
    if (sizeBytes !== undefined) await store.whereWritable(() => store.repositories.putLink(this.#context.repository, digest, sizeBytes));
    await using content = await registry.getBlob(this.#context.repository, digest, this.#context.call);
    if (content.outcome === "hit") {
      await store.blobs.touch(digest); // Nothing may name it any more.
      this.#come(content.descriptor.sizeBytes ?? 0);
      return undefined;
    }
    return await this.#readAll(content);
  }

  /** Waits until what was read belongs to the store: the next download need not wait for the disk. */
  async #keep(digest: Digest, fetchedBytes: number): Promise<void> {
    await this.#context.parts.registry.kept(this.#context.repository.host, digest);
    await this.#checkKept(digest);
    this.#countFetched(digest, fetchedBytes);
    this.#context.options.onProgress?.(this.#context.tally);
  }

  #countFetched(digest: Digest, sizeBytes: number): void {
    const key = `${this.#context.repository.host}@${digest}`;
    this.#hasFetched = true;
    if (this.#context.options.fetched.has(key)) return;
    this.#context.options.fetched.add(key);
    this.#context.tally.fetchedBlobs += 1;
    this.#context.tally.fetchedBytes += sizeBytes;
  }

  async #readAll(content: { read(target: Uint8Array, positionBytes: number): Promise<number> }): Promise<number> {
    const target = Buffer.allocUnsafe(readBytes);
    let positionBytes = 0;
    try {
      for (;;) {
        this.#context.call.signal.throwIfAborted();
        const length = await content.read(target, positionBytes);
        if (length === 0) return positionBytes;
        positionBytes += length;
        this.#come(length);
      }
    } catch (error) {
      this.#come(-positionBytes); // The next try counts anew.
      throw error;
    }
  }

  async #checkKept(digest: Digest): Promise<void> {
    const { registry, store } = this.#context.parts;
    try {
      await registry.headBlob(this.#context.repository, digest, { ...this.#context.call, mayFetch: false });
    } catch (error) {
      if (!isUnknown(error)) throw error;
      // The disk may have taken something else meanwhile: then only the log has what it said of this one.
      throw new StoreUnwritable(digest, store.status().reason ?? new Error("its download could not be kept, and the log says why", { cause: error }));
    }
  }

  #come(bytes: number): void {
    this.#context.tally.hereBytes += bytes;
    this.#context.options.onProgress?.(this.#context.tally);
  }
}
