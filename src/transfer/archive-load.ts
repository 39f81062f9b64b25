/**
 * loadArchive: the images of an archive into the store, under the names that they have there. All of the archive is read, hashed and
 * judged before anything of it can be seen: one that is refused leaves nothing, however late its fault comes.
 */
import type { Deposits } from "../cache/deposits.ts";
import { isElsewhere } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { Platform } from "../oci/platform.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { repositoryName, type RegistryHost, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { openArchive, type ArchiveSource } from "./archive.ts";
import { readArchiveList } from "./archive-list.ts";
import { nameArchivedImages } from "./archive-names.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import { placeImages, type PlacedImage } from "./archive-places.ts";
import { readArchivedTree, type ArchivedBlob } from "./archived-tree.ts";
import { inOrder } from "./in-order.ts";

export interface LoadArchiveOptions {
  readonly source: ArchiveSource;
  readonly deposits: Deposits;
  /** Says what a registry's name means, and which registry a short name belongs to. */
  readonly names: RegistryNames;
  /** The name for an image without one, or the repository for one that is called by its tag alone. */
  readonly resolveRef?: string | undefined;
  /** Children of indexes that are wanted; "all": what the archive has. */
  readonly platforms?: readonly Platform[] | "all";
  readonly signal: AbortSignal;
  /** Says what would be loaded, and keeps nothing. */
  readonly dryRun?: boolean;
  readonly onProgress?: (progress: ArchiveProgress) => void;
}

export type ArchiveProgress =
  { readonly kind: "entry"; readonly path: string; readonly sizeBytes: number } | { readonly kind: "image"; readonly image: LoadedImage };

export interface LoadedImage {
  readonly repository: Repository;
  /** Absent for one that is named by its digest, and for what refers to another (a signature). */
  readonly tag?: Tag;
  readonly digest: Digest;
  /** It was here already, under this name. */
  readonly wasHeld: boolean;
  /** Configs and layers: all of them, and those that the store did not hold before. */
  readonly blobBytes: number;
  readonly newBytes: number;
  /** Platforms that were asked for, and that the archive has nothing for. */
  readonly lacking: readonly string[];
}

/** An image of the archive that has no name, and so no place to go to. */
export interface NamelessImage {
  readonly digest: Digest;
  readonly reason: string;
}

export interface LoadedArchive {
  readonly images: readonly LoadedImage[];
  readonly nameless: readonly NamelessImage[];
}

/** Syncing one file after the other would take a disk's patience. */
const keptAtOnce = 8;

/**
 * Throws `ArchiveRefused` (nothing was kept), `StoreUnwritable` (images that were told of by `onProgress` are whole), the signal's
 * reason, and the system's error where the source cannot be read.
 */
export async function loadArchive(options: LoadArchiveOptions): Promise<LoadedArchive> {
  const { source, deposits, names, resolveRef, platforms = "all", signal, dryRun = false, onProgress } = options;
  await using archive = await openArchive(source, { deposits, signal, onEntry: (entry) => onProgress?.({ kind: "entry", ...entry }) });
  const listed = await readArchiveList(archive, { signal });
  const read = [];
  for (const image of listed) read.push({ image, tree: await readArchivedTree(archive, image.root, { platforms }) });
  const { placed, nameless } = placeImages(read, (images) => nameArchivedImages(images, { names, resolveRef }));
  if (placed.length === 0) throw new ArchiveRefused("no image of the archive has a name: say with --resolve-ref what it is called");
  for (const image of placed) await checkWhole(image, deposits);
  const images: LoadedImage[] = [];
  for (const image of placed) {
    signal.throwIfAborted();
    for (const loaded of await keepImage(image, { deposits, dryRun })) {
      images.push(loaded);
      onProgress?.({ kind: "image", image: loaded });
    }
  }
  return { images, nameless };
}

/** What the archive lacks must be held already, and be this registry's: an archive that names a digest gives no right to it. */
async function checkWhole({ repository, tree }: PlacedImage, deposits: Deposits): Promise<void> {
  for (const { descriptor, namedBy, staged } of tree.blobs) {
    if (staged || isElsewhere(descriptor) || (await deposits.covers(repository.host, descriptor))) continue;
    throw new ArchiveRefused(`${repositoryName(repository)}: ${descriptor.digest}, which ${namedBy} names, is neither in the archive nor held`);
  }
}

async function keepImage(
  { repository, tags, tree }: PlacedImage,
  { deposits, dryRun }: { deposits: Deposits; dryRun: boolean },
): Promise<readonly LoadedImage[]> {
  const named = await Promise.all(
    (tags.length === 0 ? [undefined] : tags).map(async (tag) => ({ tag, wasHeld: await deposits.holds(repository, tree.root, tag) })),
  );
  const blobBytes = tree.blobs.reduce((sum, { staged }) => sum + (staged?.sizeBytes ?? 0), 0);
  let newBytes = 0;
  const run = async ({ staged }: ArchivedBlob): Promise<number> => await keepBlob(repository.host, staged, { deposits, dryRun });
  for await (const { result } of inOrder(tree.blobs, { atOnce: keptAtOnce, run })) newBytes += result;
  if (!dryRun) {
    for (const { digest, mediaType, read } of tree.manifests) await deposits.manifest(repository, { bytes: await read(), mediaType, digest });
    for (const tag of tags) await deposits.tag(repository, tag, tree.root);
    await deposits.confirm(
      repository,
      tree.manifests.map((manifest) => manifest.digest),
    );
  }
  const { root: digest, lacking } = tree;
  return named.map(({ tag, wasHeld }) => ({ repository, ...(tag === undefined ? {} : { tag }), digest, wasHeld, blobBytes, newBytes, lacking }));
}

async function keepBlob(host: RegistryHost, staged: ArchivedBlob["staged"], { deposits, dryRun }: { deposits: Deposits; dryRun: boolean }): Promise<number> {
  if (!staged) return 0;
  if (dryRun) return staged.isOurs ? staged.sizeBytes : 0;
  return (await deposits.keep(host, staged)) === "kept" ? staged.sizeBytes : 0;
}
