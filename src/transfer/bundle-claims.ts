/**
 * What a bundle claims of a blob: that certain registries delivered it, and perhaps that everybody may have it. Whoever knows a digest
 * can write such a claim: it is believed of bytes that came with the bundle, of what this store says too, and where a key was checked.
 */
import { smallBytesMax } from "../cache/blob-store.ts";
import type { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { BundledBlob } from "./bundle-manifest.ts";
import { BundleRefused } from "./bundle-refused.ts";
import { isPublic } from "./image-gathering.ts";

/** Whether the blob is here, by the rule of a pull: small ones by their digest, others by their length. */
export async function isHeld({ digest, sizeBytes }: Pick<BundledBlob, "digest" | "sizeBytes">, { blobs }: Store): Promise<boolean> {
  if (sizeBytes <= smallBytesMax) return (await blobs.readBytes(digest))?.byteLength === sizeBytes;
  const blob = await blobs.open(digest, sizeBytes);
  blob?.release();
  return blob !== undefined;
}

/** Whether clients of all its registries may be given it here already. */
export async function isCovered({ digest, hosts }: Pick<BundledBlob, "digest" | "hosts">, { provenance }: Store): Promise<boolean> {
  for (const host of hosts) if (!(await provenance.covers(host, digest))) return false;
  return true;
}

/** Whether the blob is here, and nothing that the bundle claims of it is new. */
export async function isKnown(blob: BundledBlob, store: Store): Promise<boolean> {
  return (await isCovered(blob, store)) && (!blob.isPublic || (await isPublic(store, blob.digest))) && (await isHeld(blob, store));
}

/** Writes that what the bundle claims of a blob that is here is so. Throws `BundleRefused` when it is not here any more, and `StoreUnwritable`. */
export async function believe({ digest, sizeBytes, hosts, isPublic: isForAll }: BundledBlob, { store, deposits }: BelieveOptions): Promise<void> {
  for (const host of hosts) {
    if (!(await deposits.vouch(host, { digest, sizeBytes }))) throw removedMeanwhile({ digest });
    if (isForAll) await store.provenance.record(host, digest, { isPublic: true });
  }
}

/** Throws `BundleRefused` when the blob is not here any more, or not covered; if it is, whoever was about to remove it leaves it. */
export async function checkStillCovered(blob: BundledBlob, store: Store): Promise<void> {
  if (!(await isHeld(blob, store)) || !(await store.blobs.touch(blob.digest)) || !(await isCovered(blob, store))) throw removedMeanwhile(blob);
}

interface BelieveOptions {
  readonly store: Store;
  readonly deposits: Deposits;
}

function removedMeanwhile({ digest }: Pick<BundledBlob, "digest">): BundleRefused {
  return new BundleRefused(`${digest} was removed from the store meanwhile: import the bundle again`);
}
