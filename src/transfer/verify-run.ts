/** VerifyRun: what one run of verifying finds, repairs if it shall, and sums up. */
import type { CachingRegistry } from "../cache/caching-registry.ts";
import type { Store } from "../cache/store.ts";
import type { StoredHoldings } from "../cache/stored-holdings.ts";
import type { UnreadPath } from "../cache/store-reader.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { ImageGap, MissingPart } from "./image-gap.ts";
import { Repair } from "./repair.ts";
import type { DamagedBlob, UnreadableBlob } from "./verify-blobs.ts";

export type VerifyFinding =
  | DamagedBlob
  | UnreadableBlob
  /** A folder or a record that the disk does not give: what it would name was not looked at. */
  | ({ readonly kind: "unread" } & UnreadPath)
  /** Where a blob that was damaged, or cannot be read, belongs, and what became of it. */
  | ({ readonly kind: "owners"; readonly digest: Digest; readonly repositories: readonly string[] } & Repaired)
  | ({ readonly kind: "incomplete" } & Omit<ImageGap, "repository"> & Repaired);

/** Undefined: nobody asked for a repair. */
export interface Repaired {
  readonly isRepaired: boolean | undefined;
  /** Why it could not be. */
  readonly problem?: string | undefined;
}

export interface VerifyProgress {
  readonly images: number;
  readonly blobs: number;
  readonly bytes: number;
}

export interface VerifySummary extends VerifyProgress {
  /** Images with a gap, as they were found. */
  readonly incomplete: number;
  /** Blobs with wrong bytes, and those that cannot be read. */
  readonly damaged: number;
  readonly unreadable: number;
  /** Folders and records that cannot be read. */
  readonly unread: number;
  /** Of these three, how many are right now. */
  readonly repaired: number;
  /** Nothing damaged is left, and no gap that nobody will fill: where registries can be asked, the next pull fills it. */
  readonly isGood: boolean;
  readonly durationMs: number;
}

export interface VerifyOptions {
  readonly store: Store;
  /** What serves: asked to hand over what lacks, if `repairs`. */
  readonly registry: CachingRegistry;
  readonly clock: Clock;
  readonly repairs: boolean;
  readonly signal: AbortSignal;
  /** Told of each as it is found. */
  readonly onFinding: (finding: VerifyFinding) => void;
  /** Told often how far it is. */
  readonly onProgress?: (progress: VerifyProgress) => void;
}

