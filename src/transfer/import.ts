/**
 * importBundle: a bundle into this store, beside whoever serves from it. Content first, then manifests, children before parents, then
 * tags: an image can be seen when it is whole, not before, and whatever stops the import, the next one goes on where it stopped.
 */
import type { KeyObject } from "node:crypto";
import { smallBytesMax } from "../cache/blob-store.ts";
import { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { readManifestContent, type ManifestContent } from "../oci/manifest.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { blobEntry } from "./bundle-layout.ts";
import type { BaseLink, BundledBlob, BundledRepository, LeftOutBlob } from "./bundle-manifest.ts";
import type { BundleReader, ReadBundle } from "./bundle-reader.ts";
import { BundleRefused } from "./bundle-refused.ts";

export interface ImportOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly reader: BundleReader;
  /** The bundle must be signed with its other half. */
  readonly verifyKey?: KeyObject | undefined;
  /** Tags that are here keep what they mean, however old. */
  readonly keepTags: boolean;
  readonly signal: AbortSignal;
  /** After each blob. */
  readonly onBytes?: (doneBytes: number, totalBytes: number) => void;
}

export interface ImportResult {
  readonly id: Digest;
  readonly isSigned: boolean;
  readonly keptCount: number;
  readonly keptBytes: number;
  /** Blobs that were here already, and not read again where they could be passed over. */
  readonly heldCount: number;
  readonly manifestCount: number;
  readonly tags: readonly ImportedTag[];
}

export interface ImportedTag {
  /** `host/path:tag` */
  readonly name: string;
  readonly digest: Digest;
  /** "new" here, "moved" from another digest, "same" as here; "kept": what it means here stays, being newer, or by `keepTags`. */
  readonly verdict: "new" | "moved" | "same" | "kept";
}

/** The bundle builds on something that is not here. Nothing was imported. */
export class BaseMissing extends Error {
  readonly missing: readonly LeftOutBlob[];
  /** What has to be imported first, the oldest first; or the receipt that promised what is gone. */
  readonly links: readonly BaseLink[];

  constructor(bundle: ReadBundle, missing: readonly LeftOutBlob[]) {
    const links = bundle.base?.links.filter((_, at) => missing.some(({ link }) => link === at)) ?? [];
    super(`bundle ${bundle.id} leaves out ${missing.length} blobs that are not here: ${links.map(linkWords).join("; ")}`);
    this.name = "BaseMissing";
    this.missing = missing;
    this.links = links;
  }
}

/**
 * Throws `BundleRefused` or `DepositRefused` naming what is wrong, `BaseMissing`, `StoreUnwritable`, and the signal's reason. No image
 * that is not whole can be seen then.
 */
export async function importBundle(given: ImportOptions): Promise<ImportResult> {
  const { reader, verifyKey, store, clock } = given;
  const options = { ...given, deposits: new Deposits({ store, clock }) };
  const bundle = await reader.manifest({ verifyKey });
  await checkBase(bundle, options);
  for (const file of bundle.files) await reader.file(file);
  const { keptCount, keptBytes } = await takeBlobs(bundle, options);
  await reader.end();
  const planned = await planManifests(bundle, options);
  for (const blob of [...bundle.blobs, ...bundle.leftOut]) await vouch(blob, options);
  for (const { repository, digest, mediaType } of planned) {
    options.signal.throwIfAborted();
    await options.deposits.manifest(repository, { bytes: await manifestBytes(digest, options), mediaType, digest });
  }
  const tags = await Array.fromAsync(setTags(bundle.repositories, options));
  const { id, isSigned, blobs } = bundle;
  return { id, isSigned, keptCount, keptBytes, heldCount: blobs.length - keptCount, manifestCount: planned.length, tags };
}

interface Import extends ImportOptions {
  readonly deposits: Deposits;
}

async function checkBase(bundle: ReadBundle, options: Import): Promise<void> {
  const missing: LeftOutBlob[] = [];
  for (const blob of bundle.leftOut) if (!(await isHeld(blob, options))) missing.push(blob);
  if (missing.length > 0) throw new BaseMissing(bundle, missing);
}

/** Every blob that is not here, hashed on its way to the disk. */
async function takeBlobs({ blobs }: ReadBundle, options: Import): Promise<{ keptCount: number; keptBytes: number }> {
  const { reader, deposits, signal, onBytes } = options;
  const totalBytes = blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let [keptCount, keptBytes, doneBytes] = [0, 0, 0];
  for (const blob of blobs) {
    signal.throwIfAborted();
    const { digest, sizeBytes, hosts } = blob;
    const name = blobEntry(digest);
    await reader.expect(name, sizeBytes);
    if (await isHeld(blob, options)) await reader.pass(name, sizeBytes);
    else {
      const [host] = hosts;
      if (host === undefined) throw new BundleRefused(`${digest}: delivered by no registry of the bundle`);
      await deposits.blob(host, { digest, sizeBytes }, reader.content(name, sizeBytes));
      keptCount += 1;
      keptBytes += sizeBytes;
    }
    onBytes?.((doneBytes += sizeBytes), totalBytes);
  }
  return { keptCount, keptBytes };
}

