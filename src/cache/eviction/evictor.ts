/**
 * Evictor: keeps a store that is being filled within its limits, in the process that fills it. It takes a census in the background and
 * keeps it up to date, gives room to fills, and evicts what was least recently used, whole images only, when a limit comes near: begun
 * before fills have to wait, at the latest when the next one would go over it. No pull fails for want of room: what finds none within a few
 * seconds passes through.
 */
import type { Background } from "../../oci/background.ts";
import { delay, type Clock } from "../../oci/clock.ts";
import type { Log } from "../../oci/log.ts";
import type { RegistryHost } from "../../oci/repository.ts";
import { isStorageFailure } from "../atomic-write.ts";
import { Changes } from "../changes.ts";
import type { FillRoom, WantedRoom } from "../fill-room.ts";
import type { HeldImages } from "../held-images.ts";
import { atMost } from "../../oci/waiting.ts";
import type { Store } from "../store.ts";
import { BegunRemovals } from "./begun-removals.ts";
import { Budgets, type Budget } from "./budgets.ts";
import { CensusKeeper } from "./census-keeper.ts";
import { chooseBySize, lowBytes, type Chosen, type Stock } from "./choice.ts";
import { Claims } from "./claims.ts";
import { finishBegun } from "./finishing.ts";
import { takeLease, type Lease } from "../lease.ts";
import { isUnchanged, unneededGraceMs } from "./prune.ts";
import { removeChosen, removeUnneeded, repositoriesOf, type RemovingOptions } from "./removing.ts";
import type { KeepRules, SizeLimits } from "./rules.ts";

export interface EvictorOptions {
  readonly store: Store;
  readonly images: HeldImages;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  readonly settings: EvictorSettings;
}

/** What a reload may change. */
export interface EvictorSettings {
  /** Absent: nothing is evicted, and only the disk's own size counts. */
  readonly limits: SizeLimits | undefined;
  readonly keep: KeepRules;
}

export interface EvictionFigures {
  /** None while they are not known. */
  readonly budgets: readonly Budget[];
  /** Since the start, by the limit that was to be kept. */
  readonly evictions: readonly Eviction[];
}

export interface Eviction {
  /** Undefined: of everything. */
  readonly host: RegistryHost | undefined;
  readonly images: number;
  readonly bytes: number;
}

/** How long a fill waits for room. */
const waitMs = 5_000;
/** How long to wait for another process that removes images. */
const leaseWaitMs = 4_000;
/** What changed while it was to go is chosen anew, so often. */
const roundsMax = 20;
const batchMax = 500;
const tellEveryMs = 60_000;
/** When nothing could go, fills that come near a limit have it tried again after so long. */
const retryEveryMs = 5_000;

export class Evictor implements FillRoom {
  readonly #options: EvictorOptions;
  readonly #claims = new Claims();
  readonly #changes: Changes;
  readonly #lifetime = new AbortController();
  readonly #keeper: CensusKeeper;
  readonly #budgets: Budgets;
  #settings: EvictorSettings;
  #evicting: Promise<void> | undefined;
  #passes = 0;
  #fruitlessAtMs = -Infinity;
  readonly #evictions = new Map<RegistryHost | undefined, Eviction>();
  #toldAtMs = -Infinity;

  constructor(options: EvictorOptions) {
    const { store, images, clock, log, background, settings } = options;
    this.#options = options;
    this.#settings = settings;
    this.#changes = new Changes(clock);
    this.#keeper = new CensusKeeper({ store, images, clock, log, background, onCounted: () => this.#counted() });
    this.#budgets = new Budgets({ store, claims: this.#claims, census: () => this.#keeper.census });
    if (settings.limits !== undefined) this.#keeper.begin();
  }

