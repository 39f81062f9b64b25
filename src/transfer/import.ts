/**
 * importBundle: a bundle into this store, beside whoever serves from it. Content first, then manifests, children before parents, then
 * tags: an image can be seen when it is whole, not before, and whatever stops the import, the next one goes on where it stopped.
 */
import type { KeyObject } from "node:crypto";
import { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { repositoryName } from "../oci/repository.ts";
import { BroughtBlobs } from "./brought-blobs.ts";
import { believe, checkStillCovered, isCovered, isHeld } from "./bundle-claims.ts";
import { forEach, takeBlobs } from "./bundle-intake.ts";
import type { BaseLink, BundledRepository, LeftOutBlob } from "./bundle-manifest.ts";
import type { BundleReader, ReadBundle } from "./bundle-reader.ts";
import { inOrder } from "./in-order.ts";
import { manifestBytes, planManifests } from "./manifest-plan.ts";

export interface ImportOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly reader: BundleReader;
  /** The bundle must be signed with its other half. */
  readonly verifyKey?: KeyObject | undefined;
  /** Tags that are here keep what they mean, however old. */
  readonly keepTags: boolean;
  readonly signal: AbortSignal;
  /** Now and then. */
  readonly onBytes?: (doneBytes: number, totalBytes: number) => void;
}

export interface ImportResult {
  readonly id: Digest;
  readonly isSigned: boolean;
  readonly keptCount: number;
  readonly keptBytes: number;
  /** Blobs that were here already; not read again where they could be passed over, and all that the bundle says of them was known. */
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

const tagsAtOnce = 8;
const foreignCure = "have them carried (export without --since), or sign the bundle and import with --verify-key";

/** The bundle builds on something that is not here. Nothing was imported. */
export class BaseMissing extends Error {
  readonly missing: readonly LeftOutBlob[];
  /** What has to be imported first, the oldest first; or the receipt that promised what is gone. */
  readonly links: readonly BaseLink[];

  /** `absent`: not here at all; `foreign`: here, and not what clients of the bundle's registries may be given. */
  constructor(bundle: ReadBundle, { absent, foreign }: { readonly absent: readonly LeftOutBlob[]; readonly foreign: readonly LeftOutBlob[] }) {
    const links = bundle.base?.links.filter((_, at) => absent.some(({ link }) => link === at)) ?? [];
    const words = links.map(linkWords);
    if (foreign.length > 0) words.push(`${foreign.length} of them are held for other registries only: ${foreignCure}`);
    super(`bundle ${bundle.id} leaves out ${absent.length + foreign.length} blobs that are not here: ${words.join("; ")}`);
    this.name = "BaseMissing";
    this.missing = [...absent, ...foreign];
    this.links = links;
  }
}

/**
 * Throws `BundleRefused` or `DepositRefused` naming what is wrong, `BaseMissing`, `StoreUnwritable`, and the signal's reason. No image
 * that is not whole can be seen then.
 */
export async function importBundle(given: ImportOptions): Promise<ImportResult> {
  const { reader, verifyKey, store, clock } = given;
  await using brought = new BroughtBlobs({ store, clock });
  const options = { ...given, deposits: new Deposits({ store, clock }), brought };
  const bundle = await reader.manifest({ verifyKey });
  await checkBase(bundle, options);
  for (const { digest } of bundle.leftOut) brought.add(digest);
  for (const file of bundle.files) await reader.file(file);
  const { keptCount, keptBytes } = await takeBlobs(bundle.blobs, options);
  await reader.end();
  const manifestCount = await publish(bundle, options);
  const wanted = bundle.repositories.flatMap(({ repository, tags }) => tags.map((tag) => ({ repository, ...tag })));
  const tags = await Array.fromAsync(inOrder(wanted, { atOnce: tagsAtOnce, run: (tag) => setTag(tag, options) }), ({ result }) => result);
  for (const { repository, manifests } of bundle.repositories) {
    await options.deposits.confirm(
      repository,
      manifests.map(({ digest }) => digest),
    );
  }
  const { id, isSigned, blobs } = bundle;
  return { id, isSigned, keptCount, keptBytes, heldCount: blobs.length - keptCount, manifestCount, tags };
}

interface Import extends ImportOptions {
  readonly deposits: Deposits;
}

/** A signature that was checked vouches for what is left out; without one it must be these registries' already. */
async function checkBase(bundle: ReadBundle, options: Import): Promise<void> {
  const { store, verifyKey } = options;
  const absent: LeftOutBlob[] = [];
  const foreign: LeftOutBlob[] = [];
  for (const blob of bundle.leftOut) {
    if (!(await isHeld(blob, store))) absent.push(blob);
    else if (verifyKey === undefined && !(await isCovered(blob, store))) foreign.push(blob);
  }
  if (absent.length + foreign.length > 0) throw new BaseMissing(bundle, { absent, foreign });
  if (verifyKey !== undefined) await forEach(bundle.leftOut, (blob) => believe(blob, options));
}

/** The content has been checked, and it is known whose it is; now images become visible. */
async function publish(bundle: ReadBundle, options: Import): Promise<number> {
  const { store, deposits, signal } = options;
  const waves = await planManifests(bundle, store);
  await forEach([...bundle.blobs, ...bundle.leftOut], (blob) => checkStillCovered(blob, store));
  for (const wave of waves) {
    await forEach(wave, async ({ repository, digest, mediaType }) => {
      signal.throwIfAborted();
      await deposits.manifest(repository, { bytes: await manifestBytes(digest, store), mediaType, digest });
    });
  }
  return waves.reduce((count, wave) => count + wave.length, 0);
}

async function setTag(
  { repository, tag, digest, checkedAtMs }: BundledRepository["tags"][number] & Pick<BundledRepository, "repository">,
  { store, deposits, clock, keepTags }: Import,
): Promise<ImportedTag> {
  const name = `${repositoryName(repository)}:${tag}`;
  const known = await store.repositories.findTag(repository, tag);
  const isOther = known !== undefined && known.digest !== digest;
  if (isOther && (keepTags || known.checkedAtMs >= checkedAtMs)) return { name, digest: known.digest, verdict: "kept" };
  // The other side's clock may be ahead: a tag is not fresh for longer than one that was asked for now.
  await deposits.tag(repository, tag, digest, { checkedAtMs: Math.min(checkedAtMs, clock.now()) });
  return { name, digest, verdict: known === undefined ? "new" : isOther ? "moved" : "same" };
}

function linkWords({ kind, id, name }: BaseLink): string {
  if (kind === "bundle") return `import bundle ${id}${name === undefined ? "" : ` (${name})`} first`;
  return `receipt ${id} said that they are here; take a new receipt`;
}
