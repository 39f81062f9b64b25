/**
 * Evictor: keeps a store that is being filled within its limits, in the process that fills it. It takes a census in the background and
 * keeps it up to date, gives room to fills, and evicts what was least recently used, whole images only, when a limit comes near: begun
 * before fills have to wait, at the latest when the next one would go over it. No pull fails for want of room: what finds none within a few
 * seconds passes through.
 */
import { statfs } from "node:fs/promises";
import type { Background } from "../../oci/background.ts";
import { delay, type Clock } from "../../oci/clock.ts";
import type { Log } from "../../oci/log.ts";
import type { RegistryHost } from "../../oci/repository.ts";
import { isStorageFailure } from "../atomic-write.ts";
import { Changes } from "../changes.ts";
import type { FillRoom, WantedRoom } from "../fill-room.ts";
import type { HeldImages } from "../held-images.ts";
import { partEnding } from "../instance-folder.ts";
import { atMost } from "../../oci/waiting.ts";
import type { Store } from "../store.ts";
import { BegunRemovals } from "./begun-removals.ts";
import { Census } from "./census.ts";
import { bytesOf, chooseBySize, lowBytes, type Chosen, type Stock } from "./choice.ts";
import { Claims } from "./claims.ts";
import { finishBegun } from "./finishing.ts";
import { takeLease, type Lease } from "./lease.ts";
import { isUnchanged, unneededGraceMs } from "./prune.ts";
import { removeChosen, removeUnneeded, repositoriesOf, type RemovingOptions } from "./removing.ts";
import type { KeepRules, SizeLimits } from "./rules.ts";
import { temporaryBytes } from "./temporary-bytes.ts";

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

/** A limit and how much of it is taken. */
export interface Budget {
  /** Undefined: of everything. */
  readonly host: RegistryHost | undefined;
  readonly takenBytes: number;
  readonly limitBytes: number;
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

/** What others have done is looked for this often. */
const retakeEveryMs = 10 * 60_000;
/** Manifests and tags that came are counted this often: they are small. */
const catchUpEveryMs = 2_000;
/** While it looks, for each millisecond of work so many of rest. */
const restFactor = 4;
/** How long a fill waits for room. */
const waitMs = 5_000;
/** How long to wait for another process that removes images. */
const leaseWaitMs = 4_000;
/** What changed while it was to go is chosen anew, so often. */
const roundsMax = 20;
const batchMax = 500;
/** Of the way from the low mark to the limit: from there on evicting begins. */
const beginAt = 0.5;
const tellEveryMs = 60_000;
/** A census that knows this many more digests than there are files is begun anew: it never forgets one. */
const forgottenMax = 200_000;

export class Evictor implements FillRoom {
  readonly #options: EvictorOptions;
  readonly #claims = new Claims();
  readonly #changes: Changes;
  readonly #lifetime = new AbortController();
  #settings: EvictorSettings;
  #census: Census;
  #forget: () => void = () => {};
  #taking: Promise<void> | undefined;
  #evicting: Promise<void> | undefined;
  #cancelRetake: () => void = () => {};
  #cancelKeepUp: () => void = () => {};
  #temporaryBytes = 0;
  #wantedBytes = 0;
  readonly #hostBytes = new Map<RegistryHost, number>();
  #passes = 0;
  readonly #evictions = new Map<RegistryHost | undefined, Eviction>();
  #toldAtMs = -Infinity;

  constructor(options: EvictorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#changes = new Changes(options.clock);
    this.#census = this.#newCensus();
    this.#begin();
  }

