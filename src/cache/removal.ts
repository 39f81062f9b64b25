/**
 * Removal: how images leave the store, so that a kill at any moment leaves none that can be seen and is not whole: tags first, then
 * manifest records (a root before its children), then what shows and lists them, and at the end, when no process believes any of those
 * records any more, the blobs that nobody needs. Readers who have a file open read it to its end. Everything may be done twice.
 */
import { delay, type Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { digestAlgorithms } from "../oci/digest.ts";
import type { Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { isThere, mark, removeIfEmpty, syncFolderIfThere, unlinkIfThere } from "./atomic-write.ts";
import type { Layout } from "./layout.ts";
import { listFolder } from "./list-folder.ts";
import type { Store } from "./store.ts";

/** What goes of one repository. */
export interface RepositoryRemoval {
  readonly repository: Repository;
  /** Each goes only if it still means this digest. */
  readonly tags: readonly { readonly tag: Tag; readonly digest: Digest }[];
  /** Parents before their children. */
  readonly manifests: readonly Digest[];
  /** What the repository need not show any more: manifests and blobs that nothing else held in it names. */
  readonly links: readonly Digest[];
}

export interface BlobRemoval {
  readonly digest: Digest;
  /** As it was when nobody needed it: one that somebody wrote or touched since then stays. */
  readonly mtimeMs: number;
}

export interface RemovalOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** How long other processes may believe a record that is gone: none of them shows half an image after that. */
  readonly settleMs: number;
  /** Aborting ends it between two files; whoever removes the same again finishes it. */
  readonly signal?: AbortSignal;
}

/** Longer than a record is believed without looking (decided by `TrustedFiles`). */
export const recordsSettleMs = 1_100;

/**
 * Removes images' records and then `blobs`; resolves to the blobs that are gone, without those that somebody else began to need
 * meanwhile. Throws the signal's reason, or the system's error where the store cannot be written. */
export async function remove(
  { repositories, blobs }: { readonly repositories: readonly RepositoryRemoval[]; readonly blobs: readonly BlobRemoval[] },
  { store, clock, settleMs, signal }: RemovalOptions,
): Promise<readonly Digest[]> {
  for (const one of repositories) {
    signal?.throwIfAborted();
    await removeFromRepository(store, one);
  }
  if (blobs.length === 0) return [];
  if (repositories.length > 0 && settleMs > 0) await delay(clock, settleMs, signal);
  const hosts = await listFolder(store.layout.upstreams());
  const removed: Digest[] = [];
  for (const blob of blobs) {
    signal?.throwIfAborted();
    if (await removeBlob(store, blob, hosts)) removed.push(blob.digest);
  }
  return removed;
}

async function removeFromRepository({ repositories, referrers, layout }: Store, { repository, tags, manifests, links }: RepositoryRemoval): Promise<void> {
  for (const { tag, digest } of tags) await repositories.removeTag(repository, tag, digest);
  const subjects = new Map<Digest, Digest>();
  for (const digest of manifests) {
    const subject = (await repositories.readManifest(repository, digest))?.record.subject;
    if (subject) subjects.set(digest, subject);
    await repositories.removeManifest(repository, digest);
  }
  // Before a blob goes, the power may: what names it must be gone for good.
  if (tags.length > 0) await syncFolderIfThere(layout.tags(repository));
  for (const folder of manifestFolders(layout, repository)) await syncFolderIfThere(folder);
  for (const [digest, subject] of subjects) await referrers.remove(repository, subject, digest);
  for (const digest of manifests) await referrers.removeAll(repository, digest);
  for (const digest of links) await repositories.removeLink(repository, digest);
  await removeEmptyFolders(layout, repository);
}

/**
 * Takes the file aside and looks whether it is the one that nobody needed: whoever writes a manifest touches what it names, and finds out
 * that way that something is gone.
 */
async function removeBlob({ blobs, layout }: Store, { digest, mtimeMs }: BlobRemoval, hosts: readonly string[]): Promise<boolean> {
  const outcome = await blobs.remove(digest, { mtimeMs });
  if (outcome === "changed") return false;
  const marks = [...hosts.map((host) => layout.deliveryIn(host, digest)), layout.publicMark(digest)];
  const gone: string[] = [];
  for (const path of marks) if (await unlinkIfThere(path)) gone.push(path);
  // Brought again meanwhile, perhaps by the operator, who is not asked twice: it was delivered all the same.
  if (gone.length > 0 && (await isThere(layout.blob(digest)))) for (const path of gone) await mark(path);
  return outcome === "removed";
}

function manifestFolders(layout: Layout, repository: Repository): readonly string[] {
  return digestAlgorithms.map((algorithm) => `${layout.manifests(repository)}/${algorithm}`);
}

/** A repository of which nothing is held leaves no folder: the catalog would name it. Whoever writes there now makes it anew. */
async function removeEmptyFolders(layout: Layout, repository: Repository): Promise<void> {
  const under = (folder: string): readonly string[] => [`${folder}/sha256`, `${folder}/sha512`, folder];
  const own = layout.repository(repository);
  const words = repository.path.split("/");
  const above = words.map((_, index) => words.slice(0, words.length - index).join("/")).map((path) => `${layout.host(repository.host)}/${path}`);
  const folders = [
    layout.tags(repository),
    ...under(layout.manifests(repository)),
    ...under(layout.links(repository)),
    `${own}/_referrers`,
    layout.pins(repository),
    ...above,
  ];
  for (const folder of folders) await removeIfEmpty(folder);
}
