/**
 * RepositoryLists: a repository's tags, and its manifests, a page at a time. However many there are, only those that are shown are read.
 * Runs in the thread that browses the store.
 */
import type { ListFound, ListQuery, ManifestView, TagView } from "../oci/browsing.ts";
import { type Digest, digestAlgorithms, findDigest } from "../oci/digest.ts";
import type { Repository } from "../oci/repository.ts";
import { findTag, type Tag } from "../oci/tag.ts";
import { pulledAt, type HeldImage } from "./held-image.ts";
import { readContents } from "./image-contents.ts";
import type { Layout } from "./layout.ts";
import { RepositoryImages } from "./repository-images.ts";
import { parseManifestRecord } from "./repository-records.ts";
import { heldBytesOf, ownPlatformOf, platformsOf } from "./shown-parts.ts";
import type { StoreReader } from "./store-reader.ts";

export interface RepositoryListsOptions {
  readonly layout: Layout;
  readonly reader: StoreReader;
  readonly repository: Repository;
  readonly nowMs: number;
}

/** A query as it reaches the thread. */
export type ThreadListQuery = Omit<ListQuery, "signal">;

const recordBytesMax = 64 * 1024;
/** `3.9` before `3.10`. */
const collator = new Intl.Collator("en", { numeric: true });
/** Sorting more by their numbers takes longer than anybody waits. */
const numericMax = 20_000;

export class RepositoryLists {
  readonly #options: RepositoryListsOptions;

  constructor(options: RepositoryListsOptions) {
    this.#options = options;
  }

  /** The highest version first, words before them. Undefined: nothing of the repository is held. */
  tags({ part, from, limit }: ThreadListQuery): ListFound<TagView> | undefined {
    const all = this.#tags();
    const digests = this.#digests();
    if (all.length === 0 && digests.length === 0) return undefined;
    const matching = sorted(all.filter((tag) => tag.includes(part)));
    const entries = this.#views(matching.slice(from, from + limit));
    return { entries, total: matching.length, tagCount: all.length, manifestCount: digests.length };
  }

  /** By their digests. */
  manifests({ part, from, limit }: ThreadListQuery): ListFound<ManifestView> | undefined {
    const all = this.#digests();
    const tagCount = this.#tags().length;
    if (all.length === 0 && tagCount === 0) return undefined;
    const matching = all.filter((digest) => digest.includes(part));
    const entries = matching.slice(from, from + limit).flatMap((digest) => this.#manifest(digest) ?? []);
    return { entries, total: matching.length, tagCount, manifestCount: all.length };
  }

  #tags(): readonly Tag[] {
    const { layout, reader, repository } = this.#options;
    return reader.names(layout.tags(repository)).flatMap((name) => findTag(name) ?? []);
  }

  #digests(): readonly Digest[] {
    const { layout, reader, repository } = this.#options;
    return digestAlgorithms.flatMap((algorithm) =>
      reader.names(`${layout.manifests(repository)}/${algorithm}`).flatMap((hex) => findDigest(`${algorithm}:${hex}`) ?? []),
    );
  }

  #views(tags: readonly Tag[]): readonly TagView[] {
    const images = new RepositoryImages(this.#options).named(tags.map((tag) => ({ kind: "tag", tag })));
    const views = new Map([...images].flatMap((image) => this.#viewsOf(image)));
    return tags.flatMap((tag) => views.get(tag) ?? []);
  }

  /** One for each of its tags. */
  #viewsOf(image: HeldImage): readonly (readonly [Tag, TagView])[] {
    const { digest, mediaType, heldSinceMs, pinned } = image;
    const contents = readContents({ ...this.#options, digest });
    const children = platformsOf(contents, digest);
    const common = {
      digest,
      mediaType,
      heldSinceMs,
      pulledAtMs: pulledAt(image),
      isPinned: pinned !== undefined,
      platforms: children.length > 0 ? children : ownPlatformOf(contents, digest, this.#options),
      ...heldBytesOf(contents),
    };
    return image.tags.map(({ tag, record }) => [tag, { ...common, tag, checkedAtMs: record.checkedAtMs }]);
  }

  #manifest(digest: Digest): ManifestView | undefined {
    const { layout, reader, repository } = this.#options;
    const read = reader.file(layout.manifest(repository, digest), recordBytesMax);
    const record = read && parseManifestRecord(read.bytes);
    if (!read || !record) return undefined;
    const mtimeMs = Math.round(read.file.mtimeMs);
    const heldSinceMs = record.fetchedAtMs ?? mtimeMs;
    const { mediaType, sizeBytes, subject } = record;
    return { digest, mediaType, sizeBytes, subject, heldSinceMs, pulledAtMs: mtimeMs > heldSinceMs ? mtimeMs : undefined };
  }
}

function sorted(tags: readonly Tag[]): readonly Tag[] {
  return tags.length > numericMax ? tags.toReversed() : tags.toSorted((one, other) => collator.compare(other, one));
}
