/**
 * HeldManifests: the manifests that are here, as each repository holds them, and how a new one becomes held.
 */
import { LRUCache } from "lru-cache";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { namedDescriptors, parseManifest, readManifestContent, type Manifest } from "../oci/manifest.ts";
import type { Answered } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Grants } from "./grants.ts";
import type { ManifestRecord } from "./repository-records.ts";
import type { Store } from "./store.ts";
import type { TrustedFile } from "./trusted-files.ts";

/** Manifests that could not be written: what a HEAD promised must still be got. */
const unkeptBytesMax = 8 * 1024 * 1024;

/** Blobs that one manifest keeps from being removed just now: no image has more layers. */
const touchedMax = 1_024;

type Answer = Manifest & Answered;

export class HeldManifests {
  readonly #parts: { readonly store: Store; readonly grants: Grants };
  readonly #hits = new WeakMap<Uint8Array, Map<string, Answer>>();
  readonly #unkept = new LRUCache<string, Answer>({ maxSize: unkeptBytesMax, sizeCalculation: ({ bytes }) => bytes.byteLength + 512 });

  constructor(parts: { readonly store: Store; readonly grants: Grants }) {
    this.#parts = parts;
  }

  /** What `repository` holds under `digest`; undefined when it is not there, or torn. */
  async find(repository: Repository, digest: Digest): Promise<Answer | undefined> {
    const { repositories, blobs } = this.#parts.store;
    const record = await repositories.findManifest(repository, digest);
    const bytes = record && (await blobs.findBytes(digest));
    if (record && bytes?.byteLength === record.sizeBytes) return this.#hit(bytes, record);
    if (this.#unkept.size === 0) return undefined;
    const unkept = this.#unkept.get(`${repositoryName(repository)}@${digest}`);
    // There may be room by now, and a tag that names it is about to be written.
    return unkept && (await this.keep(repository, unkept));
  }

  /** The files behind `find`, each while it is trusted. */
  trustedFiles(repository: Repository, digest: Digest): readonly (TrustedFile | undefined)[] {
    const { repositories, blobs } = this.#parts.store;
    return [repositories.findTrustedManifest(repository, digest), blobs.findTrusted(digest)];
  }

  /** A manifest whose bytes are here by way of another repository of the same registry, and which one held here names. */
  async findGranted(repository: Repository, digest: Digest, { all = false }: { all?: boolean } = {}): Promise<Answer | undefined> {
    const { store, grants } = this.#parts;
    if (!(await store.provenance.covers(repository.host, digest))) return undefined;
    const grant = (await grants.find(repository, digest)) ?? (await grants.search(repository, digest, { all }));
    const bytes = grant && (await store.blobs.findBytes(digest));
    if (!bytes || bytes.byteLength !== grant.sizeBytes) return undefined;
    const mediaType = findMediaType(bytes);
    if (mediaType === undefined) return undefined;
    const record = { digest, mediaType, sizeBytes: bytes.byteLength };
    await store.whereWritable(() => this.#record(repository, record, bytes));
    return this.#hit(bytes, record);
  }

  /** Writes a manifest and everything that follows from it; where that fails it is kept in memory for a while. */
  async keep(repository: Repository, manifest: Answer): Promise<Answer> {
    const { store } = this.#parts;
    const { digest } = manifest.descriptor;
    const kept = await store.whereWritable(async () => {
      await this.write(repository, manifest, { isPublic: manifest.isPublic === true });
      store.noteWritten();
      return true;
    });
    const answer: Answer = { ...manifest, outcome: kept ? "miss" : "passed", warnings: [] };
    const key = `${repositoryName(repository)}@${digest}`;
    if (kept) this.#unkept.delete(key);
    else this.#unkept.set(key, answer);
    return answer;
  }

  /** Writes a manifest and everything that follows from it. Throws the system's error; then it is not held. */
  async write(repository: Repository, { bytes, descriptor }: Manifest, { isPublic }: { isPublic: boolean }): Promise<void> {
    const { store } = this.#parts;
    const { digest, mediaType, sizeBytes } = descriptor;
    if (!(await store.blobs.findBytes(digest))) await store.blobs.put(digest, bytes);
    await store.provenance.record(repository.host, digest, { isPublic });
    await this.#record(repository, { digest, mediaType, sizeBytes }, bytes);
  }

  /** The repository holds these bytes: it may show what they name, and is known to hold them under their subject. */
  async #record(repository: Repository, record: ManifestRecord, bytes: Uint8Array): Promise<void> {
    const { subject } = readManifestContent(bytes);
    await this.#parts.grants.putNamed(repository, bytes);
    await this.#parts.store.repositories.putManifest(repository, { ...record, ...(subject ? { subject: subject.digest } : {}) });
    await this.#touchNamed(record.digest, bytes);
  }

  /** Whoever is about to remove one of these as needed by nobody finds out, in whatever process: after the record, not before. */
  async #touchNamed(digest: Digest, bytes: Uint8Array): Promise<void> {
    const { blobs } = this.#parts.store;
    const named = namedDescriptors(readManifestContent(bytes)).slice(0, touchedMax);
    for (const one of [digest, ...named.map((descriptor) => descriptor.digest)]) await blobs.touch(one, { waits: false });
  }

  /** The same object for the same bytes, so that what is derived from it can be derived once. */
  #hit(bytes: Buffer, { digest, mediaType, sizeBytes }: ManifestRecord): Answer {
    const hits = this.#hits.get(bytes) ?? new Map<string, Answer>();
    const known = hits.get(mediaType);
    if (known && known.descriptor.digest === digest) return known;
    const answer: Answer = { bytes, descriptor: { mediaType, digest, sizeBytes }, outcome: "hit", warnings: [] };
    hits.set(mediaType, answer);
    this.#hits.set(bytes, hits);
    return answer;
  }
}

/** What the bytes say they are; undefined when they are no manifest: a repository may name any digest. */
function findMediaType(bytes: Uint8Array): string | undefined {
  try {
    return parseManifest(bytes).descriptor.mediaType;
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}