  /** Other limits, other rules: they hold from now on. */
  reconfigure(settings: EvictorSettings): void {
    this.#settings = settings;
    this.#begin();
    if (this.#isAboveMark()) this.#evict();
  }

  figures(): EvictionFigures {
    const { limits } = this.#settings;
    const isKnown = limits !== undefined && this.#census.isSized;
    const total: readonly Budget[] =
      isKnown && limits.totalBytes !== undefined ? [{ host: undefined, takenBytes: this.#takenBytes(), limitBytes: limits.totalBytes }] : [];
    const byHost = isKnown && this.#census.isComplete ? [...limits.byHost] : [];
    const budgets = [...total, ...byHost.map(([host, limitBytes]) => ({ host, takenBytes: this.#hostBytes.get(host) ?? 0, limitBytes }))];
    return { budgets, evictions: [...this.#evictions.values()] };
  }

  async claim(wanted: WantedRoom): Promise<(() => void) | undefined> {
    const { clock } = this.#options;
    const untilMs = clock.elapsed() + waitMs;
    this.#wantedBytes += wanted.sizeBytes ?? 0;
    try {
      for (;;) {
        const passes = this.#passes;
        const verdict = await this.#judge(wanted);
        if (verdict === "fits") return this.#give(wanted);
        if (verdict === "never" || this.#lifetime.signal.aborted) return this.#refuse(wanted);
        if (!this.#evict() && !this.#taking) return this.#refuse(wanted);
        const leftMs = untilMs - clock.elapsed();
        if (leftMs <= 0) return this.#refuse(wanted);
        // A pass that ends while somebody waits has done all that can be done for now; what is still going on frees some more.
        if (this.#passes === passes) await atMost(clock, leftMs, this.#changes.next());
        if (this.#passes > passes && (await this.#judge(wanted)) !== "fits" && !this.#evicting && !this.#taking) return this.#refuse(wanted);
      }
    } finally {
      this.#wantedBytes -= wanted.sizeBytes ?? 0;
    }
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    this.#lifetime.abort(new Error("the server is shutting down"));
    this.#cancelRetake();
    this.#cancelKeepUp();
    this.#forget();
    this.#changes.tell();
    await Promise.allSettled([this.#taking, this.#evicting]); // Their owner, the background, has told of failures.
  }

  #newCensus(): Census {
    const { store, images, clock } = this.#options;
    return new Census({ store, images, clock, restFactor });
  }

  /** Takes a census where there is something to count for. */
  #begin(): void {
    if (this.#settings.limits === undefined || this.#taking || this.#lifetime.signal.aborted) return;
    this.#cancelRetake();
    this.#taking = this.#take().finally(() => {
      this.#taking = undefined;
      if (!this.#lifetime.signal.aborted) this.#cancelRetake = this.#options.clock.after(retakeEveryMs, () => this.#begin());
    });
    this.#options.background.run("count what is held for eviction", this.#taking);
  }

  async #take(): Promise<void> {
    const { store, log } = this.#options;
    const { signal } = this.#lifetime;
    const isFirst = !this.#census.isSized;
    const census = isFirst || this.#census.table.count > this.#census.fileCount + forgottenMax ? this.#newCensus() : this.#census;
    const forget = census === this.#census && !isFirst ? undefined : store.changes.listen(census);
    if (isFirst) this.#census = census;
    try {
      await census.takeBlobs(signal);
      for await (const _image of census.takeImages(signal)) signal.throwIfAborted();
    } catch (error) {
      forget?.();
      if (signal.aborted) return;
      if (!isStorageFailure(error)) throw error;
      return log.warn({ error }, "what is held cannot be counted: maxSize does not hold for now");
    }
    if (forget) {
      this.#forget();
      this.#forget = forget;
      this.#census = census;
    }
    await this.#measure();
    const { takenBytes, imageCount } = census;
    this.#keepUp();
    if (isFirst) log.info({ images: imageCount, bytes: takenBytes }, "what is held has been counted");
    this.#changes.tell();
    if (this.#isAboveMark()) this.#evict();
  }

  /** Manifests ask for no room: what they and their records take is found by looking. */
  #keepUp(): void {
    this.#cancelKeepUp();
    if (this.#lifetime.signal.aborted || this.#settings.limits === undefined) return;
    this.#cancelKeepUp = this.#options.clock.after(catchUpEveryMs, () => {
      const work = this.#census.isBehind && !this.#evicting ? this.#catchUp() : Promise.resolve();
      this.#options.background.run(
        "count what came",
        work.finally(() => this.#keepUp()),
      );
    });
  }

  async #catchUp(): Promise<void> {
    try {
      await this.#census.catchUp(this.#lifetime.signal);
      if (this.#isAboveMark()) this.#evict();
    } catch (error) {
      if (!this.#lifetime.signal.aborted && !isStorageFailure(error)) throw error;
    }
  }

  /** What changes without our doing, and what would take too long to reckon for each fill. */
  async #measure(): Promise<void> {
    const { layout, instance } = this.#options.store;
    this.#temporaryBytes = await temporaryBytes(layout.temporary(), (path) => path.startsWith(`${instance.path}/`) && path.endsWith(partEnding));
    this.#hostBytes.clear();
    const stock = this.#stock();
    for (const host of this.#settings.limits?.byHost.keys() ?? []) this.#hostBytes.set(host, bytesOf(stock, host));
  }

  #takenBytes(): number {
    return this.#census.takenBytes + this.#temporaryBytes + this.#claims.bytes();
  }

  /** Whether a fill has room now, may have it later, or never. */
  async #judge({ host, sizeBytes = 0 }: WantedRoom): Promise<"fits" | "later" | "never"> {
    const { limits } = this.#settings;
    const freeBytes = await this.#freeBytes();
    if (freeBytes !== undefined && freeBytes < sizeBytes) return limits === undefined ? "never" : "later";
    if (limits === undefined || !this.#census.isSized) return "fits";
    const { totalBytes = Infinity } = limits;
    const hostBytes = limits.byHost.get(host) ?? Infinity;
    if (sizeBytes > Math.min(totalBytes, hostBytes)) return "never";
    const takenByHost = (this.#hostBytes.get(host) ?? 0) + this.#claims.bytes(host);
    return this.#takenBytes() + sizeBytes <= totalBytes && takenByHost + sizeBytes <= hostBytes ? "fits" : "later";
  }

  #give(wanted: WantedRoom): () => void {
    const giveBack = this.#claims.add(wanted);
    if (this.#isAboveMark()) this.#evict();
    return () => {
      giveBack();
      const { host, arrivedBytes } = wanted;
      if (this.#hostBytes.has(host)) this.#hostBytes.set(host, (this.#hostBytes.get(host) ?? 0) + arrivedBytes());
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

  /** What the disk has left for fills that have not been given room yet; undefined where it does not say. */
  async #freeBytes(): Promise<number | undefined> {
    try {
      const { bavail, bsize } = await statfs(this.#options.store.layout.root);
      return bavail * bsize - this.#claims.pendingBytes();
    } catch (error) {
      if (isStorageFailure(error)) return undefined;
      throw error;
    }
  }

  #isAboveMark(): boolean {
    const { limits } = this.#settings;
    if (limits === undefined || !this.#census.isComplete) return false;
    const mark = (limitBytes: number): number => {
      const low = lowBytes(limits, limitBytes);
      return low + (limitBytes - low) * beginAt;
    };
    if (limits.totalBytes !== undefined && this.#takenBytes() > mark(limits.totalBytes)) return true;
    return [...limits.byHost].some(([host, limitBytes]) => (this.#hostBytes.get(host) ?? 0) + this.#claims.bytes(host) > mark(limitBytes));
  }

  /** Begins to evict, unless that is being done; false when nothing can be evicted yet, or at all. */
  #evict(): boolean {
    if (this.#settings.limits === undefined || !this.#census.isComplete || this.#lifetime.signal.aborted) return false;
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
      const lease = await takeLease({ tmp: store.layout.temporary(), instance: store.instance, clock }, { waitMs: leaseWaitMs, signal });
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
    const removing: RemovingOptions = { store, clock, signal, settleMs: 0, census: this.#census, begun: this.#begun(), isBusy: this.#isBusy };
    await store.uses.write();
    await this.#census.catchUp(signal);
    await finishBegun(removing);
    const { bytes: strayBytes } = await removeUnneeded([...this.#census.unneeded(clock.now() - unneededGraceMs)], removing);
    let images = 0;
    let bytes = strayBytes;
    for (let round = 0; round < roundsMax; round++) {
      await this.#measure();
      const chosen = (await this.#choose()).slice(0, batchMax);
      if (chosen.length === 0) break;
      for (const repository of repositoriesOf(chosen)) await this.#census.confirm(repository, signal);
      const certain: Chosen[] = [];
      for (const one of chosen) if (await isUnchanged(one, this.#census)) certain.push(one);
      const freed = await removeChosen(certain, removing);
      images += certain.length;
      bytes += freed.bytes;
      this.#count(certain, freed.bytes);
      this.#changes.tell();
      await this.#census.catchUp(signal);
    }
    await this.#measure();
    if (images > 0) log.info({ images, bytes, takenBytes: this.#takenBytes() }, "images evicted to stay within maxSize");
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
      const needBytes = (this.#hostBytes.get(host) ?? 0) + this.#claims.bytes(host) - lowBytes(limits, limitBytes);
      const chosen = needBytes > 0 ? chooseBySize(stock, { needBytes, host, keep, nowMs }) : [];
      if (chosen.length > 0) return chosen;
    }
    const overBytes = limits.totalBytes === undefined ? 0 : this.#takenBytes() + this.#wantedBytes - lowBytes(limits, limits.totalBytes);
    const missingBytes = this.#wantedBytes - ((await this.#freeBytes()) ?? Infinity);
    const needBytes = Math.max(overBytes, missingBytes);
    return needBytes > 0 ? chooseBySize(stock, { needBytes, keep, nowMs }) : [];
  }

  #begun(): BegunRemovals {
    const { store } = this.#options;
    return new BegunRemovals({ tmp: store.layout.temporary(), instance: store.instance });
  }

  #stock(): Stock {
    return this.#census.stock(this.#isBusy);
  }

  readonly #isBusy = (id: number): boolean => {
    const digest = this.#census.table.digestOf(id);
    return this.#options.store.blobs.isRead(digest) || this.#claims.isFilling(digest);
  };
}
