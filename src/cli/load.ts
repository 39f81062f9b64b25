/** `ociregistry load`: brings here what lists name and archives hold. */
import { openCommandParts, type CommandParts } from "../command-parts.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import type { Platform } from "../oci/platform.ts";
import { repositoryName } from "../oci/repository.ts";
import { loadArchive, type LoadedArchive } from "../transfer/archive-load.ts";
import { readImageLists, type ImageLists, type ListedReference } from "../transfer/image-list.ts";
import { jobsMax, loadImages, loadPartsOf, type LoadedImage, type LoadParts } from "../transfer/load.ts";
import { countText, sizeText, timeText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { LiveLines } from "./live-lines.ts";
import { misuse } from "./misuse.ts";
import { platformsOf } from "./platform-flag.ts";
import { untilStopped } from "./until-stopped.ts";

export interface LoadCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** `linux/amd64,linux/arm64`, or `all`; in place of what the configuration says. */
  readonly platform?: string | undefined;
  /** Images at once. */
  readonly jobs?: string | undefined;
  readonly referrers?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** An archive, and what became of it. */
interface TriedArchive {
  readonly file: string;
  readonly loaded: LoadedArchive | undefined;
  readonly error: unknown;
}

interface Outcome {
  readonly lists: ImageLists;
  readonly images: readonly LoadedImage[];
  readonly archives: readonly TriedArchive[];
  readonly tookMs: number;
}

const jobsDefault = 4;

/** 0 when everything that was asked for is here (in a dry run: could be said of), else 1. Throws `ConfigError`. */
export async function load(options: LoadCommandOptions): Promise<number> {
  const { flags, io } = options;
  const { config } = await loadConfig({ environment: io.environment, flags });
  if (config.imageFile === undefined) throw misuse("load wants to know what: --image-file images.txt");
  const wanted = { platforms: wantedPlatforms(options, config), jobs: jobsOf(options) };
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment, makesStore: true });
  const outcome = await run(config.imageFile, parts, { ...options, ...wanted, resolveRef: config.resolveRef, signal: stopping.signal });
  tell(outcome, options);
  return isGood(outcome) ? exitCodes.done : exitCodes.failed;
}

interface RunOptions extends Omit<LoadCommandOptions, "jobs"> {
  readonly platforms: readonly Platform[] | "all";
  readonly jobs: number;
  readonly resolveRef: string | undefined;
  readonly signal: AbortSignal;
}

async function run(sources: string, parts: CommandParts, options: RunOptions): Promise<Outcome> {
  const { io, platforms, jobs, referrers = true, dryRun = false, json = false, signal } = options;
  const startedAtMs = parts.clock.elapsed();
  const lists = await readImageLists([sources], { names: parts.names, standardInput: () => io.input(), signal });
  if (options.resolveRef !== undefined && lists.archives.length > 1)
    throw misuse(`--resolve-ref says what one archive's image is called, and these are ${lists.archives.length}`);
  for (const { file, line, message } of lists.problems) io.writeError(`ociregistry: ${place({ file, line })}: ${message}\n`);
  const loadParts = loadPartsOf(parts);
  const live = new LiveLines(io);
  try {
    const archives: TriedArchive[] = [];
    for (const file of lists.archives) archives.push(await tryArchive(file, { lists, parts, deposits: loadParts.deposits, live, options }));
    const images = await loadImages(lists.references, loadParts, {
      platforms,
      jobs,
      referrers,
      dryRun,
      signal,
      onStart: (listed) => live.set(listed, `${listed.written}: looking`),
      onProgress: (listed, { hereBytes, sizeBytes }) => live.set(listed, `${listed.written}: ${sizeText(hereBytes)} of ${sizeText(sizeBytes)}`),
      onRetry: (listed, { error, delayMs }) => live.set(listed, `${listed.written}: ${error.message}; again in ${timeText(delayMs)}`),
      onEnd(loaded) {
        live.remove(loaded.listed);
        live.above(() => tellImage(loaded, { io, json }));
      },
    });
    return { lists, images, archives, tookMs: parts.clock.elapsed() - startedAtMs };
  } finally {
    live.end();
  }
}

interface ArchiveWork {
  readonly lists: ImageLists;
  readonly parts: CommandParts;
  readonly deposits: LoadParts["deposits"];
  readonly live: LiveLines;
  readonly options: RunOptions;
}

async function tryArchive(file: string, { lists, parts, deposits, live, options }: ArchiveWork): Promise<TriedArchive> {
  const { io, platforms, resolveRef, dryRun = false, json = false, signal } = options;
  const source = file === "-" && lists.input ? { stream: lists.input } : { path: file };
  try {
    signal.throwIfAborted();
    live.set(file, `${file}: reading`);
    const loaded = await loadArchive({
      source,
      deposits,
      names: parts.names,
      // What an archive was made for is what is wanted of it, unless somebody says otherwise.
      platforms: options.platform === undefined ? "all" : platforms,
      resolveRef,
      signal,
      dryRun,
      onProgress: (progress) => progress.kind === "entry" && live.set(file, `${file}: ${progress.path}, ${sizeText(progress.sizeBytes)}`),
    });
    live.remove(file);
    live.above(() => tellArchive(file, loaded, { io, json, dryRun }));
    return { file, loaded, error: undefined };
  } catch (error) {
    live.remove(file);
    live.above(() => io.writeError(`ociregistry: ${file}: ${reasonOf(error)}\n`));
    return { file, loaded: undefined, error };
  }
}

