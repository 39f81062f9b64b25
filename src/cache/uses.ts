/**
 * Uses: which manifests were pulled, and when last. Noting one is a look-up in memory; the times are written down together, as the
 * mtimes of the manifests' records (`_manifests/sha256/<hex>`), every 30 seconds and at the end. A kill loses the last batch at most.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { isStorageFailure } from "./atomic-write.ts";
import type { RepositoryStore } from "./repository-store.ts";

const writeEveryMs = 30_000;
/** More than these are written down early; what comes while those are being written, and is more again, is not noted. */
const notesMax = 10_000;

export interface UsesOptions {
  readonly repositories: RepositoryStore;
  readonly clock: Clock;
  readonly background: Background;
}

/** Uses since `startedAtMs` (`elapsed`): after how many whole milliseconds each was the last. Small integers: noting one again allocates nothing. */
interface Batch {
  readonly startedAtMs: number;
  readonly uses: Map<Repository, Map<Digest, number>>;
  size: number;
}

export class Uses {
  readonly #options: UsesOptions;
  #batch: Batch | undefined;
  #cancelWrite: (() => void) | undefined;
  #writing: Promise<void> | undefined;

  constructor(options: UsesOptions) {
    this.#options = options;
  }

  /** A client has pulled this manifest, now. */
  note(repository: Repository, digest: Digest): void {
    const nowMs = this.#options.clock.elapsed();
    const batch = (this.#batch ??= this.#start(nowMs));
    const atMs = (nowMs - batch.startedAtMs) | 0;
    const known = batch.uses.get(repository);
    if (known?.has(digest)) {
      known.set(digest, atMs);
      return;
    }
    if (batch.size >= notesMax) return;
    batch.size += 1;
    if (known) known.set(digest, atMs);
    else batch.uses.set(repository, new Map([[digest, atMs]]));
    if (batch.size >= notesMax && !this.#writing) this.#options.background.run("note uses", this.write());
  }

  /** Writes down what was noted so far. What the disk does not take is given up: whoever is pulled is pulled again. */
  async write(): Promise<void> {
    while (this.#writing) await this.#writing;
    const batch = this.#batch;
    if (!batch) return;
    this.#cancelWrite?.();
    this.#batch = undefined;
    this.#writing = this.#writeBatch(batch).finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  #start(nowMs: number): Batch {
    const { clock, background } = this.#options;
    this.#cancelWrite = clock.after(writeEveryMs, () => background.run("note uses", this.write()));
    return { startedAtMs: nowMs, uses: new Map(), size: 0 };
  }

  async #writeBatch(batch: Batch): Promise<void> {
    const { repositories, clock } = this.#options;
    const startedAtMs = clock.now() - (clock.elapsed() - batch.startedAtMs);
    for (const { repository, digest, atMs } of lastUses(batch)) {
      try {
        await repositories.putUsed(repository, digest, startedAtMs + atMs);
      } catch (error) {
        if (!isStorageFailure(error)) throw error;
      }
    }
  }
}

interface LastUse {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly atMs: number;
}

/** One for each manifest: who asks with a new object each time is still the same repository. */
function lastUses({ uses }: Batch): Iterable<LastUse> {
  const last = new Map<string, LastUse>();
  for (const [repository, digests] of uses) {
    for (const [digest, atMs] of digests) {
      const key = `${repositoryName(repository)}@${digest}`;
      if (atMs >= (last.get(key)?.atMs ?? 0)) last.set(key, { repository, digest, atMs });
    }
  }
  return last.values();
}
