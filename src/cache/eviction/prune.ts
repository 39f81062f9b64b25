/**
 * Prune: one run of removing images, as the command, the schedule and the administrative routes do it: `prune({ store, images, clock, ... })`
 * gives what goes as it goes (with `dryRun` what would, at once), and at the end a `done` with the sums. It works beside a server and
 * beside other commands: one of all processes removes at a time, the others wait. Who stops listening stops it, between two files.
 */
import type { Clock } from "../../oci/clock.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Repository } from "../../oci/repository.ts";
import type { Tag } from "../../oci/tag.ts";
import { HeldImages } from "../held-images.ts";
import { silenceMs } from "../instance-folder.ts";
import { recordsSettleMs } from "../removal.ts";
import type { Store } from "../store.ts";
import { BegunRemovals } from "./begun-removals.ts";
import { Census } from "./census.ts";
import type { CensusImage } from "./census-image.ts";
import { chooseByRules, chooseBySize, decide, Leavings, lowBytes, bytesOf, type Chosen, type Reason, type Stock } from "./choice.ts";
import { finishBegun } from "./finishing.ts";
import { reasonText } from "./reasons.ts";
import { holderOfLease, takeLease, type Lease } from "../lease.ts";
import { removeChosen, removeUnneeded, repositoriesOf, type Freed } from "./removing.ts";
import { tellStaying, type StayingImage } from "./staying.ts";
import { keepNothing, type PruneRules, type SizeLimits } from "./rules.ts";

/** How far it is, for who waits. */
export type PruneProgress =
  /** A process that is not of this machine, or its container, prunes, or died at it: within a minute its silence tells. */
  | { readonly kind: "waiting" }
  /** So many images have been looked through. */
  | { readonly kind: "looking"; readonly images: number };

export interface PruneOptions {
  readonly store: Store;
  readonly images: HeldImages;
  readonly clock: Clock;
  /** What goes by name or age; absent: nothing. */
  readonly rules?: PruneRules | undefined;
  /** What has to go until there is room; absent: nothing. */
  readonly limits?: SizeLimits | undefined;
  /** Say too which images the rules mean that are pinned or kept. */
  readonly tellsStaying?: boolean | undefined;
  /** Only say what would go. */
  readonly dryRun?: boolean;
  /** Told when it begins to wait or to look, and after each image. */
  readonly onProgress?: ((progress: PruneProgress) => void) | undefined;
  /** How long to wait for another process of this machine that prunes. */
  readonly waitMs?: number;
  /** How long other processes may believe what is gone; 0 when none can be serving from this store. */
  readonly settleMs?: number;
  /** For each millisecond of looking so many of rest. */
  readonly restFactor?: number;
  readonly signal?: AbortSignal | undefined;
}

/** An image that goes, or tags of one that stays under others. */
export interface PrunedImage {
  readonly kind: "image";
  readonly repository: Repository;
  readonly tags: readonly Tag[];
  readonly digest: Digest;
  /** False: only these tags go. */
  readonly isWhole: boolean;
  readonly reason: Reason["kind"];
  /** The same in a few words. */
  readonly why: string;
  /** What its files take on the disk, those too that others need and that stay. */
  readonly sizeBytes: number;
}

export interface PruneDone {
  readonly kind: "done";
  readonly dryRun: boolean;
  readonly images: number;
  readonly blobs: number;
  /** Allocated on the disk, and free now. */
  readonly freedBytes: number;
}

export type PruneEvent = PrunedImage | StayingImage | PruneDone;

/** Another process prunes the store, and goes on doing so. */
export class PruneBusy extends Error {
  constructor(holder: number | undefined) {
    super(`another process${holder === undefined ? "" : ` (${holder})`} prunes this store: try again when it is done`);
    this.name = "PruneBusy";
  }
}

/** Beyond the time after which a silent process is known to be dead. */
const foreignMarginMs = 15_000;
/** Images that go together: what comes in between two such batches is seen. */
const batchMax = 1_000;
/** How often what changed while it was to go is chosen anew. */
const roundsMax = 5;
/** A blob that no image needs may belong to one that is on its way in, in another process. */
export const unneededGraceMs = 3_600_000;

