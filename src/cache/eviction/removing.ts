/** Removing: from images that were chosen to files that go: what of theirs nothing else needs, in the repository and in the store. */
import type { Clock } from "../../oci/clock.ts";
import type { Digest } from "../../oci/digest.ts";
import { repositoryName, type Repository } from "../../oci/repository.ts";
import { remove, type BlobRemoval, type RepositoryRemoval } from "../removal.ts";
import type { Store } from "../store.ts";
import type { BegunRemovals } from "./begun-removals.ts";
import type { Census } from "./census.ts";
import type { CensusImage } from "./census-image.ts";
import type { Chosen } from "./choice.ts";

export interface RemovingOptions {
  readonly store: Store;
  readonly census: Census;
  readonly begun: BegunRemovals;
  readonly clock: Clock;
  /** How long other processes may believe a record that is gone. */
  readonly settleMs: number;
  readonly isBusy: (id: number) => boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Freed {
  readonly blobs: number;
  readonly bytes: number;
}

export interface RemovedChosen extends Freed {
  /** Those that went. */
  readonly chosen: readonly Chosen[];
}

/**
 * Removes what was chosen, whole or not at all to whoever looks; what changed since it was chosen stays. A kill in between is made good
 * by who prunes next. Throws as `remove`.
 */
export async function removeChosen(wanted: readonly Chosen[], options: RemovingOptions): Promise<RemovedChosen> {
  const { census } = options;
  await keepUp(options);
  // From here to the list of what goes nothing is awaited: an image that comes later touches what it needs.
  const chosen = wanted.filter(({ image }) => census.imagesOf(image.repository).includes(image));
  const byRepository = Map.groupBy(chosen, ({ image }) => repositoryName(image.repository));
  const removals = [...byRepository.values()].flatMap((ofRepository) => removalOf(ofRepository, census) ?? []);
  const blobs = blobsOf(chosen, options);
  const going = new Map(chosen.map((one) => [one.image, one]));
  const isLeft = (image: CensusImage): CensusImage | undefined => leftOf(image, going.get(image));
  const repositories = removals.map(({ repository }) => repository);
  let freed: Freed = { blobs: 0, bytes: 0 };
  await census.removing(repositories, isLeft, async () => {
    freed = await removeFiles(removals, blobs, options);
  });
  return { ...freed, chosen };
}

/** Removes blobs that no image needs, as `find` gives them when all that came has been counted. */
export async function removeUnneeded(find: () => Iterable<number>, options: RemovingOptions): Promise<Freed> {
  await keepUp(options);
  return await removeFiles([], blobRemovals([...find()], options), options);
}

/** Resolves when nothing that this process has brought is left uncounted: at that moment, and no later. */
async function keepUp({ census, signal }: RemovingOptions): Promise<void> {
  while (census.isBehind) await census.catchUp(signal);
}

async function removeFiles(
  repositories: readonly RepositoryRemoval[],
  blobs: readonly BlobRemoval[],
  { store, census, begun, clock, settleMs, signal }: RemovingOptions,
): Promise<Freed> {
  const sizes = new Map(blobs.map(({ digest }) => [digest, census.bytesOf(census.table.put(digest))]));
  if (repositories.length > 0) {
    const manifests = new Map(repositories.map((one) => [repositoryName(one.repository), one.manifests]));
    await begun.begin({ manifests, blobs: blobs.map(({ digest }) => digest) });
  }
  const removed = await remove({ repositories, blobs }, { store, clock, settleMs, ...(signal ? { signal } : {}) });
  if (repositories.length > 0) await begun.end();
  return { blobs: removed.length, bytes: removed.reduce((sum, digest) => sum + (sizes.get(digest) ?? 0), 0) };
}

function removalOf(chosen: readonly Chosen[], census: Census): RepositoryRemoval | undefined {
  const repository = chosen[0]?.image.repository;
  if (!repository) return undefined;
  const going = new Set(chosen.filter(({ isWhole }) => isWhole).map(({ image }) => image));
  const stillNeeded = new Set(census.imagesOf(repository).flatMap((image) => (going.has(image) ? [] : image.needs)));
  const nobodys = (ids: readonly number[]): readonly Digest[] => [...new Set(ids)].filter((id) => !stillNeeded.has(id)).map((id) => census.table.digestOf(id));
  return {
    repository,
    tags: chosen.flatMap(({ image, tags }) => tags.map((tag) => ({ tag, digest: census.table.digestOf(image.root) }))),
    manifests: nobodys([...going].flatMap(({ manifests }) => manifests)),
    links: nobodys([...going].flatMap(({ needs }) => needs)),
  };
}

/** What nobody needs when the chosen are gone. */
function blobsOf(chosen: readonly Chosen[], options: RemovingOptions): readonly BlobRemoval[] {
  const going = new Map<number, number>();
  for (const { image, isWhole } of chosen) if (isWhole) for (const id of image.needs) going.set(id, (going.get(id) ?? 0) + 1);
  const ids = [...going].filter(([id, count]) => options.census.neededBy(id) <= count).map(([id]) => id);
  return blobRemovals(ids, options);
}

/** What is being read or filled stays: nobody needs it, and it goes the next time. */
function blobRemovals(ids: readonly number[], { census, isBusy }: RemovingOptions): readonly BlobRemoval[] {
  const held = ids.filter((id) => census.mtimeOf(id) > 0 && !isBusy(id));
  return held.map((id) => ({ digest: census.table.digestOf(id), mtimeMs: census.mtimeOf(id) }));
}

function leftOf(image: CensusImage, chosen: Chosen | undefined): CensusImage | undefined {
  if (!chosen) return image;
  return chosen.isWhole ? undefined : { ...image, tags: image.tags.filter((tag) => !chosen.tags.includes(tag)) };
}

/** All repositories of these images, each once. */
export function repositoriesOf(chosen: readonly Chosen[]): readonly Repository[] {
  return [...new Map(chosen.map(({ image: { repository } }) => [repositoryName(repository), repository])).values()];
}
