/**
 * Census: the images that are held, what each needs, and what every file takes. Taken from the disk, kept up to date by what this
 * process writes and removes; what others do is seen when it is taken again, or when a repository is looked at before something of it
 * goes. Blobs are looked at before what names them: a file that has the same time when it is to go was needed by nobody meanwhile.
 */
import type { Digest } from "../../oci/digest.ts";
import type { Clock } from "../../oci/clock.ts";
import { repositoryName, type RegistryHost, type Repository } from "../../oci/repository.ts";
import { statIfThere } from "../atomic-write.ts";
import type { HeldImage, HeldImages } from "../held-images.ts";
import type { Store } from "../store.ts";
import { allocatedBytes, type StoreListener } from "../store-changes.ts";
import { walkStoredBlobs } from "../stored-blobs.ts";
import { subjectOfTags } from "./about.ts";
import type { CensusImage } from "./census-image.ts";
import type { Stock } from "./choice.ts";
import { Column, DigestTable } from "./digest-table.ts";
import { readImageParts } from "./image-parts.ts";
import { folderBytesOf, newRepositoryBytes, recordBytesOf } from "./record-bytes.ts";
import { Rests } from "./rests.ts";

export interface CensusOptions {
  readonly store: Store;
  readonly images: Pick<HeldImages, "walk">;
  readonly clock: Clock;
  /** For each millisecond of work so many of rest. */
  readonly restFactor: number;
  /** Told how many images have been looked at since the beginning, after each. */
  readonly onLookedAt?: (images: number) => void;
}

/** `sha256:ab`: the folder that a digest's blob lies in. */
const shardLength = "sha256:ab".length;

interface CensusRepository {
  readonly repository: Repository;
  /** The times of its folders, from before they were read. */
  readonly folderTimes: string;
  /** Which of our looks this is from: a later one knows better. */
  readonly look: number;
  readonly images: readonly CensusImage[];
  /** What its records and folders take. */
  readonly recordBytes: number;
}

/** What a walk has found of a repository. */
interface Found {
  readonly repository: Repository;
  readonly folderTimes: string;
  readonly images: CensusImage[];
}

/** How things stood when a walk began. */
interface Since {
  readonly look: number;
  readonly changed: ReadonlyMap<string, unknown>;
}

export class Census implements StoreListener {
  readonly table = new DigestTable();
  readonly #options: CensusOptions;
  readonly #repositories = new Map<string, CensusRepository>();
  /** A change is an entry of its own: what is there still after a look, came before it. */
  readonly #changed = new Map<string, { readonly repository: Repository }>();
  readonly #needers = new Column();
  readonly #bytes = new Column();
  readonly #mtimes = new Column();
  /** Folders that blobs lie in, by how their digests begin. One that was made stays. */
  readonly #shards = new Set<string>();
  readonly #hosts = new Set<RegistryHost>();
  #looks = 0;
  #lookedAtImages = 0;
  #blobBytes = 0;
  #fileCount = 0;
  #recordBytes = 0;
  #isSized = false;
  #isRemoving = false;
  #isComplete = false;

  constructor(options: CensusOptions) {
    this.#options = options;
  }

  /** True once every file has been seen: what the store takes is known. */
  get isSized(): boolean {
    return this.#isSized;
  }

  /** True once every image has been seen: what nobody needs is known. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** What blobs, records and folders take on the disk, in bytes; temporary files are not in it. */
  get takenBytes(): number {
    const uncountedBytes = this.#changed.size * newRepositoryBytes;
    return this.#blobBytes + this.#recordBytes + uncountedBytes + folderBytesOf({ shards: this.#shards.size, hosts: this.#hosts.size });
  }

  /** Files of blobs, as they are known. */
  get fileCount(): number {
    return this.#fileCount;
  }