/** See above. Throws `PruneBusy`, the signal's reason, or the system's error where the store cannot be read or written. */
export async function* prune(options: PruneOptions): AsyncGenerator<PruneEvent> {
  const { store, images, clock, dryRun = false, restFactor = 1, onProgress, signal } = options;
  const onLookedAt = (looked: number): void => onProgress?.({ kind: "looking", images: looked });
  const census = new Census({ store, images, clock, restFactor, onLookedAt });
  if (dryRun) return yield* rehearse(census, options);
  await store.uses.write();
  const tmp = store.layout.temporary();
  const lease = await takeLease(
    { work: "evict", tmp, instance: store.instance, clock },
    {
      waitMs: options.waitMs ?? 30_000,
      foreignWaitMs: silenceMs + foreignMarginMs,
      onForeign: () => onProgress?.({ kind: "waiting" }),
      signal,
    },
  );
  if (!lease) throw new PruneBusy(await holderOfLease("evict", tmp));
  const forget = store.changes.listen(census);
  try {
    yield* new PruneRun(census, lease, options).run();
  } finally {
    forget();
    await lease[Symbol.asyncDispose]();
  }
}

/** What would go. By rules alone each image is told as soon as it is found; where it depends on the others, at the end. */
async function* rehearse(census: Census, { store, rules, limits, tellsStaying = false, clock, onProgress, signal }: PruneOptions): AsyncGenerator<PruneEvent> {
  const stock = (): Stock => census.stock(() => false);
  const told = new Set<CensusImage>();
  const goes = rules && decide(census.table, rules);
  onProgress?.({ kind: "looking", images: 0 });
  if (limits) await census.takeBlobs(signal);
  for await (const image of census.takeImages(signal)) {
    const one = goes?.(image);
    if (!one) continue;
    told.add(image);
    yield pruned(one, census, await census.measure(image));
  }
  if (rules && tellsStaying) yield* tellStaying(stock(), { rules, pins: store.pins });
  // What was told is among them, since no other image has a say in it.
  const chosen: Chosen[] = rules ? [...chooseByRules(stock(), rules)] : [];
  const leavings = new Leavings(stock());
  for (const one of chosen) {
    if (one.isWhole) leavings.take(one.image);
    if (!told.has(one.image)) yield pruned(one, census, await census.measure(one.image));
  }
  told.clear();
  if (limits) {
    const gone = new Set(chosen.filter(({ isWhole }) => isWhole).map(({ image }) => image));
    const bySize = overLimits(census, stock(), { limits, keep: rules?.keep ?? keepNothing, nowMs: clock.now(), freedBytes: leavings.freedBytes });
    for (const one of bySize) {
      if (gone.has(one.image)) continue;
      gone.add(one.image);
      chosen.push(one);
      leavings.take(one.image);
      yield pruned(one, census, await census.measure(one.image));
    }
  }
  const { freedBytes, freedBlobs } = leavings;
  yield { kind: "done", dryRun: true, images: chosen.length, blobs: freedBlobs, freedBytes };
}

/** What has to go for the limits' sake, as things stand. */
export function overLimits(
  census: Census,
  stock: Stock,
  { limits, keep, nowMs, freedBytes = 0 }: { limits: SizeLimits; keep: PruneRules["keep"]; nowMs: number; freedBytes?: number },
): readonly Chosen[] {
  const chosen: Chosen[] = [];
  for (const [host, limitBytes] of limits.byHost) {
    const takenBytes = bytesOf(stock, host);
    if (takenBytes > limitBytes) chosen.push(...chooseBySize(stock, { needBytes: takenBytes - lowBytes(limits, limitBytes), host, keep, nowMs }));
  }
  const { totalBytes } = limits;
  if (totalBytes === undefined || census.takenBytes - freedBytes <= totalBytes) return chosen;
  const needBytes = census.takenBytes - freedBytes - lowBytes(limits, totalBytes);
  const chosenAlready = new Set(chosen.map(({ image }) => image));
  return [...chosen, ...chooseBySize(stock, { needBytes, keep, nowMs }).filter(({ image }) => !chosenAlready.has(image))];
}

class PruneRun {
  readonly #census: Census;
  readonly #options: PruneOptions;
  readonly #begun: BegunRemovals;
  readonly #signal: AbortSignal;
  #images = 0;
  #freed: Freed = { blobs: 0, bytes: 0 };

  constructor(census: Census, lease: Lease, options: PruneOptions) {
    const { store, signal } = options;
    this.#census = census;
    this.#options = options;
    this.#begun = new BegunRemovals({ tmp: store.layout.temporary(), instance: store.instance });
    this.#signal = signal ? AbortSignal.any([signal, lease.lost]) : lease.lost;
  }

