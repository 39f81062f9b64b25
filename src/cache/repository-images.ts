/**
 * RepositoryImages: the images of one repository: first those that have tags, then, when every index has been read, the manifests
 * that none of them names. Runs in the thread that walks the store.
 */
import type { Digest } from "../oci/digest.ts";
import { digestAlgorithms, findDigest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { manifestBytesMax, readManifestContent, type ManifestContent } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { findTag } from "../oci/tag.ts";
import type { HeldImage } from "./held-image.ts";
import { findDashedDigest, type Layout } from "./layout.ts";
import { findPinnedReference, parsePin, type Pin } from "./pins.ts";
import { parseManifestRecord, parseTagRecord, type ManifestRecord } from "./repository-records.ts";
import type { StoreReader } from "./store-reader.ts";

const recordBytesMax = 64 * 1024;
/** An index in an index in an index: nobody has made one. */
const depthMax = 4;

export interface RepositoryImagesOptions {
  readonly layout: Layout;
  readonly reader: StoreReader;
  readonly repository: Repository;
  /** Pins that have ended by then count no more. */
  readonly nowMs: number;
}

interface Found {
  readonly record: ManifestRecord;
  readonly mtimeMs: number;
}

export class RepositoryImages {
  readonly #layout: Layout;
  readonly #reader: StoreReader;
  readonly #repository: Repository;
  readonly #nowMs: number;
  /** By tag or digest. */
  readonly #pins = new Map<string, Pin>();
  /** Children of the indexes that were read. */
  readonly #named = new Set<Digest>();
  #folderTimes = "";

  constructor({ layout, reader, repository, nowMs }: RepositoryImagesOptions) {
    this.#layout = layout;
    this.#reader = reader;
    this.#repository = repository;
    this.#nowMs = nowMs;
  }

  *walk(): Generator<HeldImage> {
    const times = this.#layout.holdings(this.#repository).map((folder) => this.#reader.stat(folder)?.mtimeMs ?? 0);
    this.#folderTimes = times.join(" ");
    this.#readPins();
    const tagged = this.#readTags(this.#reader.names(this.#layout.tags(this.#repository)));
    for (const [digest, tags] of tagged) yield this.#image(digest, tags, this.#manifest(digest));
    const others = new Map<Digest, Found>();
    for (const digest of this.#digests()) {
      if (tagged.has(digest)) continue;
      const found = this.#manifest(digest);
      if (!found || this.#isReferrer(found.record)) continue;
      others.set(digest, found);
      if (isIndex(found.record.mediaType)) for (const child of this.#children(digest)) this.#named.add(child);
    }
    for (const [digest, found] of others) if (!this.#named.has(digest)) yield this.#image(digest, [], found);
  }

  /** Only what these mean, with no other tags than these; what is not held is left out. */
  *named(references: readonly Reference[]): Generator<HeldImage> {
    this.#readPins();
    const tagged = this.#readTags(references.flatMap((reference) => (reference.kind === "tag" ? [reference.tag] : [])));
    for (const [digest, tags] of tagged) yield this.#image(digest, tags, this.#manifest(digest));
    for (const reference of references) {
      if (reference.kind === "tag" || tagged.has(reference.digest)) continue;
      const found = this.#manifest(reference.digest);
      if (found) yield this.#image(reference.digest, [], found);
    }
  }

  #readPins(): void {
    const folder = this.#layout.pins(this.#repository);
    for (const name of this.#reader.names(folder)) {
      const reference = findPinnedReference(name);
      const read = reference && this.#reader.file(`${folder}/${name}`, recordBytesMax);
      if (!reference || !read) continue;
      const pin = parsePin(reference, read.bytes);
      if (pin.untilMs === undefined || pin.untilMs > this.#nowMs) this.#pins.set(reference.kind === "tag" ? reference.tag : reference.digest, pin);
    }
  }

  #readTags(names: readonly string[]): ReadonlyMap<Digest, HeldImage["tags"]> {
    const tagged = new Map<Digest, HeldImage["tags"][number][]>();
    for (const name of names) {
      const tag = findTag(name);
      const read = tag && this.#reader.file(this.#layout.tag(this.#repository, tag), recordBytesMax);
      const record = read && parseTagRecord(read.bytes, read.file);
      if (!tag || !record) continue;
      const others = tagged.get(record.digest);
      if (others) others.push({ tag, record });
      else tagged.set(record.digest, [{ tag, record }]);
    }
    return tagged;
  }

  *#digests(): Generator<Digest> {
    for (const algorithm of digestAlgorithms) {
      for (const hex of this.#reader.names(`${this.#layout.manifests(this.#repository)}/${algorithm}`)) {
        const digest = findDigest(`${algorithm}:${hex}`);
        if (digest) yield digest;
      }
    }
  }

  #manifest(digest: Digest): Found | undefined {
    const read = this.#reader.file(this.#layout.manifest(this.#repository, digest), recordBytesMax);
    const record = read && parseManifestRecord(read.bytes);
    return record && { record, mtimeMs: Math.round(read.file.mtimeMs) };
  }

  #isReferrer({ subject }: ManifestRecord): boolean {
    return subject !== undefined && this.#reader.stat(this.#layout.manifest(this.#repository, subject)) !== undefined;
  }

  /** A tag may mean what is not here: a copy that was cut short. */
  #image(digest: Digest, tags: HeldImage["tags"], found: Found | undefined): HeldImage {
    const [first] = tags;
    const mediaType = found?.record.mediaType ?? first?.record.mediaType ?? mediaTypes.octetStream;
    const heldSinceMs = found ? this.#heldSinceMs(digest, found) : (first?.record.checkedAtMs ?? 0);
    const family = found ? [...this.#family(digest, found, 0)] : [];
    const pinned = this.#pin(tags, digest, family);
    return {
      repository: this.#repository,
      tags,
      digest,
      mediaType,
      kind: isIndex(mediaType) ? "index" : "image",
      usedAtMs: family.reduce((latest, { usedAtMs }) => Math.max(latest, usedAtMs), heldSinceMs),
      heldSinceMs,
      ...(pinned ? { pinned } : {}),
      folderTimes: this.#folderTimes,
    };
  }

  /** A held manifest, its children and what refers to any of them, each with its last pull. */
  *#family(digest: Digest, { record, mtimeMs }: Found, depth: number): Generator<{ readonly digest: Digest; readonly usedAtMs: number }> {
    // As it came, its times are the same: it was never pulled.
    yield { digest, usedAtMs: mtimeMs > (record.fetchedAtMs ?? -Infinity) ? mtimeMs : 0 };
    if (depth >= depthMax) return;
    const children = isIndex(record.mediaType) ? this.#children(digest) : [];
    for (const child of children) this.#named.add(child);
    for (const relative of [...children, ...this.#referrers(digest)]) {
      const found = this.#manifest(relative);
      if (found) yield* this.#family(relative, found, depth + 1);
    }
  }

  #children(index: Digest): readonly Digest[] {
    const read = this.#reader.file(this.#layout.blob(index), manifestBytesMax);
    return (read && tryReadContent(read.bytes))?.manifests.map(({ digest }) => digest) ?? [];
  }

  #referrers(subject: Digest): readonly Digest[] {
    return this.#reader.names(this.#layout.referrers(this.#repository, subject)).flatMap((name) => findDashedDigest(name) ?? []);
  }

  #heldSinceMs(digest: Digest, { record, mtimeMs }: Found): number {
    return record.fetchedAtMs ?? Math.round(this.#reader.stat(this.#layout.blob(digest))?.mtimeMs ?? mtimeMs);
  }

  #pin(tags: HeldImage["tags"], digest: Digest, family: readonly { readonly digest: Digest }[]): Pin | undefined {
    if (this.#pins.size === 0) return undefined;
    for (const name of [...tags.map(({ tag }) => tag), digest, ...family.map((member) => member.digest)]) {
      const pin = this.#pins.get(name);
      if (pin) return pin;
    }
    return undefined;
  }
}

export function isIndex(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerManifestList;
}

/** What a manifest's bytes name; undefined where they are none: one damaged file spoils no walk. */
export function tryReadContent(bytes: Uint8Array): ManifestContent | undefined {
  try {
    return readManifestContent(bytes);
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}
