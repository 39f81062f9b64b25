/**
 * exportBundle: images out of this store as a bundle that another store takes, whole or, with a receipt of what the other side holds,
 * only what that lacks.
 */
import type { KeyObject } from "node:crypto";
import { digestOf, type Digest } from "../oci/digest.ts";
import { bundleEntries, indexFile, layoutFile } from "./bundle-layout.ts";
import {
  formatBundleManifest,
  type BaseLink,
  type BundleBase,
  type BundledBlob,
  type BundledRepository,
  type BundleManifest,
  type LeftOutBlob,
} from "./bundle-manifest.ts";
import { writeBundle, type BundleTarget } from "./bundle-output.ts";
import type { BundlePart } from "./bundle-parts.ts";
import { bundleBytes } from "./bundle-writing.ts";
import { gatherImages, isPublic, type Gathered, type GatheringOptions, type Lacking, type WantedImage } from "./image-gathering.ts";
import type { Receipt } from "./receipt.ts";

export interface ExportOptions extends GatheringOptions {
  readonly images: readonly WantedImage[];
  readonly target: BundleTarget;
  /** What the other side holds: it is left out. */
  readonly since?: (Receipt & { readonly id: Digest }) | undefined;
  readonly signKey?: KeyObject | undefined;
  /** The bundle's name, for receipts. */
  readonly name: string;
  /** After each blob that was written. */
  readonly onBytes?: (doneBytes: number, totalBytes: number) => void;
}

export type ExportResult =
  | {
      readonly kind: "written";
      readonly id: Digest;
      /** Of those that were asked for. */
      readonly imageCount: number;
      readonly blobCount: number;
      readonly blobBytes: number;
      readonly leftOutCount: number;
      readonly leftOutBytes: number;
      /** None for a pipe. */
      readonly parts: readonly BundlePart[];
      /** What the other side will hold once it has imported this: for the next export. */
      readonly receipt: Receipt;
      readonly notices: readonly string[];
    }
  /** Nothing was written. */
  | { readonly kind: "lacking"; readonly lacking: readonly Lacking[]; readonly notices: readonly string[] };

/** Throws `BlobUnreadable` for what is wrong on this disk, the system's error where the target cannot be written, and the signal's reason. */
export async function exportBundle(options: ExportOptions): Promise<ExportResult> {
  const { store, since, target, signKey, signal, name, onBytes } = options;
  const gathered = await gatherImages(options.images, options);
  const { lacking, notices } = gathered;
  if (lacking.length > 0) return { kind: "lacking", lacking, notices };
  const { manifest, files } = await describeBundle(gathered, { store, since });
  const { blobs, leftOut } = manifest;
  const manifestBytes = formatBundleManifest(manifest);
  const id = digestOf(manifestBytes);
  const blobBytes = sumOf(blobs);
  let doneBytes = 0;
  const onBlob = ({ sizeBytes }: BundledBlob): void => onBytes?.((doneBytes += sizeBytes), blobBytes);
  const parts = await writeBundle(bundleBytes({ manifest: manifestBytes, files, blobs, signKey }, { store, signal, onBlob }), target);
  return {
    kind: "written",
    id,
    imageCount: options.images.length,
    blobCount: blobs.length,
    blobBytes,
    leftOutCount: leftOut.length,
    leftOutBytes: sumOf(leftOut),
    parts,
    receipt: nextReceipt(since, { kind: "bundle", id, name }, blobs),
    notices,
  };
}

/** What the bundle will hold, in its order. */
async function describeBundle(
  gathered: Gathered,
  { store, since }: Pick<ExportOptions, "store" | "since">,
): Promise<{ manifest: BundleManifest; files: readonly { name: string; bytes: Buffer }[] }> {
  const linkOf = new Map(since?.links.flatMap(({ digests }, link) => digests.map((digest) => [digest, link] as const)));
  const blobs: BundledBlob[] = [];
  const leftOut: LeftOutBlob[] = [];
  for (const [digest, { sizeBytes, hosts }] of [...gathered.blobs].sort(byFirst)) {
    const blob = { digest, sizeBytes, hosts: [...hosts].sort(), isPublic: await isPublic(store, digest) };
    const link = linkOf.get(digest);
    if (link === undefined) blobs.push(blob);
    else leftOut.push({ ...blob, link });
  }
  const repositories = [...gathered.repositories].sort(byFirst).map(([, { repository, manifests, tags }]): BundledRepository => ({
    repository,
    manifests: [...manifests].sort(byFirst).map(([digest, { mediaType }]) => ({ digest, mediaType })),
    tags: [...tags].sort(byFirst).map(([tag, { digest, checkedAtMs }]) => ({ tag, digest, checkedAtMs })),
  }));
  const files = layoutFiles(gathered, { carried: new Set(blobs.map(({ digest }) => digest)), isSparse: leftOut.length > 0 });
  const named = files.map(({ name, bytes }) => ({ name, digest: digestOf(bytes), sizeBytes: bytes.byteLength }));
  return { manifest: { files: named, blobs, leftOut, repositories, ...(since ? { base: baseOf(since) } : {}) }, files };
}

/** The layout lists an image if its manifest is carried: the rest of a sparse one may lie on the other side. */
function layoutFiles(gathered: Gathered, { carried, isSparse }: { readonly carried: ReadonlySet<Digest>; readonly isSparse: boolean }) {
  const listed = [...gathered.repositories].sort(byFirst).flatMap(([, { repository, manifests, roots, tags }]) =>
    [...new Set([...roots, ...[...tags.values()].map(({ digest }) => digest)])].sort().flatMap((digest) => {
      const manifest = manifests.get(digest);
      const names = [...tags].flatMap(([tag, record]) => (record.digest === digest ? [tag] : [])).sort();
      return manifest && carried.has(digest) ? [{ repository, tags: names, descriptor: { digest, ...manifest } }] : [];
    }),
  );
  return [
    { name: bundleEntries.layout, bytes: layoutFile() },
    { name: bundleEntries.index, bytes: indexFile(listed, { isSparse }) },
  ];
}

function baseOf({ id, links }: Receipt & { readonly id: Digest }): BundleBase {
  return { receipt: id, links: links.map(({ source }): BaseLink => source ?? { kind: "receipt", id }) };
}

/** What was there already, and what this bundle brings. */
function nextReceipt(since: (Receipt & { readonly id: Digest }) | undefined, source: BaseLink, blobs: readonly BundledBlob[]): Receipt {
  const earlier = since?.links.map(({ source: from, digests }) => ({ source: from ?? ({ kind: "receipt", id: since.id } as const), digests })) ?? [];
  return { links: [...earlier, { source, digests: blobs.map(({ digest }) => digest) }] };
}

function sumOf(blobs: readonly BundledBlob[]): number {
  return blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** By the bytes of the keys: the same everywhere. */
function byFirst(one: readonly [string, unknown], other: readonly [string, unknown]): number {
  return one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0;
}