interface PlannedManifest {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly mediaType: string;
}

/** Every manifest after its children. Read before the first is written: one that is wrong spoils the bundle, not the store. */
async function planManifests({ repositories, blobs, leftOut }: ReadBundle, options: Import): Promise<readonly PlannedManifest[]> {
  const known = new Set([...blobs, ...leftOut].map(({ digest }) => digest));
  const planned: PlannedManifest[] = [];
  for (const { repository, manifests } of repositories) {
    const contents = new Map<Digest, { readonly mediaType: string; readonly children: readonly Digest[] }>();
    for (const { digest, mediaType } of manifests) {
      const content = contentOf(digest, await manifestBytes(digest, options));
      const outside = content.blobs.find((blob) => !known.has(blob.digest) && !isForeign(blob.mediaType));
      if (outside) throw new BundleRefused(`manifest ${digest} of ${repositoryName(repository)} names ${outside.digest}, which the bundle does not hold`);
      contents.set(digest, { mediaType, children: content.manifests.map((child) => child.digest) });
    }
    for (const digest of childrenFirst(contents)) planned.push({ repository, digest, mediaType: contents.get(digest)?.mediaType ?? "" });
  }
  return planned;
}

/** Digests of which every one comes after its children. No digest can be below itself. */
function childrenFirst(contents: ReadonlyMap<Digest, { readonly children: readonly Digest[] }>): readonly Digest[] {
  const sorted = new Set<Digest>();
  for (const root of contents.keys()) {
    const path = [root];
    for (let digest = path.at(-1); digest !== undefined; digest = path.at(-1)) {
      const child = sorted.has(digest) ? undefined : contents.get(digest)?.children.find((one) => contents.has(one) && !sorted.has(one));
      if (child) path.push(child);
      else {
        sorted.add(digest);
        path.pop();
      }
    }
  }
  return [...sorted];
}

async function* setTags(repositories: readonly BundledRepository[], { store, deposits, clock, keepTags }: Import): AsyncGenerator<ImportedTag> {
  for (const { repository, tags } of repositories) {
    for (const { tag, digest, checkedAtMs } of tags) {
      const name = `${repositoryName(repository)}:${tag}`;
      const known = await store.repositories.findTag(repository, tag);
      const isOther = known !== undefined && known.digest !== digest;
      if (isOther && (keepTags || known.checkedAtMs >= checkedAtMs)) {
        yield { name, digest: known.digest, verdict: "kept" };
        continue;
      }
      // The other side's clock may be ahead: a tag is not fresh for longer than one that was asked for now.
      await deposits.tag(repository, tag, digest, { checkedAtMs: Math.min(checkedAtMs, clock.now()) });
      yield { name, digest, verdict: known === undefined ? "new" : isOther ? "moved" : "same" };
    }
  }
}

/** The registries of the bundle delivered it, and so did everybody if it is public. */
async function vouch({ digest, sizeBytes, hosts, isPublic }: BundledBlob, { store, deposits }: Import): Promise<void> {
  for (const host of hosts) {
    if (!(await deposits.vouch(host, { digest, sizeBytes })))
      throw new BundleRefused(`${digest} was removed from the store meanwhile: import the bundle again`);
    if (isPublic) await store.provenance.record(host, digest, { isPublic });
  }
}

/** By the rule of a pull: small ones by their digest, others by their length. */
async function isHeld({ digest, sizeBytes }: BundledBlob, { store }: Import): Promise<boolean> {
  if (sizeBytes <= smallBytesMax) return (await store.blobs.readBytes(digest))?.byteLength === sizeBytes;
  const blob = await store.blobs.open(digest, sizeBytes);
  blob?.release();
  return blob !== undefined;
}

async function manifestBytes(digest: Digest, { store }: Import): Promise<Uint8Array> {
  const bytes = await store.blobs.readBytes(digest);
  if (bytes) return bytes;
  throw new BundleRefused(`manifest ${digest} was removed from the store meanwhile, or is no manifest`);
}

function contentOf(digest: Digest, bytes: Uint8Array): ManifestContent {
  try {
    return readManifestContent(bytes);
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new BundleRefused(`${digest} is not a manifest: ${error.message}`, { cause: error });
  }
}

function isForeign(mediaType: string): boolean {
  return mediaType.includes(".foreign.") || mediaType.includes(".nondistributable.");
}

function linkWords({ kind, id, name }: BaseLink): string {
  if (kind === "bundle") return `import bundle ${id}${name === undefined ? "" : ` (${name})`} first`;
  return `receipt ${id} said that they are here; take a new receipt`;
}
