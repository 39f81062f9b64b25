/**
 * Browsing: what is held, as people look through it, page by page. Who pulls never waits for any of it.
 */
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { ImageConfig } from "./image-config.ts";
import type { Reference } from "./reference.ts";
import type { RegistryHost, Repository } from "./repository.ts";
import type { Tag } from "./tag.ts";

/** What is held, to be looked through. Each rejects with the signal's reason, or with an Error when the disk gives nothing. */
export interface Browsing {
  findRepositories(query: RepositoriesQuery): Promise<RepositoriesFound>;
  /** Undefined: nothing of the repository is held. */
  findTags(repository: Repository, query: ListQuery): Promise<ListFound<TagView> | undefined>;
  /** The same, of everything that is held by digest. */
  findManifests(repository: Repository, query: ListQuery): Promise<ListFound<ManifestView> | undefined>;
  /** Undefined: it is not held. */
  findImage(repository: Repository, reference: Reference, signal: AbortSignal): Promise<ImageView | undefined>;
}

/** Whether somebody may know of a repository; undefined in a query: of all. */
export type Sees = (repository: Repository) => boolean;

export interface RepositoriesQuery {
  /** A name must hold each of them. */
  readonly words: readonly string[];
  readonly registry: RegistryHost | undefined;
  /** "used": the latest first. */
  readonly sort: "name" | "used";
  /** What the page before ended with. */
  readonly after: { readonly name: string; readonly usedAtMs: number } | undefined;
  readonly limit: number;
  readonly sees: Sees | undefined;
  readonly signal: AbortSignal;
}

/** A repository in a list. */
export interface RepositorySummary {
  readonly repository: Repository;
  /** `host/path` */
  readonly name: string;
  readonly tagCount: number;
  readonly manifestCount: number;
  /** When one of its manifests last came or was pulled, in milliseconds since 1970. */
  readonly usedAtMs: number;
}

export interface RepositoriesFound {
  readonly repositories: readonly RepositorySummary[];
  readonly hasMore: boolean;
  /** How many match in all; undefined where counting them would take too long. */
  readonly total: number | undefined;
  /** Registries of which the asker may see something. */
  readonly registries: readonly RegistryHost[];
  /** How many repositories have been found so far, while the store is first looked through; undefined when all are known. */
  readonly foundSoFar: number | undefined;
  /** True when there are more than are kept in memory: the last of them, by name, are missing. */
  readonly isCut: boolean;
}

export interface ListQuery {
  /** What a name must hold. */
  readonly part: string;
  readonly from: number;
  readonly limit: number;
  readonly signal: AbortSignal;
}

export interface ListFound<Entry> {
  readonly entries: readonly Entry[];
  /** How many match. */
  readonly total: number;
  readonly tagCount: number;
  readonly manifestCount: number;
}

/** When something came and was last pulled, in milliseconds since 1970. */
export interface HeldTimes {
  readonly heldSinceMs: number;
  /** Undefined: never. */
  readonly pulledAtMs: number | undefined;
}

/** What of an image's config and layers, over all its platforms, is here. */
export interface HeldBytes {
  readonly sizeBytes: number;
  readonly heldBytes: number;
}

export interface PlatformView {
  /** Undefined: the index does not say, as for attestations. */
  readonly name: string | undefined;
  readonly digest: Digest;
  readonly artifactType: string | undefined;
  readonly isHeld: boolean;
}

export interface TagView extends HeldTimes, HeldBytes {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Children of an index; of a plain image its own, where it is known. */
  readonly platforms: readonly PlatformView[];
  /** When its upstream last confirmed the tag. */
  readonly checkedAtMs: number;
  readonly isPinned: boolean;
}

export interface ManifestView extends HeldTimes {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** What it refers to. */
  readonly subject: Digest | undefined;
}

export interface LayerView {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number | undefined;
  readonly isHeld: boolean;
}

export interface ReferrerView {
  readonly digest: Digest;
  readonly artifactType: string | undefined;
  readonly sizeBytes: number | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageView extends HeldTimes, HeldBytes {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly kind: "index" | "image";
  /** When its upstream last confirmed the tag that was asked for. */
  readonly checkedAtMs: number | undefined;
  readonly isPinned: boolean;
  readonly artifactType: string | undefined;
  readonly subject: Digest | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platforms: readonly PlatformView[];
  /** The image's config where it is one and is here; undefined for an index. */
  readonly config: ImageConfig | undefined;
  readonly configDescriptor: Descriptor | undefined;
  readonly layers: readonly LayerView[];
  readonly referrers: readonly ReferrerView[];
  /** The manifest as it came, or its beginning. */
  readonly json: { readonly text: string; readonly isWhole: boolean };
}
