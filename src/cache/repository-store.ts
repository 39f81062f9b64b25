/**
 * RepositoryStore: what each repository's tags and digests resolved to, and which digests it may show. Small files, each whole
 * or absent; one that is torn or empty counts as absent and heals when it is written again.
 */
import { readFile, rename, utimes } from "node:fs/promises";
import { LRUCache } from "lru-cache";
import { join } from "node:path";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { type Digest, digestAlgorithms, findDigest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import type { Repository } from "../oci/repository.ts";
import { findTag, type Tag } from "../oci/tag.ts";
import { giveBack } from "./aside.ts";
import { isStorageFailure, mark, unlinkIfThere, writeAtomic } from "./atomic-write.ts";
import { isAbsence, type DiskReads } from "./disk-reads.ts";
import type { InstanceFolder } from "./instance-folder.ts";
import type { Layout } from "./layout.ts";
import { hasEntries, listFolder } from "./list-folder.ts";
import { formatRecord } from "./record.ts";
import { parseLink, parseManifestRecord, parseTagRecord, type ManifestRecord, type TagRecord } from "./repository-records.ts";
import type { StoreChanges } from "./store-changes.ts";
import { TrustedFiles, type TrustedFile } from "./trusted-files.ts";

const recordBytesMax = 64 * 1024;
const entriesMax = 4_096;
/** Times that only moved are written down together, this often. */
const noteEveryMs = 30_000;
const notesMax = 10_000;
/** A use that is later than now by more was noted by a clock that was wrong. */
const clockErrorMaxMs = 60_000;

export interface RepositoryStoreOptions {
  readonly layout: Layout;
  readonly instance: InstanceFolder;
  readonly clock: Clock;
  readonly background: Background;
  readonly reads: DiskReads;
  readonly changes: StoreChanges;
}

export class RepositoryStore {
  readonly #layout: Layout;
  readonly #instance: InstanceFolder;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #reads: DiskReads;
  readonly #changes: StoreChanges;
  readonly #tags: TrustedFiles<TagRecord>;
  readonly #manifests: TrustedFiles<ManifestRecord>;
  readonly #links: TrustedFiles<{ readonly sizeBytes: number }>;
  /** By path. Of more than these the oldest cost one revalidation each. */
  readonly #checked = new LRUCache<string, number>({ max: notesMax });
  #cancelNote: (() => void) | undefined;

  constructor({ layout, instance, clock, background, reads, changes }: RepositoryStoreOptions) {
    this.#changes = changes;
    this.#background = background;
    this.#reads = reads;
    this.#layout = layout;
    this.#instance = instance;
    this.#clock = clock;
    const common = { clock, reads, fileBytesMax: recordBytesMax, entriesMax };
    this.#tags = new TrustedFiles({ ...common, parse: parseTagRecord });
    this.#manifests = new TrustedFiles({ ...common, parse: parseManifestRecord });
    this.#links = new TrustedFiles({ ...common, parse: parseLink });
  }

  async findTag(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    const path = this.#layout.tag(repository, tag);
    const record = await this.#tags.find(path);
    const checkedAtMs = record && this.#checked.get(path);
    return checkedAtMs === undefined ? record : ({ ...record, checkedAtMs } as TagRecord);
  }

  /** The file behind `findTag`, while it is trusted and says that the tag means `digest`. */
  findTrustedTag(repository: Repository, tag: Tag, digest: Digest): TrustedFile | undefined {
    return this.#tags.findTrusted(this.#layout.tag(repository, tag), (record) => record.digest === digest);
  }

  /** Writes a tag's new meaning. One that stays the same is not written: use `noteChecked`. */
  async putTag(repository: Repository, tag: Tag, { digest, mediaType, sizeBytes, checkedAtMs }: TagRecord): Promise<void> {
    const path = this.#layout.tag(repository, tag);
    this.#checked.delete(path);
    await this.#write(path, { digest, mediaType, size: sizeBytes }, checkedAtMs);
    this.#tags.forget(path);
    this.#changes.repositoryChanged(repository, "grew");
  }

  /** The upstream has confirmed what the tag means: remembered now, put on disk (as the file's mtime) with others later. */
  noteChecked(repository: Repository, tag: Tag, checkedAtMs: number): void {
    this.#checked.set(this.#layout.tag(repository, tag), checkedAtMs);
    this.#cancelNote ??= this.#clock.after(noteEveryMs, () => this.#background.run("note times", this.writeNotes()));
  }

  /** Puts the noted times on disk. Where that fails they stay here, and are put there with those that are noted next. */
  async writeNotes(): Promise<void> {
    this.#cancelNote?.();
    this.#cancelNote = undefined;
    const noted = [...this.#checked.entries()];
    for (const [path, checkedAtMs] of noted) {
      try {
        await this.#writeTime(path, checkedAtMs);
        this.#tags.forget(path);
      } catch (error) {
        if (!isStorageFailure(error)) throw error;
        if (!isAbsence(error)) continue;
      }
      if (this.#checked.get(path) === checkedAtMs) this.#checked.delete(path);
    }
  }

  /** Whether any tag may be known here: one look, however many there are. */
  async hasTags(repository: Repository): Promise<boolean> {
    return await hasEntries(this.#layout.tags(repository));
  }

  /** Tags that are known here, in the order of their bytes. */
  async listTags(repository: Repository): Promise<readonly Tag[]> {
    return (await this.#list(this.#layout.tags(repository))).flatMap((name) => findTag(name) ?? []).sort();
  }

  findManifest(repository: Repository, digest: Digest): ManifestRecord | undefined | Promise<ManifestRecord | undefined> {
    return this.#manifests.find(this.#layout.manifest(repository, digest));
  }

  /** The file behind `findManifest`, while it is trusted. */
  findTrustedManifest(repository: Repository, digest: Digest): TrustedFile | undefined {
    return this.#manifests.findTrusted(this.#layout.manifest(repository, digest));
  }

  /** Writes that the repository holds a manifest, from now on or, written anew, from when it first did; that is no use of it. */
  async putManifest(repository: Repository, { digest, mediaType, sizeBytes, subject }: Omit<ManifestRecord, "fetchedAtMs">): Promise<void> {
    const path = this.#layout.manifest(repository, digest);
    const nowMs = this.#clock.now();
    const known = await this.readManifest(repository, digest);
    const fetchedAtMs = known?.record.fetchedAtMs;
    const fetchedAt = new Date(fetchedAtMs ?? nowMs).toISOString();
    // The file's time is its last use, and stays that.
    const usedAtMs = known && fetchedAtMs !== undefined ? known.mtimeMs : nowMs;
    if (subject) await mark(this.#layout.referrer(repository, subject, digest));
    await this.#write(path, { digest, mediaType, size: sizeBytes, fetchedAt, ...(subject ? { subject } : {}) }, usedAtMs);
    this.#manifests.forget(path);
    this.#changes.repositoryChanged(repository, "grew");
  }

  /** What `findManifest` finds, and when it was last used (`mtimeMs`), read from the disk and not kept in memory: for who walks through all of them. */
  async readManifest(repository: Repository, digest: Digest): Promise<{ readonly record: ManifestRecord; readonly mtimeMs: number } | undefined> {
    const read = await this.#manifests.read(this.#layout.manifest(repository, digest));
    return read && { record: read.value, mtimeMs: read.file.mtimeMs };
  }

  /** The same of a tag. */
  async readTag(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    return (await this.#tags.read(this.#layout.tag(repository, tag)))?.value;
  }

  /** A manifest was used: its record's mtime says so from now on, unless that is later already. Throws the system's error. */
  async putUsed(repository: Repository, digest: Digest, usedAtMs: number): Promise<void> {
    const path = this.#layout.manifest(repository, digest);
    await this.#manifests.keptThrough(path, async ({ mtimeMs }) => {
      if (mtimeMs < usedAtMs || mtimeMs > usedAtMs + clockErrorMaxMs) await this.#writeTime(path, usedAtMs);
    });
  }

  /** Digests of the manifests that a repository holds, as they come. */
  async *manifestDigests(repository: Repository): AsyncGenerator<Digest> {
    for (const algorithm of digestAlgorithms) {
      for (const hex of await this.#list(join(this.#layout.manifests(repository), algorithm))) {
        const digest = findDigest(`${algorithm}:${hex}`);
        if (digest) yield digest;
      }
    }
  }

  /** Whether the repository may show this digest, and how large it is. */
  findLink(repository: Repository, digest: Digest): { readonly sizeBytes: number } | undefined | Promise<{ readonly sizeBytes: number } | undefined> {
    return this.#links.find(this.#layout.link(repository, digest));
  }

  /** The file behind `findLink`, while it is trusted. */
  findTrustedLink(repository: Repository, digest: Digest): TrustedFile | undefined {
    return this.#links.findTrusted(this.#layout.link(repository, digest));
  }

  /** The repository may show this digest. Writes nothing when it is known already with this size. */
  async putLink(repository: Repository, digest: Digest, sizeBytes: number): Promise<void> {
    if ((await this.findLink(repository, digest))?.sizeBytes === sizeBytes) return;
    const path = this.#layout.link(repository, digest);
    // Not synced: there may be many, and one that a power cut tears counts as absent and heals.
    await writeAtomic(path, formatRecord({ size: sizeBytes }), { temporaryPath: await this.#instance.temporaryPath(), sync: false });
    this.#links.forget(path);
  }

  /** True when the repository's folder has links at all: one that a copy or an older hand made may lack them. */
  async hasLinks(repository: Repository): Promise<boolean> {
    return (await this.#list(this.#layout.links(repository))).length > 0;
  }

  /** Forgets a tag, if it means `digest`; one that gets another meaning at that moment keeps it. Throws the system's error. */
  async removeTag(repository: Repository, tag: Tag, digest: Digest): Promise<void> {
    const path = this.#layout.tag(repository, tag);
    if (!(await this.#means(path, digest))) return;
    const aside = await this.#instance.temporaryPath();
    try {
      await rename(path, aside);
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    }
    if (await this.#means(aside, digest)) await unlinkIfThere(aside);
    else await giveBack(aside, path); // Another process has written it since we looked; nothing happens where it is gone.
    this.#checked.delete(path);
    this.#tags.forget(path);
    this.#changes.repositoryChanged(repository, "shrank");
  }

  /** The repository holds this manifest no more. Throws the system's error. */
  async removeManifest(repository: Repository, digest: Digest): Promise<void> {
    const path = this.#layout.manifest(repository, digest);
    await unlinkIfThere(path);
    this.#manifests.forget(path);
    this.#changes.repositoryChanged(repository, "shrank");
  }

  /** The repository may not show this digest any more, for all that is held. Throws the system's error. */
  async removeLink(repository: Repository, digest: Digest): Promise<void> {
    const path = this.#layout.link(repository, digest);
    await unlinkIfThere(path);
    this.#links.forget(path);
  }

  /** Whether a tag's file says, on the disk and now, that it means `digest`. */
  async #means(path: string, digest: Digest): Promise<boolean> {
    return (await this.#tags.read(path))?.value.digest === digest;
  }

  /** Only its owner may set a file's time: another's is written anew, and is ours then. */
  async #writeTime(path: string, checkedAtMs: number): Promise<void> {
    try {
      await utimes(path, new Date(checkedAtMs), new Date(checkedAtMs));
    } catch (error) {
      if (!isErrno(error, "EPERM")) throw error;
      await writeAtomic(path, await readFile(path), { temporaryPath: await this.#instance.temporaryPath(), modifiedAtMs: checkedAtMs });
    }
  }

  async #list(folder: string): Promise<readonly string[]> {
    return (await this.#reads.attempt(folder, () => listFolder(folder))) ?? [];
  }

  async #write(path: string, record: Readonly<Record<string, unknown>>, modifiedAtMs?: number): Promise<void> {
    await writeAtomic(path, formatRecord(record), { temporaryPath: await this.#instance.temporaryPath(), modifiedAtMs });
  }
}
