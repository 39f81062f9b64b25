/**
 * walkImage: everything that an image is made of, through a `Registry`: the index, its manifests, their config and layers, and what
 * refers to them (signatures, bills of material). It fetches manifests; blobs are only named: what is to be done with them is the
 * caller's affair.
 */
import type { Reference } from "../oci/reference.ts";
import type { Registry } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import type { ImageWalkOptions, Walked, WalkedAside, WalkedBlob, WalkedGap, WalkedLack, WalkedManifest, WalkedRole } from "./walked.ts";
import { ImageWalk } from "./walking.ts";

export type { ImageWalkOptions, Walked, WalkedAside, WalkedBlob, WalkedGap, WalkedLack, WalkedManifest, WalkedRole };

/**
 * Visits an image. Each digest once, however often it is named. Throws the `OciError` of a root that cannot be had, and the signal's reason.
 * An index none of whose children is for `platforms` throws `MANIFEST_UNKNOWN` naming what it has.
 */
export function walkImage(registry: Registry, repository: Repository, reference: Reference, options: ImageWalkOptions): AsyncGenerator<Walked> {
  return new ImageWalk(registry, repository, options).walk(reference);
}