export class VerifyRun {
  readonly #options: VerifyOptions;
  readonly #repair: Repair | undefined;
  readonly #startedMs: number;
  #images = 0;
  #blobs = 0;
  #bytes = 0;
  #incomplete = 0;
  #damaged = 0;
  #unreadable = 0;
  readonly #unread = new Set<string>();
  #repaired = 0;
  #repairedGaps = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#repair = options.repairs ? new Repair(options) : undefined;
    this.#startedMs = options.clock.elapsed();
  }

  countBlob(sizeBytes: number): void {
    this.#blobs += 1;
    this.#bytes += sizeBytes;
    this.#progressed();
  }

  tellBlob(finding: DamagedBlob | UnreadableBlob): void {
    if (finding.kind === "damaged") this.#damaged += 1;
    else this.#unreadable += 1;
    this.countBlob(finding.kind === "damaged" ? finding.sizeBytes : 0);
    this.#options.onFinding(finding);
  }

  /** Told once, however often it is met. */
  tellUnread({ path, code }: UnreadPath): void {
    if (this.#unread.has(path)) return;
    this.#unread.add(path);
    this.#options.onFinding({ kind: "unread", path, code });
  }

  tellImage(gaps: readonly (ImageGap & Repaired)[]): void {
    this.#images += 1;
    if (gaps.length > 0) this.#incomplete += 1;
    if (gaps.length > 0 && gaps.every(({ isRepaired }) => isRepaired)) this.#repairedGaps += 1;
    for (const { repository: _, ...gap } of gaps) this.#options.onFinding({ kind: "incomplete", ...gap });
    this.#progressed();
  }

  /** Fetches what lacks, and looks again: only what is whole then is repaired. */
  async repairGaps(
    gaps: readonly ImageGap[],
    lookAgain: () => Promise<readonly ImageGap[]>,
    before?: () => Promise<string | undefined>,
  ): Promise<readonly (ImageGap & Repaired)[]> {
    if (!this.#repair || gaps.length === 0) return gaps.map((gap) => ({ ...gap, isRepaired: undefined }));
    let problem = await before?.();
    const tried = new Set<Digest>();
    // What a manifest names is known when it is here: its blobs are the gaps of the next look.
    for (let left = before ? await lookAgain() : gaps; ; left = await lookAgain()) {
      const untried = left.flatMap(({ repository, missing }) => missing.map((part) => ({ repository, part }))).filter(({ part }) => !tried.has(part.digest));
      if (untried.length === 0) return gaps.map((gap) => ({ ...gap, ...stateOf(gap, left, problem) }));
      for (const { repository, part } of untried) {
        if (tried.has(part.digest)) continue;
        tried.add(part.digest);
        problem = (await this.#repair.fetch(repository, part)) ?? problem;
      }
    }
  }

  async repairBlobs(digests: readonly Digest[], holdings: StoredHoldings): Promise<void> {
    const owners = await findOwners(digests, this.#options.store, holdings);
    for (const digest of digests) {
      const found = owners.get(digest) ?? [];
      const outcome = await this.#repairBlob(digest, found);
      if (outcome.isRepaired) this.#repaired += 1;
      this.#options.onFinding({ kind: "owners", digest, repositories: found.map(({ repository }) => repositoryName(repository)), ...outcome });
    }
  }

  summary({ gapsCount }: { readonly gapsCount: boolean }): VerifySummary {
    const isWhole = this.#incomplete === this.#repairedGaps;
    return {
      images: this.#images,
      blobs: this.#blobs,
      bytes: this.#bytes,
      incomplete: this.#incomplete,
      damaged: this.#damaged,
      unreadable: this.#unreadable,
      unread: this.#unread.size,
      repaired: this.#repaired + this.#repairedGaps,
      isGood: this.#unread.size === 0 && this.#damaged + this.#unreadable === this.#repaired && (isWhole || !gapsCount),
      durationMs: this.#options.clock.elapsed() - this.#startedMs,
    };
  }

  /** One of its repositories has it, perhaps not the first. */
  async #repairBlob(digest: Digest, owners: readonly Owner[]): Promise<Repaired> {
    if (!this.#repair) return { isRepaired: undefined };
    let problem: string | undefined = "no repository names it: nobody can be asked for it, and nobody misses it";
    for (const { repository, what } of owners) {
      problem = await this.#repair.fetch(repository, { what, digest });
      if (problem === undefined) return { isRepaired: true };
    }
    return { isRepaired: owners.length === 0, problem };
  }

  #progressed(): void {
    this.#options.onProgress?.({ images: this.#images, blobs: this.#blobs, bytes: this.#bytes });
  }
}

interface Owner {
  readonly repository: Repository;
  readonly what: MissingPart["what"];
}

/** Which repositories may show each of these: one look at each, not a search. */
async function findOwners(digests: readonly Digest[], store: Store, holdings: StoredHoldings): Promise<ReadonlyMap<Digest, readonly Owner[]>> {
  const owners = new Map<Digest, Owner[]>();
  for await (const repository of holdings.walk()) {
    for (const digest of digests) {
      const isManifest = (await store.repositories.findManifest(repository, digest)) !== undefined;
      if (!isManifest && !(await store.repositories.findLink(repository, digest))) continue;
      owners.set(digest, [...(owners.get(digest) ?? []), { repository, what: isManifest ? "manifest" : "layer" }]);
    }
  }
  return owners;
}

function stateOf(gap: ImageGap, left: readonly ImageGap[], problem: string | undefined): Repaired {
  const isLeft = left.some(({ platform }) => platform === gap.platform || platform === undefined);
  return isLeft ? { isRepaired: false, problem } : { isRepaired: true };
}
