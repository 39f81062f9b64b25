/**
 * planManifests: in which order a bundle's manifests become visible: children before parents. All of them are read before the first is
 * written: one that is wrong spoils the bundle, not the store.
 */
import { isElsewhere } from "../oci/descriptor.ts";
import type { Store } from "../cache/store.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { readManifestContent, type ManifestContent } from "../oci/manifest.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { BundleManifest } from "./bundle-manifest.ts";
import { BundleRefused } from "./bundle-refused.ts";

export interface PlannedManifest {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly mediaType: string;
}

/** Waves: those of one may be written side by side, once all of the wave before are there. Throws `BundleRefused`. */
export async function planManifests({ repositories, blobs, leftOut }: BundleManifest, store: Store): Promise<readonly (readonly PlannedManifest[])[]> {
  const known = new Set([...blobs, ...leftOut].map(({ digest }) => digest));
  const waves: PlannedManifest[][] = [];
  for (const { repository, manifests } of repositories) {
    const children = new Map<Digest, readonly Digest[]>();
    for (const { digest } of manifests) {
      const content = contentOf(digest, await manifestBytes(digest, store));
      const outside = content.blobs.find((blob) => !known.has(blob.digest) && !isElsewhere(blob));
      if (outside) throw new BundleRefused(`manifest ${digest} of ${repositoryName(repository)} names ${outside.digest}, which the bundle does not hold`);
      children.set(
        digest,
        content.manifests.map((child) => child.digest),
      );
    }
    const heights = heightsOf(children);
    for (const { digest, mediaType } of manifests) {
      const height = heights.get(digest) ?? 0;
      while (waves.length <= height) waves.push([]);
      waves[height]?.push({ repository, digest, mediaType });
    }
  }
  return waves;
}

/** The bytes of a manifest that was taken. Throws `BundleRefused` when it is not there any more. */
export async function manifestBytes(digest: Digest, { blobs }: Store): Promise<Uint8Array> {
  const bytes = await blobs.readBytes(digest);
  if (bytes) return bytes;
  throw new BundleRefused(`manifest ${digest} was removed from the store meanwhile, or is no manifest`);
}

/** How many levels of known manifests are below each. No digest can be below itself. */
function heightsOf(children: ReadonlyMap<Digest, readonly Digest[]>): ReadonlyMap<Digest, number> {
  const heights = new Map<Digest, number>();
  for (const root of children.keys()) {
    const path = [root];
    for (let digest = path.at(-1); digest !== undefined; digest = path.at(-1)) {
      const below = (children.get(digest) ?? []).filter((child) => children.has(child));
      const unknown = below.filter((child) => !heights.has(child));
      if (unknown.length > 0) path.push(...unknown);
      else {
        heights.set(
          digest,
          below.reduce((height, child) => Math.max(height, 1 + (heights.get(child) ?? 0)), 0),
        );
        path.pop();
      }
    }
  }
  return heights;
}

function contentOf(digest: Digest, bytes: Uint8Array): ManifestContent {
  try {
    return readManifestContent(bytes);
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new BundleRefused(`${digest} is not a manifest: ${error.message}`, { cause: error });
  }
}