  async *run(): AsyncGenerator<PruneEvent> {
    const { store, rules, limits, tellsStaying = false, clock, onProgress } = this.#options;
    onProgress?.({ kind: "looking", images: 0 });
    await this.#census.takeBlobs(this.#signal);
    for await (const _image of this.#census.takeImages(this.#signal)); // What it finds it keeps.
    yield* this.#finishBegun();
    if (rules && tellsStaying) yield* tellStaying(this.#stock(), { rules, pins: store.pins });
    if (rules) yield* this.#remove(() => chooseByRules(this.#stock(), rules), rules.countMax ?? Infinity);
    await this.#freeUnneeded();
    if (limits) {
      const keep = rules?.keep ?? keepNothing;
      yield* this.#remove(() => overLimits(this.#census, this.#stock(), { limits, keep, nowMs: clock.now() }), Infinity);
    }
    yield { kind: "done", dryRun: false, images: this.#images, blobs: this.#freed.blobs, freedBytes: this.#freed.bytes };
  }

  async *#finishBegun(): AsyncGenerator<PruneEvent> {
    const { chosen, freed } = await finishBegun(this.#removing(this.#options.settleMs ?? recordsSettleMs));
    this.#count(freed);
    this.#images += chosen.length;
    for (const one of chosen) yield pruned(one, this.#census, 0);
  }

  /** Removes what `choose` gives, batch by batch; what changed before its turn is chosen anew, or left. */
  async *#remove(choose: () => readonly Chosen[], countMax: number): AsyncGenerator<PruneEvent> {
    let left = countMax;
    for (let round = 0; round < roundsMax && left > 0; round++) {
      const chosen = choose().slice(0, left);
      let hasChanged = false;
      for (let at = 0; at < chosen.length; at += batchMax) {
        const batch = chosen.slice(at, at + batchMax);
        const before = this.#images;
        yield* this.#batch(await this.#certain(batch));
        const gone = this.#images - before;
        hasChanged ||= gone < batch.length;
        left -= gone;
      }
      if (!hasChanged) return;
    }
  }

  async *#batch(chosen: readonly Chosen[]): AsyncGenerator<PruneEvent> {
    if (chosen.length === 0) return;
    const sizes = new Map<Chosen, number>();
    for (const one of chosen) sizes.set(one, await this.#census.measure(one.image));
    const removed = await removeChosen(chosen, this.#removing(this.#options.settleMs ?? recordsSettleMs));
    this.#count(removed);
    this.#images += removed.chosen.length;
    for (const one of removed.chosen) yield pruned(one, this.#census, sizes.get(one) ?? 0);
  }

  /** Those that are still as they were when they were chosen. */
  async #certain(chosen: readonly Chosen[]): Promise<readonly Chosen[]> {
    for (const repository of repositoriesOf(chosen)) await this.#census.confirm(repository, this.#signal);
    const certain: Chosen[] = [];
    for (const one of chosen) if (await isUnchanged(one, this.#census)) certain.push(one);
    return certain;
  }

  async #freeUnneeded(): Promise<void> {
    const beforeMs = this.#options.clock.now() - unneededGraceMs;
    this.#count(await removeUnneeded(() => this.#census.unneeded(beforeMs), this.#removing(0)));
  }

  #stock(): Stock {
    return this.#census.stock(this.#isBusy);
  }

  readonly #isBusy = (id: number): boolean => this.#options.store.blobs.isRead(this.#census.table.digestOf(id));

  #removing(settleMs: number): Parameters<typeof removeChosen>[1] {
    const { store, clock } = this.#options;
    return { store, clock, settleMs, census: this.#census, begun: this.#begun, isBusy: this.#isBusy, signal: this.#signal };
  }

  #count({ blobs, bytes }: Freed): void {
    this.#freed = { blobs: this.#freed.blobs + blobs, bytes: this.#freed.bytes + bytes };
  }
}

/** Whether an image that was chosen is what it was: by its tags, its pins, and, where that is why it goes, its last use. */
export async function isUnchanged({ image, reason }: Chosen, census: Census): Promise<boolean> {
  const now = census.imagesOf(image.repository).find(({ root }) => root === image.root);
  if (!now || now.isPinned !== image.isPinned || now.tags.join(" ") !== image.tags.join(" ")) return false;
  if (now !== image) return false; // Looked at again: what it needs may have changed.
  if (reason.kind !== "used" && reason.kind !== "size") return true;
  return await census.isUnused(image);
}

function pruned({ image, tags, isWhole, reason }: Chosen, { table }: Census, sizeBytes: number): PrunedImage {
  return {
    kind: "image",
    repository: image.repository,
    tags,
    digest: table.digestOf(image.root),
    isWhole,
    reason: reason.kind,
    why: reasonText(reason),
    sizeBytes,
  };
}
