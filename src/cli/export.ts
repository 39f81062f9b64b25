/** `ociregistry export` */
import { readFile, rename, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { openCommandParts, type CommandParts } from "../command-parts.ts";
import { findDurationMs } from "../config/durations.ts";
import { compileGoPatterns } from "../config/go-patterns.ts";
import { loadConfig } from "../config/load.ts";
import { findSizeBytes } from "../config/sizes.ts";
import { digestOf } from "../oci/digest.ts";
import type { Platform } from "../oci/platform.ts";
import { repositoryName } from "../oci/repository.ts";
import { BundleRefused } from "../transfer/bundle-refused.ts";
import { readSigningKey } from "../transfer/bundle-signature.ts";
import { exportBundle, type ExportResult } from "../transfer/export.ts";
import type { GatheringOptions, WantedImage } from "../transfer/image-gathering.ts";
import { readImageLists } from "../transfer/image-list.ts";
import { loadImage } from "../transfer/image-load.ts";
import { loadPartsOf } from "../transfer/load.ts";
import { formatReceipt, parseReceipt, type Receipt } from "../transfer/receipt.ts";
import { Slots } from "../transfer/slots.ts";
import { findWanted } from "../transfer/wanted-images.ts";
import { countText, sizeText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { LiveLines } from "./live-lines.ts";
import { misuse } from "./misuse.ts";
import { platformsOf } from "./platform-flag.ts";
import { untilStopped } from "./until-stopped.ts";

export interface ExportCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** A file, or `-`. */
  readonly output: string;
  /** Lists of images. */
  readonly images?: readonly string[];
  /** Go's regular expressions, with commas between. */
  readonly pattern?: string;
  /** A duration. */
  readonly usedSince?: string;
  /** Platforms with commas between, or `all`. */
  readonly platform?: string;
  readonly referrers?: boolean;
  /** A receipt's file. */
  readonly since?: string;
  readonly partSize?: string;
  readonly signKey?: string;
  /** Where this export's own receipt goes. */
  readonly receipt?: string;
  readonly offline?: boolean;
  readonly json?: boolean;
}

const blobsAtOnce = 12;

/** 1 when something is missing and cannot be had: nothing is written then. Throws `ConfigError`, `BundleRefused`, and the disk's errors. */
export async function exportImages(options: ExportCommandOptions): Promise<number> {
  const { io, flags, output, json = false } = options;
  const asked = readFlags(options);
  const [signKey, since] = [await readKey(options.signKey), await readReceipt(options.since)];
  const { config } = await loadConfig({ environment: io.environment, flags });
  const canLoad = options.offline !== true && !config.airGapped;
  using stopping = untilStopped(io);
  const { signal } = stopping;
  await using parts = await openCommandParts({ config, environment: io.environment, makesStore: canLoad && options.images !== undefined });
  const { images, problems } = await wantedImages(options, asked, parts, signal);
  for (const problem of problems) io.writeError(`ociregistry: ${problem}\n`);
  if (images.length === 0 && problems.length > 0) return exitCodes.failed;
  if (images.length === 0) throw new Error("there is nothing to export: no image is held that was asked for");
  const live = new LiveLines(io);
  const result = await exportBundle({
    store: parts.store,
    registry: parts.registry,
    signal,
    images,
    platforms: asked.platforms ?? "held",
    platformsOtherwise: config.platforms,
    referrers: options.referrers ?? true,
    load: canLoad ? loaderOf(parts, options, { live, signal }) : undefined,
    since,
    signKey,
    name: output === "-" ? "-" : basename(output),
    target: { output, partBytes: asked.partBytes, standardOutput: () => io.output() },
    onImage: (image) => live.set(output, `gathered ${image}`),
    onBytes: (doneBytes, totalBytes) => live.set(output, `${output}: ${sizeText(doneBytes)} of ${sizeText(totalBytes)}`),
  }).finally(() => live.end());
  if (result.kind === "written") await writeReceipt(result.receipt, options.receipt ?? receiptNameOf(output));
  for (const notice of result.notices) io.writeError(`ociregistry: note: ${notice}\n`);
  tell(result, options, json);
  return result.kind === "lacking" || problems.length > 0 ? exitCodes.failed : exitCodes.done;
}

interface ReadFlags {
  readonly usedSinceMs: number | undefined;
  readonly partBytes: number | undefined;
  readonly platforms: readonly Platform[] | "all" | undefined;
  readonly matches: ((name: string) => boolean) | undefined;
}

/** Throws `ConfigError`, misuse. */
function readFlags({ images, pattern, usedSince, platform, partSize, output }: ExportCommandOptions): ReadFlags {
  if (images && (pattern !== undefined || usedSince !== undefined))
    throw misuse("--images says which images; --pattern and --used-since choose among those that are held");
  const usedSinceMs = usedSince === undefined ? undefined : findDurationMs(usedSince);
  if (usedSince !== undefined && usedSinceMs === undefined) throw misuse(`--used-since: "${usedSince}" is not a duration, as 30d or 12h is`);
  const partBytes = partSize === undefined ? undefined : findSizeBytes(partSize);
  if (partSize !== undefined && (partBytes === undefined || partBytes < partBytesMin))
    throw misuse(`--part-size: "${partSize}" is not a size, as 4GiB is, of at least 64KiB`);
  if (partBytes !== undefined && output === "-") throw misuse("--part-size: a pipe has no parts");
  return { usedSinceMs, partBytes, platforms: platformsOf(platform), matches: pattern === undefined ? undefined : compileGoPatterns(pattern) };
}

const partBytesMin = 64 * 1024;

async function wantedImages(
  { images, io }: ExportCommandOptions,
  { usedSinceMs, matches }: ReadFlags,
  { images: held, names, clock }: CommandParts,
  signal: AbortSignal,
): Promise<{ readonly images: readonly WantedImage[]; readonly problems: readonly string[] }> {
  if (images) {
    const { references, archives, problems } = await readImageLists(images, { names, standardInput: () => io.input(), signal });
    const notLists = archives.map((archive) => `${archive} is an archive of images, not a list: \`ociregistry load\` takes it`);
    const told = problems.map(({ file, line, message }) => `${file}${line === 0 ? "" : `:${line}`}: ${message}`);
    return {
      images: references.map(({ repository, reference, tag }) => ({ repository, reference, tags: tag === undefined ? [] : [tag] })),
      problems: [...told, ...notLists],
    };
  }
  const usedAfterMs = usedSinceMs === undefined ? -Infinity : clock.now() - usedSinceMs;
  return { images: await findWanted({ images: held, matches, usedAfterMs, signal }), problems: [] };
}

/** What is missing is loaded as `load` does it, through the cache that serves. */
function loaderOf(
  parts: CommandParts,
  { referrers = true, io }: ExportCommandOptions,
  { live, signal }: { readonly live: LiveLines; readonly signal: AbortSignal },
): GatheringOptions["load"] {
  const common = { slots: new Slots(blobsAtOnce), fetched: new Set<string>() };
  const loading = loadPartsOf(parts);
  return async ({ repository, reference }, platforms) => {
    const { fetchedBytes, notes, digest } = await loadImage(repository, reference, loading, { platforms, referrers, dryRun: false, signal, ...common });
    live.above(() => {
      io.writeError(`fetched ${repositoryName(repository)}@${digest}, ${sizeText(fetchedBytes)}\n`);
      for (const note of notes) io.writeError(`ociregistry: note: ${note}\n`);
    });
  };
}

async function readKey(path: string | undefined) {
  return path === undefined ? undefined : readSigningKey(await readFile(path, "utf8"));
}

async function readReceipt(path: string | undefined) {
  if (path === undefined) return undefined;
  try {
    return parseReceipt(await readFile(path));
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error;
    throw new BundleRefused(`${path}: ${error.message}`, { cause: error });
  }
}

/** Beside the bundle: `images.tar.zst` -> `images.receipt.json`. */
function receiptNameOf(output: string): string | undefined {
  return output === "-" ? undefined : `${output.replace(/\.tar(\.zst)?$/, "")}.receipt.json`;
}

async function writeReceipt(receipt: Receipt, path: string | undefined): Promise<void> {
  if (path === undefined) return;
  await writeFile(`${path}.partial`, formatReceipt(receipt));
  await rename(`${path}.partial`, path);
}

/** Where the bundle itself goes to stdout, what is said of it goes to stderr. */
function tell(result: ExportResult, { io, output, since }: ExportCommandOptions, json: boolean): void {
  const write = (text: string): void => (output === "-" ? io.writeError(text) : io.writeOut(text));
  if (json) return write(`${JSON.stringify(resultOf(result), undefined, 2)}\n`);
  if (result.kind === "lacking") {
    for (const { image, digest, reason } of result.lacking) io.writeError(`ociregistry: ${image}: ${digest === undefined ? "" : `${digest} `}${reason}\n`);
    return io.writeError("ociregistry: nothing was exported\n");
  }
  const { id, imageCount, blobCount, blobBytes, leftOutCount, leftOutBytes, parts } = result;
  write(`bundle ${id}: ${countText(imageCount, "image")}, ${countText(blobCount, "blob")}, ${sizeText(blobBytes)}\n`);
  if (since !== undefined) write(`left out, by ${since}: ${countText(leftOutCount, "blob")}, ${sizeText(leftOutBytes)}\n`);
  for (const { path, sizeBytes } of parts) write(`${path} ${sizeBytes}\n`);
}

function resultOf(result: ExportResult): object {
  if (result.kind === "lacking") return { lacking: result.lacking };
  const { id, imageCount, blobCount, blobBytes, leftOutCount, leftOutBytes, parts, receipt } = result;
  const receiptId = digestOf(formatReceipt(receipt));
  return {
    id,
    images: imageCount,
    blobs: blobCount,
    blobBytes,
    leftOutBlobs: leftOutCount,
    leftOutBytes,
    files: parts.map(({ path, sizeBytes }) => ({ path, size: sizeBytes })),
    receipt: receiptId,
  };
}
