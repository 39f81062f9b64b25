/**
 * takeBlobs: the content of a bundle, hashed on its way to the disk; what is held as the bundle says is passed over. What is held for
 * others is hashed all the same: a digest and a size prove nothing. Small blobs are written side by side: what they cost is the waiting
 * for the disk.
 */
import type { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { RegistryHost } from "../oci/repository.ts";
import type { BroughtBlobs } from "./brought-blobs.ts";
import { believe, isKnown } from "./bundle-claims.ts";
import { blobEntry } from "./bundle-layout.ts";
import type { BundledBlob } from "./bundle-manifest.ts";
import type { BundleReader } from "./bundle-reader.ts";
import { BundleRefused } from "./bundle-refused.ts";
import { inOrder } from "./in-order.ts";

export interface IntakeOptions {
  readonly store: Store;
  readonly deposits: Deposits;
  /** Takes note of all that is here for the bundle. */
  readonly brought: BroughtBlobs;
  readonly reader: BundleReader;
  readonly signal: AbortSignal;
  /** After each blob, or some small ones. */
  readonly onBytes?: (doneBytes: number, totalBytes: number) => void;
}

export interface Intake {
  readonly keptCount: number;
  readonly keptBytes: number;
}

/** Writes to the disk that wait side by side. */
const writesAtOnce = 8;

/** Blobs of at most so many bytes are gathered in memory, up to so many bytes and blobs. */
const gatheredBytesMax = 512 * 1024;
const gatheredTogetherBytesMax = 8 * 1024 * 1024;
const gatheredCountMax = 256;

/** Takes `blobs`, which come next, in their order. Throws as `importBundle`. */
export async function takeBlobs(blobs: readonly BundledBlob[], options: IntakeOptions): Promise<Intake> {
  return await new BlobIntake(blobs, options).take();
}

class BlobIntake {
  readonly #blobs: readonly BundledBlob[];
  readonly #options: IntakeOptions;
  readonly #totalBytes: number;
  #gathered: { readonly blob: BundledBlob; readonly bytes: Buffer }[] = [];
  #gatheredBytes = 0;
  #doneBytes = 0;
  #keptCount = 0;
  #keptBytes = 0;

  constructor(blobs: readonly BundledBlob[], options: IntakeOptions) {
    this.#blobs = blobs;
    this.#options = options;
    this.#totalBytes = blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  async take(): Promise<Intake> {
    const { reader, store, brought, signal } = this.#options;
    for (const blob of this.#blobs) {
      signal.throwIfAborted();
      const { digest, sizeBytes } = blob;
      const name = blobEntry(digest);
      await reader.expect(name, sizeBytes);
      if ((await isKnown(blob, store)) && (await store.blobs.touch(digest))) {
        brought.add(digest);
        await reader.pass(name, sizeBytes);
        this.#done(sizeBytes);
      } else if (sizeBytes <= gatheredBytesMax) await this.#gather(blob, Buffer.concat(await Array.fromAsync(reader.content(name, sizeBytes))));
      else await this.#keep(blob, reader.content(name, sizeBytes));
    }
    await this.#keepGathered();
    return { keptCount: this.#keptCount, keptBytes: this.#keptBytes };
  }

  async #gather(blob: BundledBlob, bytes: Buffer): Promise<void> {
    this.#gathered.push({ blob, bytes });
    this.#gatheredBytes += bytes.byteLength;
    if (this.#gathered.length >= gatheredCountMax || this.#gatheredBytes >= gatheredTogetherBytesMax) await this.#keepGathered();
  }

  async #keepGathered(): Promise<void> {
    const gathered = this.#gathered;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    await forEach(gathered, ({ blob, bytes }) => this.#keep(blob, onePiece(bytes)));
  }

  async #keep(blob: BundledBlob, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { digest, sizeBytes } = blob;
    const outcome = await this.#options.deposits.blob(firstHostOf(blob), { digest, sizeBytes }, bytes);
    this.#options.brought.add(digest);
    // At once: an import that goes on after a kill passes over it.
    await believe(blob, this.#options);
    if (outcome === "kept") {
      this.#keptCount += 1;
      this.#keptBytes += sizeBytes;
    }
    this.#done(sizeBytes);
  }

  #done(sizeBytes: number): void {
    this.#doneBytes += sizeBytes;
    this.#options.onBytes?.(this.#doneBytes, this.#totalBytes);
  }
}

/** Some at once. Throws the first failure in their order, when none runs any more. */
export async function forEach<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const results = inOrder(items, { atOnce: writesAtOnce, run });
  for (let next = await results.next(); next.done !== true; next = await results.next());
}

function firstHostOf({ digest, hosts: [host] }: BundledBlob): RegistryHost {
  if (host !== undefined) return host;
  throw new BundleRefused(`${digest}: delivered by no registry of the bundle`);
}

async function* onePiece(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