  get imageCount(): number {
    return [...this.#repositories.values()].reduce((sum, { images }) => sum + images.length, 0);
  }

  /** What may be chosen from, as it is known now. */
  stock(isBusy: Stock["isBusy"]): Stock {
    const images = [...this.#repositories.values()].flatMap((one) => one.images);
    return { table: this.table, images, needers: this.#needers, bytes: this.#bytes, isBusy };
  }

  imagesOf(repository: Repository): readonly CensusImage[] {
    return this.#repositories.get(repositoryName(repository))?.images ?? [];
  }

  /** How many images need this digest. */
  neededBy(id: number): number {
    return this.#needers.get(id);
  }

  bytesOf(id: number): number {
    return this.#bytes.get(id);
  }

  /** When the blob's file had been written or touched last, when it was looked at; 0 for none. */
  mtimeOf(id: number): number {
    return this.#mtimes.get(id);
  }

  /** Blobs that no image needs, and that nobody has written or touched since `beforeMs` (milliseconds since 1970). */
  *unneeded(beforeMs: number): Generator<number> {
    for (let id = 0; id < this.table.count; id++) {
      if (this.#mtimes.get(id) > 0 && this.#needers.get(id) === 0 && this.#mtimes.get(id) < beforeMs) yield id;
    }
  }

  /** Looks at every blob's file: after that it is known what the store takes. Throws the signal's reason. */
  async takeBlobs(signal?: AbortSignal): Promise<void> {
    const rests = this.#rests(signal);
    const seen = new Set<number>();
    const knownCount = this.table.count;
    const { layout } = this.#options.store;
    for await (const digest of walkStoredBlobs({ layout })) {
      await rests.pause();
      const file = await statIfThere(layout.blob(digest));
      if (!file) continue;
      const id = this.table.put(digest);
      seen.add(id);
      this.#shards.add(digest.slice(0, shardLength));
      this.#setBlob(id, allocatedBytes(file), file.mtimeMs);
    }
    for (let id = 0; id < knownCount; id++) {
      if (seen.has(id) || this.#mtimes.get(id) === 0) continue;
      await this.#lookAtBlob(id); // Written by us while we looked elsewhere, or gone.
      await rests.pause();
    }
    this.#isSized = true;
  }

  /** Looks at every image, and gives those of each repository when it has been read: after that it is known what nobody needs. Throws the signal's reason. */
  async *takeImages(signal?: AbortSignal): AsyncGenerator<CensusImage> {
    const rests = this.#rests(signal);
    const since: Since = { look: ++this.#looks, changed: new Map(this.#changed) };
    const unseen = new Set(this.#repositories.keys());
    let found: Found | undefined;
    for await (const held of this.#options.images.walk({ isStrict: true, signal })) {
      const name = repositoryName(held.repository);
      if (!found || repositoryName(found.repository) !== name) {
        if (found) yield* await this.#settle(found, since);
        unseen.delete(name);
        found = { repository: held.repository, folderTimes: held.folderTimes, images: [] };
      }
      found.images.push(await this.#imageOf(held));
      await rests.pause();
    }
    if (found) yield* await this.#settle(found, since);
    for (const name of unseen) if (!this.#changed.has(name) && !this.#isLookedAtSince(name, since)) this.#forget(name);
    this.#isComplete = true;
  }

  /** Whether this process has changed something that was not looked at since. */
  get isBehind(): boolean {
    return this.#changed.size > 0;
  }

  /** Looks again at what this process has changed since. */
  async catchUp(signal?: AbortSignal): Promise<void> {
    const rests = this.#rests(signal);
    for (let [change] = this.#changed.values(); change; [change] = this.#changed.values()) {
      await this.#look(change.repository, signal);
      await rests.pause();
    }
  }

  /** Looks at a repository again if anybody has changed it since it was looked at. */
  async confirm(repository: Repository, signal?: AbortSignal): Promise<void> {
    const name = repositoryName(repository);
    const known = this.#repositories.get(name)?.folderTimes;
    if (this.#changed.has(name) || known !== (await this.#folderTimesOf(repository))) await this.#look(repository, signal);
  }

  /** Whether no process has used the image since it was looked at, as far as that is written down; what was is remembered. */
  async isUnused(image: CensusImage): Promise<boolean> {
    const { repository, manifests } = image;
    const { layout } = this.#options.store;
    let usedAtMs = 0;
    for (const id of manifests) {
      const record = await statIfThere(layout.manifest(repository, this.table.digestOf(id)));
      usedAtMs = Math.max(usedAtMs, Math.round(record?.mtimeMs ?? 0));
    }
    if (usedAtMs <= Math.max(image.usedAtMs, image.heldSinceMs)) return true;
    const known = this.#repositories.get(repositoryName(repository));
    const images = this.imagesOf(repository).map((one) => (one === image ? { ...image, usedAtMs } : one));
    if (known) this.#repositories.set(repositoryName(repository), { ...known, images });
    return false;
  }

  /** Looks how large the files of an image are, where that is not known. */
  async measure({ needs }: CensusImage): Promise<number> {
    if (!this.#isSized) for (const id of needs) if (this.#mtimes.get(id) === 0) await this.#lookAtBlob(id);
    return needs.reduce((sum, id) => sum + this.#bytes.get(id), 0);
  }

  /** Removes images by `work`: what it removes of the repositories' records is not news, and known when it is done. */
  async removing(repositories: readonly Repository[], isLeft: (image: CensusImage) => CensusImage | undefined, work: () => Promise<void>): Promise<void> {
    this.#isRemoving = true;
    try {
      await work();
    } catch (error) {
      for (const repository of repositories) this.#changed.set(repositoryName(repository), { repository });
      throw error;
    } finally {
      this.#isRemoving = false;
    }
    for (const repository of repositories) {
      const images = this.imagesOf(repository).flatMap((image) => isLeft(image) ?? []);
      await this.#replace({ repository, folderTimes: await this.#folderTimesOf(repository), images });
    }
  }

  repositoryChanged(repository: Repository, how: "grew" | "shrank"): void {
    if (how === "grew" || !this.#isRemoving) this.#changed.set(repositoryName(repository), { repository });
  }

  blobWritten(digest: Digest, { allocatedBytes: bytes, mtimeMs }: { readonly allocatedBytes: number; readonly mtimeMs: number }): void {
    this.#shards.add(digest.slice(0, shardLength));
    const id = this.table.put(digest);
    this.#setBlob(id, bytes, this.#mtimes.get(id) || mtimeMs);
  }

  // The time that we know stays: what another process needs shows by its own touch alone, and ours must not hide that.
  blobTouched(digest: Digest, { allocatedBytes: bytes }: { readonly allocatedBytes: number }): void {
    const id = this.table.put(digest);
    this.#setBlob(id, bytes, this.#mtimes.get(id));
  }

  blobRemoved(digest: Digest): void {
    this.#setBlob(this.table.put(digest), 0, 0);
  }

  async #look(repository: Repository, signal: AbortSignal | undefined): Promise<void> {
    this.#changed.delete(repositoryName(repository));
    try {
      const folderTimes = await this.#folderTimesOf(repository);
      const images: CensusImage[] = [];
      for await (const held of this.#options.images.walk({ repository, isStrict: true, signal })) images.push(await this.#imageOf(held));
      await this.#replace({ repository, folderTimes, images });
    } catch (error) {
      this.#changed.set(repositoryName(repository), { repository }); // Not looked at yet.
      throw error;
    }
  }

  /** Takes over what a walk has found, unless somebody has looked since it began: that look knows better. */
  async #settle(found: Found, since: Since): Promise<readonly CensusImage[]> {
    const name = repositoryName(found.repository);
    if (this.#isLookedAtSince(name, since)) return this.imagesOf(found.repository);
    await this.#replace(found);
    if (this.#changed.get(name) === since.changed.get(name)) this.#changed.delete(name);
    return this.imagesOf(found.repository);
  }

  #isLookedAtSince(name: string, { look }: Since): boolean {
    return (this.#repositories.get(name)?.look ?? 0) > look;
  }

  async #lookAtBlob(id: number): Promise<void> {
    const file = await statIfThere(this.#options.store.layout.blob(this.table.digestOf(id)));
    this.#setBlob(id, file ? allocatedBytes(file) : 0, file?.mtimeMs ?? 0);
  }

  /** As `HeldImage.folderTimes`, now. */
  async #folderTimesOf(repository: Repository): Promise<string> {
    const folders = this.#options.store.layout.holdings(repository);
    return (await Promise.all(folders.map(async (folder) => (await statIfThere(folder))?.mtimeMs ?? 0))).join(" ");
  }

  #setBlob(id: number, bytes: number, mtimeMs: number): void {
    this.#blobBytes += bytes - this.#bytes.get(id);
    this.#fileCount += Number(mtimeMs > 0) - Number(this.#mtimes.get(id) > 0);
    this.#bytes.set(id, bytes);
    this.#mtimes.set(id, mtimeMs);
  }

  #rests(signal: AbortSignal | undefined): Rests {
    return new Rests({ clock: this.#options.clock, factor: this.#options.restFactor, signal });
  }

  async #imageOf({ repository, digest, tags, heldSinceMs, usedAtMs, pinned }: HeldImage): Promise<CensusImage> {
    const names = tags.map(({ tag }) => tag);
    const about = subjectOfTags(names);
    const { manifests, needs, isTorn } = await readImageParts(this.#options.store.layout, repository, digest);
    const idOf = (one: Digest): number => this.table.put(one);
    this.#options.onLookedAt?.(++this.#lookedAtImages);
    return {
      repository,
      root: this.table.put(digest),
      tags: names,
      manifests: [...manifests].map(idOf),
      needs: [...needs].map(idOf),
      isUncertain: isTorn,
      heldSinceMs,
      usedAtMs,
      isPinned: pinned !== undefined,
      about: about && this.table.put(about),
    };
  }

  async #replace({ repository, folderTimes, images: found }: Omit<CensusRepository, "recordBytes" | "look">): Promise<void> {
    const name = repositoryName(repository);
    const look = ++this.#looks;
    const isUncertain = found.some((image) => image.isUncertain);
    const images = isUncertain ? found.map((image) => ({ ...image, isUncertain })) : found;
    const recordBytes = images.length === 0 ? 0 : await recordBytesOf(this.#options.store.layout, repository);
    if ((this.#repositories.get(name)?.look ?? 0) > look) return; // Somebody looked meanwhile.
    this.#forget(name);
    if (images.length === 0) return;
    this.#repositories.set(name, { repository, folderTimes, images, recordBytes, look });
    this.#hosts.add(repository.host);
    this.#recordBytes += recordBytes;
    for (const { needs } of images) for (const id of needs) this.#needers.add(id, 1);
  }

  #forget(name: string): void {
    const known = this.#repositories.get(name);
    if (!known) return;
    this.#repositories.delete(name);
    this.#recordBytes -= known.recordBytes;
    for (const { needs } of known.images) for (const id of needs) this.#needers.add(id, -1);
  }
}
