/** The two sides of an air gap, each with a store and a cache of its own that asks nobody; and what is carried between them. */
import type { KeyObject } from "node:crypto";
import { stat } from "node:fs/promises";
import { Deposits } from "../../src/cache/deposits.ts";
import type { Platform } from "../../src/oci/platform.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { repositoryName, type Repository } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { findBundleParts } from "../../src/transfer/bundle-parts.ts";
import { BundleReader } from "../../src/transfer/bundle-reader.ts";
import { openFiles } from "../../src/transfer/byte-source.ts";
import { exportBundle, type ExportOptions, type ExportResult } from "../../src/transfer/export.ts";
import { importBundle, type ImportResult } from "../../src/transfer/import.ts";
import { formatReceipt, parseReceipt, type Receipt } from "../../src/transfer/receipt.ts";
import type { BuiltImage, BuiltIndex } from "./images.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache, type TestCache } from "./test-cache.ts";

export interface Side extends TestCache {
  readonly deposits: Deposits;
  readonly keep: (name: string, image: BuiltImage | BuiltIndex, options?: { readonly checkedAtMs?: number }) => Promise<void>;
}

/** An empty store of its own. */
export async function openSide(): Promise<Side> {
  const cache = await startTestCache({ upstreams: [], freshness: { airGapped: true } });
  const deposits = new Deposits({ store: cache.store, clock: cache.store.clock });
  return Object.assign(cache, {
    deposits,
    async keep(name: string, image: BuiltImage | BuiltIndex, { checkedAtMs = 1_700_000_000_000 }: { readonly checkedAtMs?: number } = {}) {
      const { repository, tag } = named(name);
      const parts = "images" in image ? [...image.images, image] : [image];
      for (const part of parts) {
        for (const [digest, bytes] of part.blobs) await deposits.blob(repository.host, { digest, sizeBytes: bytes.byteLength }, pieces(bytes));
        await deposits.manifest(repository, { bytes: part.manifest.bytes, mediaType: part.manifest.descriptor.mediaType });
      }
      if (tag !== undefined) await deposits.tag(repository, parseTag(tag), image.manifest.descriptor.digest, { checkedAtMs });
    },
  });
}

export interface ExportTo extends Partial<Omit<ExportOptions, "images" | "target" | "since">> {
  /** `host/path:tag` or `host/path@digest` */
  readonly images: readonly string[];
  readonly output: string;
  readonly partBytes?: number;
  readonly since?: Receipt;
  readonly signKey?: KeyObject;
  readonly platforms?: readonly Platform[] | "all" | "held";
}

/** Exports, with nobody to ask. */
export async function exportFrom(side: Side, { images, output, partBytes, since, ...more }: ExportTo): Promise<ExportResult> {
  return await exportBundle({
    store: side.store,
    registry: side.cache,
    signal: AbortSignal.timeout(60_000),
    platforms: "held",
    platformsOtherwise: [{ os: "linux", architecture: "amd64" }],
    referrers: true,
    load: undefined,
    name: "images.tar",
    ...more,
    images: images.map((name) => {
      const { repository, tag, reference } = named(name);
      return { repository, reference: parseReference(reference), tags: tag === undefined ? [] : [parseTag(tag)] };
    }),
    since: since && parseReceipt(formatReceipt(since)),
    target: { output, partBytes, standardOutput: () => expectNoPipe() },
  });
}

/** The same, where it has to succeed. */
export async function exported(side: Side, options: ExportTo): Promise<Extract<ExportResult, { kind: "written" }>> {
  const result = await exportFrom(side, options);
  if (result.kind === "written") return result;
  throw new Error(`lacking: ${JSON.stringify(result.lacking)}`);
}

export async function importInto(
  side: Side,
  path: string,
  { verifyKey, keepTags = false }: { verifyKey?: KeyObject; keepTags?: boolean } = {},
): Promise<ImportResult> {
  const { parts, next } = await findBundleParts(path);
  await using source = await openFiles(parts);
  const reader = new BundleReader({ source, next });
  return await importBundle({
    store: side.store,
    clock: side.store.clock,
    reader,
    verifyKey,
    keepTags,
    signal: AbortSignal.timeout(60_000),
  });
}

/** Pulls all of an image and compares every byte. Rejects when something is not there. */
export async function pullsWhole(side: Side, name: string, image: BuiltImage | BuiltIndex): Promise<boolean> {
  const { repository, reference } = named(name);
  const root = await pullManifest(side, repository, reference);
  if (!Buffer.from(root.bytes).equals(image.manifest.bytes)) return false;
  for (const part of "images" in image ? image.images : [image]) {
    const manifest = await pullManifest(side, repository, part.manifest.descriptor.digest);
    if (!Buffer.from(manifest.bytes).equals(part.manifest.bytes)) return false;
    for (const [digest, bytes] of part.blobs) if (!(await pullBlob(side, repository, digest)).bytes.equals(bytes)) return false;
  }
  return true;
}

/** Everything that can be seen in a store: `host/path:tag`, and how many manifests each repository holds. */
export async function seenIn({ store }: Side, names: readonly string[]): Promise<readonly string[]> {
  const seen: string[] = [];
  for (const repository of new Map(names.map((name) => [repositoryName(named(name).repository), named(name).repository])).values()) {
    for (const tag of await store.repositories.listTags(repository)) seen.push(`${repositoryName(repository)}:${tag}`);
    for await (const digest of store.repositories.manifestDigests(repository)) seen.push(`${repositoryName(repository)}@${digest}`);
  }
  return seen.toSorted();
}

export async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size;
}

function named(name: string): { repository: Repository; tag: string | undefined; reference: string } {
  const [, host = "", path = "", mark, reference = ""] = /^([^/]+)\/([^:@]+)([:@])(.+)$/.exec(name) ?? [];
  return { repository: repositoryAt(host, path), tag: mark === ":" ? reference : undefined, reference };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function expectNoPipe(): never {
  throw new Error("this bundle goes to a file");
}
