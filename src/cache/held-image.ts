/** HeldImage: an image that is here, as an operator counts images, and the parts that it is made of. */
import type { Digest } from "../oci/digest.ts";
import type { Platform } from "../oci/platform.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import type { Pin } from "./pins.ts";
import type { TagRecord } from "./repository-records.ts";

/** A root of a repository: a digest that a tag means, or one that no held index names and that refers to nothing held. */
export interface HeldImage {
  readonly repository: Repository;
  /** Every tag that means it, in the order of their bytes. */
  readonly tags: readonly { readonly tag: Tag; readonly record: TagRecord }[];
  readonly digest: Digest;
  readonly mediaType: string;
  readonly kind: "index" | "image";
  /** The latest pull of the root or of any manifest below it, in milliseconds since 1970; `heldSinceMs` when there was none. */
  readonly usedAtMs: number;
  /** When it first came, in milliseconds since 1970. */
  readonly heldSinceMs: number;
  /** The pin that keeps it: of one of its tags, or of the digest of any manifest of it. */
  readonly pinned?: Pin;
  /** When names last came or went in the folders that say what its repository holds (`Layout.holdings`), just before they were read. */
  readonly folderTimes: string;
}

/** Something that an image is made of. */
export interface HeldPart {
  readonly digest: Digest;
  /** Its size on disk where it is held, else what the manifest that names it says; undefined when nobody says. */
  readonly sizeBytes: number | undefined;
  readonly mediaType: string;
  /** For a child whose index says. */
  readonly platform?: Platform;
  /** For a layer that registries need not have. */
  readonly isForeign?: boolean;
  /** True when it can be served to this registry's clients: whole by its size, and delivered by the registry or public. */
  readonly isHeld: boolean;
  /** "root", a child of an index, a referrer (its parent is the subject), a config, a layer. */
  readonly role: "root" | "child" | "referrer" | "config" | "layer";
  /** The manifest that names it, or its subject; undefined for the root. */
  readonly parent: Digest | undefined;
}

export interface ImageContents {
  /** The root, children of indexes, held referrers of any of them. Each digest once, a parent before its children. */
  readonly manifests: readonly HeldPart[];
  /** Configs and layers of the manifests that are held. Each digest once. */
  readonly blobs: readonly HeldPart[];
}

/** What an image is called: `host/path:tag` by each tag, or `host/path@digest` when it has none. */
export function imageNames({ repository, tags, digest }: Pick<HeldImage, "repository" | "tags" | "digest">): readonly string[] {
  const name = repositoryName(repository);
  return tags.length === 0 ? [`${name}@${digest}`] : tags.map(({ tag }) => `${name}:${tag}`);
}

/** When it was pulled last, in milliseconds since 1970; undefined: never since it came. */
export function pulledAt({ usedAtMs, heldSinceMs }: Pick<HeldImage, "usedAtMs" | "heldSinceMs">): number | undefined {
  return usedAtMs > heldSinceMs ? usedAtMs : undefined;
}
