/**
 * StoreTotals: how many manifests and blobs are held and how large they are, counted by walking the disk by and by. Nobody waits
 * for a walk: the last one's numbers are given, and the next one begins when they are old and somebody asks.
 */
import type { Background } from "../oci/background.ts";
import { delay, type Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { isStorageFailure, statIfThere } from "./atomic-write.ts";
import type { Store } from "./store.ts";
import { walkStoredBlobs } from "./stored-blobs.ts";
import type { StoredHoldings } from "./stored-holdings.ts";

export interface Totals {
  readonly manifests: number;
  readonly manifestBytes: number;
  readonly blobs: number;
  readonly blobBytes: number;
}

export interface StoreTotalsOptions {
  readonly store: Store;
  readonly holdings: StoredHoldings;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** Numbers older than this are counted anew. */
const trustMs = 10 * 60_000;
/** For each millisecond of walking so many of rest: reads go first. */
const restFactor = 4;
/** Files that are counted between two rests. */
const countedAtOnce = 256;

export class StoreTotals {
  readonly #options: StoreTotalsOptions;
  #last: { readonly totals: Totals; readonly atMs: number } | undefined;
  #isWalking = false;
  readonly #closed = new AbortController();

  constructor(options: StoreTotalsOptions) {
    this.#options = options;
  }

  /** The last count; undefined until one is done. Begins another in the background when that is due. */
  latest(): Totals | undefined {
    const { clock, background } = this.#options;
    const isDue = !this.#last || clock.elapsed() - this.#last.atMs >= trustMs;
    if (isDue && !this.#isWalking && !this.#closed.signal.aborted) background.run("count what is held", this.#walk());
    return this.#last?.totals;
  }

  /** Ends a walk that runs. */
  close(): void {
    this.#closed.abort();
  }

  async #walk(): Promise<void> {
    const { clock, log } = this.#options;
    this.#isWalking = true;
    try {
      this.#last = { totals: await this.#count(await this.#manifests()), atMs: clock.elapsed() };
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      if (!isStorageFailure(error)) throw error;
      log.debug({ error }, "what is held cannot be counted");
    } finally {
      this.#isWalking = false;
    }
  }

  /** The manifests that some repository holds. */
  async #manifests(): Promise<ReadonlySet<number>> {
    const { store, holdings } = this.#options;
    const manifests = new Set<number>();
    for await (const repository of holdings.walk()) {
      const rest = this.#rest();
      for await (const digest of store.repositories.manifestDigests(repository)) manifests.add(short(digest));
      await rest();
    }
    return manifests;
  }

  async #count(manifests: ReadonlySet<number>): Promise<Totals> {
    const totals = { manifests: 0, manifestBytes: 0, blobs: 0, blobBytes: 0 };
    const { layout } = this.#options.store;
    let rest = this.#rest();
    let counted = 0;
    for await (const digest of walkStoredBlobs({ layout })) {
      const file = await statIfThere(layout.blob(digest));
      if (!file) continue; // Removed meanwhile.
      const kind = manifests.has(short(digest)) ? "manifest" : "blob";
      totals[`${kind}s`] += 1;
      totals[`${kind}Bytes`] += file.size;
      counted += 1;
      if (counted % countedAtOnce !== 0) continue;
      await rest();
      rest = this.#rest();
    }
    return totals;
  }

  /** From here to the call of what it returns work was done, which is then rested from. */
  #rest(): () => Promise<void> {
    const { clock } = this.#options;
    const startedAtMs = clock.elapsed();
    return () => delay(clock, (clock.elapsed() - startedAtMs) * restFactor, this.#closed.signal);
  }
}

/** The first 48 bits: a hundred thousand digests in a few megabytes, and a pair that agrees in them not in a lifetime. */
function short(digest: string): number {
  const hexAt = digest.indexOf(":") + 1;
  return Number.parseInt(digest.slice(hexAt, hexAt + 12), 16);
}
