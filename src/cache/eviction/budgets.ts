/** Budgets: how much of each limit is taken, by what is held, by temporary files, and by what has been given room. */
import { statfs } from "node:fs/promises";
import type { RegistryHost } from "../../oci/repository.ts";
import { isStorageFailure } from "../atomic-write.ts";
import type { WantedRoom } from "../fill-room.ts";
import { partEnding } from "../instance-folder.ts";
import type { Store } from "../store.ts";
import type { Census } from "./census.ts";
import { bytesOf, lowBytes, type Stock } from "./choice.ts";
import type { Claims } from "./claims.ts";
import type { SizeLimits } from "./rules.ts";
import { temporaryBytes } from "./temporary-bytes.ts";

/** A limit and how much of it is taken. */
export interface Budget {
  /** Undefined: of everything. */
  readonly host: RegistryHost | undefined;
  readonly takenBytes: number;
  readonly limitBytes: number;
}

export interface BudgetsOptions {
  readonly store: Store;
  readonly claims: Claims;
  readonly census: () => Census;
}

/** Of the way from the low mark to the limit: from there on evicting begins. */
const beginAt = 0.5;
/** Of the limit, or of what the disk can hold: what has been promised and has not come is never given more, at the cost of what is held. */
const promisedShareMax = 0.5;

export class Budgets {
  readonly #options: BudgetsOptions;
  #temporaryBytes = 0;
  readonly #hostBytes = new Map<RegistryHost, number>();

  constructor(options: BudgetsOptions) {
    this.#options = options;
  }

  /** Everything that counts for the total. */
  get takenBytes(): number {
    const { census, claims } = this.#options;
    return census().takenBytes + this.#temporaryBytes + claims.bytes();
  }

  takenBy(host: RegistryHost): number {
    return (this.#hostBytes.get(host) ?? 0) + this.#options.claims.bytes(host);
  }

  /** Each limit with what is taken of it; none before that is known. */
  list({ totalBytes, byHost }: Pick<SizeLimits, "totalBytes" | "byHost">): readonly Budget[] {
    const { isSized, isComplete } = this.#options.census();
    const total = isSized && totalBytes !== undefined ? [{ host: undefined, takenBytes: this.takenBytes, limitBytes: totalBytes }] : [];
    const hosts = isComplete ? [...byHost] : [];
    return [...total, ...hosts.map(([host, limitBytes]) => ({ host, takenBytes: this.takenBy(host), limitBytes }))];
  }

  /** Looks at what changes without our doing, and at what would take too long to reckon for each fill. */
  async measure(stock: Stock, limits: SizeLimits | undefined): Promise<void> {
    const { layout, instance } = this.#options.store;
    // Parts of our own have claims.
    this.#temporaryBytes = await temporaryBytes(layout.temporary(), (path) => path.startsWith(`${instance.path}/`) && path.endsWith(partEnding));
    this.#hostBytes.clear();
    for (const host of limits?.byHost.keys() ?? []) this.#hostBytes.set(host, bytesOf(stock, host));
  }

  /** A blob of a registry was kept, or part of it. */
  add(host: RegistryHost, bytes: number): void {
    const known = this.#hostBytes.get(host);
    if (known !== undefined) this.#hostBytes.set(host, known + bytes);
  }

  /** Whether a fill has room now, may have it when something has gone for its sake, or never. */
  async judge(wanted: WantedRoom, limits: SizeLimits | undefined): Promise<"fits" | "later" | "never"> {
    const { host, sizeBytes = 0 } = wanted;
    const freeBytes = await this.freeBytes();
    if (limits === undefined) return freeBytes < sizeBytes ? "never" : "fits";
    const { totalBytes = Infinity } = limits;
    const hostBytes = limits.byHost.get(host) ?? Infinity;
    if (sizeBytes > Math.min(totalBytes, hostBytes)) return "never";
    const { isSized } = this.#options.census();
    if (!isSized) return freeBytes < sizeBytes ? "later" : "fits";
    const isWithinAll = freeBytes >= sizeBytes && this.takenBytes + sizeBytes <= totalBytes;
    if (!isWithinAll && this.#isTooMuch(wanted, { freeBytes, totalBytes })) return "never";
    return isWithinAll && this.takenBy(host) + sizeBytes <= hostBytes ? "fits" : "later";
  }

  /** A size is only what an upstream says: together with what else was promised and has not come, it displaces so much and no more. */
  #isTooMuch(wanted: WantedRoom, { freeBytes, totalBytes }: { readonly freeBytes: number; readonly totalBytes: number }): boolean {
    const { census, claims } = this.#options;
    const pendingBytes = claims.pendingBytes();
    const promisedBytes = pendingBytes + claims.waitingBytes({ except: wanted }) + (wanted.sizeBytes ?? 0);
    const reachBytes = Math.min(totalBytes, census().takenBytes + freeBytes + pendingBytes);
    return promisedBytes > reachBytes * promisedShareMax;
  }

  /** What the disk has left for fills that have not been given room yet; Infinity where it does not say. */
  async freeBytes(): Promise<number> {
    const { store, claims } = this.#options;
    try {
      const { bavail, bsize } = await statfs(store.layout.root);
      return bavail * bsize - claims.pendingBytes();
    } catch (error) {
      if (isStorageFailure(error)) return Infinity;
      throw error;
    }
  }

  /** Whether a limit is so near that it is time to evict. */
  isNear(limits: SizeLimits): boolean {
    return this.list(limits).some(({ takenBytes, limitBytes }) => {
      const low = lowBytes(limits, limitBytes);
      return takenBytes > low + (limitBytes - low) * beginAt;
    });
  }
}