  /** Other limits, other rules: they hold from now on. */
  reconfigure(settings: EvictorSettings): void {
    this.#settings = settings;
    if (settings.limits === undefined) return;
    if (this.#keeper.census.isComplete) this.#options.background.run("count anew for other limits", this.#counted());
    else this.#keeper.begin();
  }

  figures(): EvictionFigures {
    const { limits } = this.#settings;
    return { budgets: limits === undefined ? [] : this.#budgets.list(limits), evictions: [...this.#evictions.values()] };
  }

  async claim(wanted: WantedRoom): Promise<(() => void) | undefined> {
    const { clock } = this.#options;
    const untilMs = clock.elapsed() + waitMs;
    let stopWaiting: (() => void) | undefined;
    try {
      for (;;) {
        const passes = this.#passes;
        const verdict = await this.#budgets.judge(wanted, this.#settings.limits);
        if (verdict === "fits") return this.#give(wanted);
        if (verdict === "never" || this.#lifetime.signal.aborted) return this.#refuse(wanted);
        if (this.#keeper.census.isComplete) stopWaiting ??= this.#claims.wait(wanted);
        if (!this.#evict() && !this.#keeper.isTaking) return this.#refuse(wanted);
        const leftMs = untilMs - clock.elapsed();
        if (leftMs <= 0) return this.#refuse(wanted);
        // A pass that ends while somebody waits has done all that can be done for now; what is still going on frees some more.
        if (this.#passes === passes) await atMost(clock, leftMs, this.#changes.next());
        if (this.#passes > passes && (await this.#budgets.judge(wanted, this.#settings.limits)) !== "fits" && !this.#evicting && !this.#keeper.isTaking)
          return this.#refuse(wanted);
      }
    } finally {
      stopWaiting?.();
    }
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    this.#lifetime.abort(new Error("the server is shutting down"));
    this.#changes.tell();
    await this.#keeper.close();
    await Promise.allSettled([this.#evicting]); // Its owner, the background, has told of a failure.
  }

  async #counted(): Promise<void> {
    await this.#measure();
    this.#changes.tell();
    this.#evictIfNear();
  }

  async #measure(): Promise<void> {
    await this.#budgets.measure(this.#stock(), this.#settings.limits);
  }

  #give(wanted: WantedRoom): () => void {
    const giveBack = this.#claims.add(wanted);
    this.#evictIfNear();
    return () => {
      giveBack();
      this.#budgets.add(wanted.host, wanted.arrivedBytes());
      this.#changes.tell();
    };
  }

  #refuse({ host, digest, sizeBytes }: WantedRoom): undefined {
    const { clock, log, store } = this.#options;
    store.noteFailure(new Error("there is no room for what is fetched"));
    if (clock.elapsed() - this.#toldAtMs < tellEveryMs) return undefined;
    this.#toldAtMs = clock.elapsed();
    log.warn({ host, digest, bytes: sizeBytes }, "no room: blobs pass through and are not kept");
    return undefined;
  }

  #evictIfNear(): void {
    const { limits } = this.#settings;
    if (limits === undefined || this.#options.clock.elapsed() - this.#fruitlessAtMs < retryEveryMs) return;
    if (this.#budgets.isNear(limits)) this.#evict();
  }

  /** Begins to evict, unless that is being done; false when nothing can be evicted yet, or at all. */
  #evict(): boolean {
    if (this.#settings.limits === undefined || !this.#keeper.census.isComplete || this.#lifetime.signal.aborted) return false;
    if (this.#evicting) return true;
    this.#evicting = this.#evictOnce().finally(() => {
      this.#evicting = undefined;
      this.#passes += 1;
      this.#changes.tell();
    });
    this.#options.background.run("evict images", this.#evicting);
    return true;
  }

  async #evictOnce(): Promise<void> {
    const { store, clock, log } = this.#options;
    const { signal } = this.#lifetime;
    try {
      const lease = await takeLease({ work: "evict", tmp: store.layout.temporary(), instance: store.instance, clock }, { waitMs: leaseWaitMs, signal });
      if (!lease) return log.info({}, "another process removes images: nothing is evicted here meanwhile");
      try {
        await this.#evictWith(lease);
      } finally {
        await lease[Symbol.asyncDispose]();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isStorageFailure(error)) throw error;
      log.warn({ error }, "images cannot be removed");
      store.noteFailure(error);
      await delay(clock, 1_000, signal).catch(() => {}); // Ended by closing: then there is nothing to wait for.
    }
  }

  async #evictWith(lease: Lease): Promise<void> {
    const { store, clock, log } = this.#options;
    const signal = AbortSignal.any([this.#lifetime.signal, lease.lost]);
    const removing: RemovingOptions = { store, clock, signal, settleMs: 0, census: this.#keeper.census, begun: this.#begun(), isBusy: this.#isBusy };
    await store.uses.write();
    await this.#keeper.census.catchUp(signal);
    await finishBegun(removing);
    const { bytes: strayBytes } = await removeUnneeded(() => this.#keeper.census.unneeded(clock.now() - unneededGraceMs), removing);
    let images = 0;
    let bytes = strayBytes;
    for (let round = 0; round < roundsMax; round++) {
      await this.#measure();
      const chosen = (await this.#choose()).slice(0, batchMax);
      if (chosen.length === 0) break;
      for (const repository of repositoriesOf(chosen)) await this.#keeper.census.confirm(repository, signal);
      const certain: Chosen[] = [];
      for (const one of chosen) if (await isUnchanged(one, this.#keeper.census)) certain.push(one);
      const freed = await removeChosen(certain, removing);
      images += freed.chosen.length;
      bytes += freed.bytes;
      this.#count(freed.chosen, freed.bytes);
      this.#changes.tell();
      await this.#keeper.census.catchUp(signal);
    }
    await this.#measure();
    if (images === 0) this.#fruitlessAtMs = clock.elapsed();
    if (images > 0) log.info({ images, bytes, takenBytes: this.#budgets.takenBytes }, "images evicted to stay within maxSize");
  }

  /** Chosen for one limit, all of them. */
  #count([first, ...others]: readonly Chosen[], freedBytes: number): void {
    if (!first) return;
    const host = first.reason.kind === "size" ? first.reason.host : undefined;
    const { images, bytes } = this.#evictions.get(host) ?? { images: 0, bytes: 0 };
    this.#evictions.set(host, { host, images: images + 1 + others.length, bytes: bytes + freedBytes });
  }

  async #choose(): Promise<readonly Chosen[]> {
    const { limits, keep } = this.#settings;
    if (limits === undefined) return [];
    const nowMs = this.#options.clock.now();
    const stock = this.#stock();
    for (const [host, limitBytes] of limits.byHost) {
      const needBytes = this.#budgets.takenBy(host) + this.#claims.waitingBytes({ host }) - lowBytes(limits, limitBytes);
      const chosen = needBytes > 0 ? chooseBySize(stock, { needBytes, host, keep, nowMs }) : [];
      if (chosen.length > 0) return chosen;
    }
    const waitingBytes = this.#claims.waitingBytes();
    const overBytes = limits.totalBytes === undefined ? 0 : this.#budgets.takenBytes + waitingBytes - lowBytes(limits, limits.totalBytes);
    const missingBytes = waitingBytes - (await this.#budgets.freeBytes());
    const needBytes = Math.max(overBytes, missingBytes);
    return needBytes > 0 ? chooseBySize(stock, { needBytes, keep, nowMs }) : [];
  }

  #begun(): BegunRemovals {
    const { store } = this.#options;
    return new BegunRemovals({ tmp: store.layout.temporary(), instance: store.instance });
  }

  #stock(): Stock {
    return this.#keeper.census.stock(this.#isBusy);
  }

  readonly #isBusy = (id: number): boolean => {
    const digest = this.#keeper.census.table.digestOf(id);
    return this.#options.store.blobs.isRead(digest) || this.#claims.isFilling(digest);
  };
}
