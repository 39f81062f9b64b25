/**
 * Choice: which images go, from a census and rules, and nothing else: no clock, no disk. Always whole images; the least recently used
 * first; what is pinned, kept by a rule, or being read or filled just now stays.
 */
import type { RegistryHost } from "../../oci/repository.ts";
import { repositoryName } from "../../oci/repository.ts";
import type { Tag } from "../../oci/tag.ts";
import type { CensusImage } from "./census-image.ts";
import { Column, type DigestTable } from "./digest-table.ts";
import type { KeepRules, PruneRules, SizeLimits } from "./rules.ts";

/** What is chosen from. */
export interface Stock {
  readonly table: DigestTable;
  readonly images: readonly CensusImage[];
  /** How many images need a digest. */
  readonly needers: Column;
  /** What a digest's file takes on the disk; 0 for one that is not held. */
  readonly bytes: Column;
  /** Blobs that are being read or filled. */
  readonly isBusy: (id: number) => boolean;
}

export type Reason =
  | { readonly kind: "used"; readonly beforeMs: number }
  | { readonly kind: "came"; readonly beforeMs: number }
  | { readonly kind: "name" }
  | { readonly kind: "size"; readonly host: RegistryHost | undefined }
  /** An earlier prune was killed when it had begun to remove it. */
  | { readonly kind: "begun" };

export interface Chosen {
  readonly image: CensusImage;
  /** The tags that go. */
  readonly tags: readonly Tag[];
  /** False: other tags mean it still, and only these tags go. */
  readonly isWhole: boolean;
  readonly reason: Reason;
}

/** Fetched within this time, an image is the last that is evicted for want of room: its client is about to ask for the rest of it. */
export const graceMs = 2 * 60_000;

/** What the rules say goes: what is asked for goes at once, however new it is. */
export function chooseByRules(stock: Stock, rules: PruneRules): readonly Chosen[] {
  const isKept = keeper(stock, rules.keep);
  const leavings = new Leavings(stock);
  const chosen: Chosen[] = [];
  const reason = reasonOf(rules);
  for (const image of byUse(mains(stock))) {
    if (chosen.length >= (rules.countMax ?? Infinity)) break;
    const tags = namesThatGo(stock.table, image, rules);
    if (!tags || isKept(image)) continue;
    const isWhole = tags.length === image.tags.length;
    if (isWhole && !leavings.take(image)) continue;
    chosen.push({ image, tags, isWhole, reason });
  }
  return withCompanions(stock, chosen);
}

/** What the rules mean and do not get: it is pinned, or kept. By repository. */
export function* stayingByRules(stock: Stock, rules: PruneRules): Generator<{ readonly image: CensusImage; readonly tags: readonly Tag[] }> {
  const isKept = keeper(stock, rules.keep);
  for (const image of mains(stock)) {
    const tags = namesThatGo(stock.table, image, rules);
    if (tags && isKept(image)) yield { image, tags };
  }
}

/** What goes so that `needBytes` fewer are taken, of one registry or of all. Fewer, when nothing else may go. */
export function chooseBySize(
  stock: Stock,
  { needBytes, host, keep, nowMs }: { needBytes: number; host?: RegistryHost; keep: KeepRules; nowMs: number },
): readonly Chosen[] {
  const isKept = keeper(stock, keep);
  const ofHost = mains(stock).filter((image) => host === undefined || image.repository.host === host);
  const leavings = new Leavings(host === undefined ? stock : { ...stock, needers: needersOf(ofHost) });
  const isNew = (image: CensusImage): boolean => nowMs - image.heldSinceMs < graceMs;
  const inTurn = byUse(ofHost).sort((one, other) => Number(isNew(one)) - Number(isNew(other)));
  const chosen: Chosen[] = [];
  const reason: Reason = { kind: "size", host };
  for (const image of inTurn) {
    if (leavings.freedBytes >= needBytes) break;
    if (isKept(image) || !leavings.take(image)) continue;
    chosen.push({ image, tags: image.tags, isWhole: true, reason });
  }
  return withCompanions(stock, chosen);
}

/** What images of each limited registry take; what two share counts for both. */
export function bytesOf({ images, bytes }: Pick<Stock, "images" | "bytes">, host: RegistryHost): number {
  const seen = new Set<number>();
  let sum = 0;
  for (const { repository, needs } of images) {
    if (repository.host !== host) continue;
    for (const id of needs) {
      if (seen.has(id)) continue;
      seen.add(id);
      sum += bytes.get(id);
    }
  }
  return sum;
}

/** Down to how many bytes is evicted. */
export function lowBytes({ lowWater }: Pick<SizeLimits, "lowWater">, limitBytes: number): number {
  return Math.floor(limitBytes * lowWater);
}

/**
 * What a rule decides of an image without knowing the others; undefined where it stays, and where that depends on them: on how many
 * go, on which came last, or on the image that it is about.
 */
export function decide(table: DigestTable, rules: PruneRules): (image: CensusImage) => Chosen | undefined {
  const reason = reasonOf(rules);
  return (image) => {
    if (rules.countMax !== undefined || image.about !== undefined || rules.keep.lastTags(image.repository) > 0) return undefined;
    const tags = namesThatGo(table, image, rules);
    if (!tags || isKeptByItself(image, rules.keep)) return undefined;
    return { image, tags, isWhole: tags.length === image.tags.length, reason };
  };
}