function tellArchive(file: string, { images, nameless }: LoadedArchive, { io, json, dryRun }: { io: CommandIo; json: boolean; dryRun: boolean }): void {
  for (const { digest, reason } of nameless) io.writeError(`ociregistry: ${file}: ${digest}: ${reason}\n`);
  for (const { repository, digest, lacking } of images)
    if (lacking.length > 0) io.writeError(`ociregistry: note: ${file}: ${repositoryName(repository)}@${digest} is not there for ${lacking.join(", ")}\n`);
  if (json) return;
  for (const { repository, tag, digest, wasHeld, blobBytes, newBytes } of images) {
    const verdict = wasHeld && newBytes === 0 ? "held" : dryRun ? "missing" : "loaded";
    const name = `${repositoryName(repository)}${tag === undefined ? `@${digest}` : `:${tag}`}`;
    io.writeOut(`${verdict.padEnd(8)} ${name} ${digest}  ${sizeText(blobBytes)}, ${sizeText(newBytes)} new, from ${file}\n`);
  }
}

function tellImage(image: LoadedImage, { io, json }: { io: CommandIo; json: boolean }): void {
  const { name, verdict, digest, notes, error, listed } = image;
  for (const note of notes) io.writeError(`ociregistry: note: ${name}: ${note}\n`);
  if (verdict === "failed") io.writeError(`ociregistry: ${place(listed)}: ${name}: ${reasonOf(error)}\n`);
  if (!json) io.writeOut(`${verdict.padEnd(8)} ${name}${digest === undefined ? "" : ` ${digest}`}${amounts(image)}\n`);
}

function amounts({ verdict, manifests, blobs, sizeBytes, fetchedBlobs, fetchedBytes, tookMs }: LoadedImage): string {
  const whole = `  ${countText(manifests, "manifest")}, ${countText(blobs, "blob")}, ${sizeText(sizeBytes)}`;
  if (verdict === "failed") return "";
  if (verdict === "held") return whole;
  if (verdict === "missing") return `${whole}; to fetch: ${countText(fetchedBlobs, "blob")}, ${sizeText(fetchedBytes)}`;
  return `${whole}; fetched: ${sizeText(fetchedBytes)} in ${timeText(tookMs)}`;
}

function tell({ lists, images, archives, tookMs }: Outcome, { io, json = false }: LoadCommandOptions): void {
  const count = (verdict: LoadedImage["verdict"]): number => images.filter((image) => image.verdict === verdict).length;
  const counts = { loaded: count("loaded"), held: count("held"), missing: count("missing"), failed: count("failed") };
  const fetchedBytes = images.reduce((sum, image) => sum + (image.verdict === "loaded" ? image.fetchedBytes : 0), 0);
  if (json) {
    const result = {
      images: images.map(jsonOf),
      archives: archives.map(archiveJsonOf),
      problems: lists.problems,
      summary: { ...counts, fetchedBytes, tookMs: Math.round(tookMs) },
    };
    return io.writeOut(`${JSON.stringify(result, undefined, 2)}\n`);
  }
  if (images.length === 0 && archives.length === 0) return io.writeError("ociregistry: no image is named there\n");
  const said = Object.entries(counts).flatMap(([verdict, number]) => (number > 0 || verdict === "failed" ? [`${number} ${verdict}`] : []));
  if (images.length > 0) io.writeError(`ociregistry: ${said.join(", ")}: ${sizeText(fetchedBytes)} fetched in ${timeText(tookMs)}\n`);
}

function jsonOf({ listed, error, ...image }: LoadedImage): object {
  return { ...image, written: listed.written, file: listed.file, line: listed.line, ...(error === undefined ? {} : { error: reasonOf(error) }) };
}

function archiveJsonOf({ file, loaded, error }: TriedArchive): object {
  const images = loaded?.images.map(({ repository, ...image }) => ({ repository: repositoryName(repository), ...image })) ?? [];
  return { file, images, nameless: loaded?.nameless ?? [], ...(error === undefined ? {} : { error: reasonOf(error) }) };
}

function isGood({ lists, images, archives }: Outcome): boolean {
  const isEmpty = images.length === 0 && archives.length === 0;
  const isBad = images.some(({ verdict }) => verdict === "failed") || archives.some(({ loaded }) => !loaded || loaded.nameless.length > 0);
  return !isEmpty && !isBad && lists.problems.length === 0;
}

function wantedPlatforms({ platform, flags }: LoadCommandOptions, config: Config): readonly Platform[] | "all" {
  return platformsOf(platform) ?? (flags.has("os") || flags.has("arch") ? [config.ownPlatform] : config.platforms);
}

function jobsOf({ jobs }: LoadCommandOptions): number {
  if (jobs === undefined) return jobsDefault;
  const count = /^\d{1,3}$/.test(jobs) ? Number(jobs) : 0;
  if (count < 1 || count > jobsMax) throw misuse(`--jobs: "${jobs}" is not a whole number from 1 to ${jobsMax}`);
  return count;
}

function place({ file, line }: Pick<ListedReference, "file" | "line">): string {
  return line === 0 ? file : `${file}:${line}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
