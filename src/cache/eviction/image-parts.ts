/**
 * ImageParts: everything below a manifest, read for who is about to remove what nothing names. What the disk does not give is not taken
 * for absent here: it is thrown. A manifest that is there and is torn leaves open what its image needs.
 */
import { readFile } from "node:fs/promises";
import { type Digest, algorithmOf, digestAlgorithms, digestOf, findDigest } from "../../oci/digest.ts";
import { manifestBytesMax, type ManifestContent } from "../../oci/manifest.ts";
import type { Repository } from "../../oci/repository.ts";
import { ifThere, statIfThere } from "../atomic-write.ts";
import { findDashedDigest, type Layout } from "../layout.ts";
import { listFolder } from "../list-folder.ts";
import { tryReadContent } from "../repository-images.ts";

export interface ImageParts {
  /** Held manifests: the root, children, referrers. A parent before its children. */
  readonly manifests: ReadonlySet<Digest>;
  /** Everything that the image is made of, held or not; of one that is torn, everything that its repository may show. */
  readonly needs: ReadonlySet<Digest>;
  readonly isTorn: boolean;
}

/** Reads them. Throws the system's error for anything but absence. */
export async function readImageParts(layout: Layout, repository: Repository, root: Digest): Promise<ImageParts> {
  const manifests = new Set<Digest>();
  const needs = new Set<Digest>([root]);
  const due = new Set<Digest>([root]);
  let isTorn = false;
  // It grows while it is walked through.
  for (const digest of due) {
    const isHeld = digest === root || (await statIfThere(layout.manifest(repository, digest))) !== undefined;
    const content = isHeld ? await readContent(layout.blob(digest), digest) : undefined;
    if (content === undefined) continue;
    manifests.add(digest);
    isTorn ||= content === "torn";
    const { blobs, manifests: children } = content === "torn" ? nothing : content;
    for (const blob of blobs) needs.add(blob.digest);
    for (const child of [...children.map((named) => named.digest), ...(await referrersOf(layout, repository, digest))]) {
      needs.add(child);
      due.add(child);
    }
  }
  if (manifests.size === 0) manifests.add(root); // Its bytes are gone, its record is not.
  if (isTorn) for await (const digest of linksOf(layout, repository)) needs.add(digest);
  return { manifests, needs, isTorn };
}

const nothing: Pick<ManifestContent, "blobs" | "manifests"> = { blobs: [], manifests: [] };

/** What a manifest's file names; undefined when there is no such file. */
async function readContent(path: string, digest: Digest): Promise<ManifestContent | "torn" | undefined> {
  const file = await statIfThere(path);
  if (!file || file.size > manifestBytesMax) return file && "torn";
  const bytes = await ifThere(readFile(path));
  if (!bytes) return undefined;
  return digestOf(bytes, algorithmOf(digest)) === digest ? (tryReadContent(bytes) ?? "torn") : "torn";
}

async function referrersOf(layout: Layout, repository: Repository, subject: Digest): Promise<readonly Digest[]> {
  return (await listFolder(layout.referrers(repository, subject))).flatMap((name) => findDashedDigest(name) ?? []);
}

/** What the repository's manifests have named, each written down when it came. */
async function* linksOf(layout: Layout, repository: Repository): AsyncGenerator<Digest> {
  for (const algorithm of digestAlgorithms) {
    for (const hex of await listFolder(`${layout.links(repository)}/${algorithm}`)) {
      const digest = findDigest(`${algorithm}:${hex}`);
      if (digest) yield digest;
    }
  }
}