/** What is still needed when images are taken away one by one, and what they free. */
export class Leavings {
  readonly #stock: Stock;
  readonly #needers: Column;
  #freedBytes = 0;
  #freedBlobs = 0;

  constructor(stock: Stock) {
    this.#stock = stock;
    this.#needers = stock.needers.copy();
  }

  get freedBytes(): number {
    return this.#freedBytes;
  }

  get freedBlobs(): number {
    return this.#freedBlobs;
  }

  /** Takes an image; false, and nothing is taken, when something only it needs is being read or filled. */
  take(image: CensusImage): boolean {
    if (image.needs.some((id) => this.#needers.get(id) <= 1 && this.#stock.isBusy(id))) return false;
    for (const id of image.needs) {
      if (this.#needers.add(id, -1) !== 0) continue;
      this.#freedBytes += this.#stock.bytes.get(id);
      if (this.#stock.bytes.get(id) > 0) this.#freedBlobs += 1;
    }
    return true;
  }
}

/** The tags of an image that the rules take; undefined when it stays. */
function namesThatGo(table: DigestTable, image: CensusImage, { matches, heldBeforeMs, usedBeforeMs }: PruneRules): readonly Tag[] | undefined {
  if (heldBeforeMs !== undefined && image.heldSinceMs >= heldBeforeMs) return undefined;
  if (usedBeforeMs !== undefined && image.usedAtMs >= usedBeforeMs) return undefined;
  if (!matches) return image.tags;
  const name = repositoryName(image.repository);
  if (image.tags.length === 0) return matches(`${name}@${table.digestOf(image.root)}`) ? [] : undefined;
  const tags = image.tags.filter((tag) => matches(`${name}:${tag}`));
  return tags.length > 0 ? tags : undefined;
}

function reasonOf({ heldBeforeMs, usedBeforeMs }: PruneRules): Reason {
  if (usedBeforeMs !== undefined) return { kind: "used", beforeMs: usedBeforeMs };
  return heldBeforeMs === undefined ? { kind: "name" } : { kind: "came", beforeMs: heldBeforeMs };
}

/** Whether an image stays, whatever else is said. */
function keeper(stock: Stock, keep: KeepRules): (image: CensusImage) => boolean {
  const last = lastTagged(stock.images, keep);
  return (image) => last.has(image) || isKeptByItself(image, keep);
}

function isKeptByItself({ isPinned, isUncertain, repository, tags }: CensusImage, keep: KeepRules): boolean {
  return isPinned || isUncertain || (tags.length === 0 ? [undefined] : tags).some((tag) => keep.isKept(repository, tag));
}

/** The images that a repository's last tags mean. */
function lastTagged(images: readonly CensusImage[], keep: KeepRules): ReadonlySet<CensusImage> {
  const tagged = Map.groupBy(
    images.filter(({ tags, about }) => tags.length > 0 && about === undefined),
    ({ repository }) => repositoryName(repository),
  );
  const last = new Set<CensusImage>();
  for (const ofRepository of tagged.values()) {
    const [first] = ofRepository;
    let left = first ? keep.lastTags(first.repository) : 0;
    if (left === 0) continue;
    for (const image of ofRepository.toSorted((one, other) => other.heldSinceMs - one.heldSinceMs)) {
      if (left <= 0) break;
      last.add(image);
      left -= image.tags.length;
    }
  }
  return last;
}

/** Images that are about no other. */
function mains({ images }: Stock): CensusImage[] {
  const held = heldManifests(images);
  return images.filter((image) => !isAboutHeld(image, held));
}

/** What was said about images that go goes with them. */
function withCompanions({ images }: Stock, chosen: readonly Chosen[]): readonly Chosen[] {
  const possible = images.filter(({ about, isPinned }) => about !== undefined && !isPinned);
  if (possible.length === 0) return chosen;
  const wanted = new Set(possible.map((image) => keyOf(image, image.about)));
  const gone = new Map<string, Chosen>();
  for (const one of chosen) {
    if (!one.isWhole) continue;
    for (const key of one.image.manifests.map((id) => keyOf(one.image, id))) if (wanted.has(key)) gone.set(key, one);
  }
  const companions = possible.flatMap((image) => {
    const subject = gone.get(keyOf(image, image.about));
    return subject && subject.image !== image ? [{ image, tags: image.tags, isWhole: true, reason: subject.reason }] : [];
  });
  return [...chosen, ...companions];
}

/** The manifests that are no companions', by repository. */
function heldManifests(images: readonly CensusImage[]): ReadonlySet<string> {
  const companions = images.filter(({ about }) => about !== undefined);
  if (companions.length === 0) return new Set();
  const wanted = new Set(companions.map((image) => keyOf(image, image.about)));
  const held = new Set<string>();
  for (const image of images) {
    if (image.about !== undefined) continue;
    for (const id of image.manifests) if (wanted.has(keyOf(image, id))) held.add(keyOf(image, id));
  }
  return held;
}

function isAboutHeld(image: CensusImage, held: ReadonlySet<string>): boolean {
  return image.about !== undefined && held.has(keyOf(image, image.about));
}

function keyOf({ repository }: CensusImage, id: number | undefined): string {
  return `${repositoryName(repository)} ${id}`;
}

function byUse(images: readonly CensusImage[]): CensusImage[] {
  return images.toSorted((one, other) => one.usedAtMs - other.usedAtMs || one.root - other.root);
}

function needersOf(images: readonly CensusImage[]): Column {
  const needers = new Column();
  for (const { needs } of images) for (const id of needs) needers.add(id, 1);
  return needers;
}
