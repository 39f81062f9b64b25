/** `ociregistry verify`: whether what is held is right and whole, and whether what a list names would start with no network. */
import { openCommandParts, type CommandParts } from "../command-parts.ts";
import { loadConfig } from "../config/load.ts";
import { findSizeBytes } from "../config/sizes.ts";
import { platformName, type Platform } from "../oci/platform.ts";
import { readImageLists, type ListedReference } from "../transfer/image-list.ts";
import { verifyListed, verifyStore, type VerifyFinding, type VerifyProgress, type VerifySummary } from "../transfer/verify.ts";
import { countText, sizeText, timeText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { LiveLines } from "./live-lines.ts";
import { misuse } from "./misuse.ts";
import { platformsOf } from "./platform-flag.ts";
import { untilStopped } from "./until-stopped.ts";

export interface VerifyCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  readonly repair?: boolean;
  /** Lists; without them all that is held is verified. */
  readonly images?: string | undefined;
  /** `linux/amd64,linux/arm64`, or `all`. */
  readonly platform?: string | undefined;
  /** Bytes a second; in place of what the configuration says. */
  readonly rate?: string | undefined;
  /** Files at once. */
  readonly jobs?: string | undefined;
  readonly json?: boolean;
}

interface Wanted {
  readonly platforms: readonly Platform[] | "all" | undefined;
  readonly bytesPerSecond: number;
  readonly jobs: number;
}

const jobsDefault = 2;
const jobsMax = 32;
/** Where nobody can take a line back, it is told this often how far it is. */
const tellEveryMs = 10_000;

/** 0 when all is well, else 1: something is damaged and was not repaired, or something of the list, or on an island of anything, is missing. Throws `ConfigError`. */
export async function verify(options: VerifyCommandOptions): Promise<number> {
  const { flags, io, images } = options;
  const { config } = await loadConfig({ environment: io.environment, flags });
  const wanted: Wanted = { platforms: platformsOf(options.platform), bytesPerSecond: rateOf(options) ?? config.verify.bytesPerSecond, jobs: jobsOf(options) };
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment });
  const { signal } = stopping;
  if (images === undefined) return await verifyHeld(parts, { ...options, ...wanted, signal });
  const lists = await readImageLists([images], { names: parts.names, standardInput: () => io.input(), signal });
  const notLists = lists.archives.map((file) => ({ file, line: 0, message: "an archive of images, not a list" }));
  const problems = [...lists.problems, ...notLists];
  for (const { file, line, message } of problems) io.writeError(`ociregistry: ${file}${line === 0 ? "" : `:${line}`}: ${message}\n`);
  const code = await verifyList(parts, lists.references, { ...options, ...wanted, platforms: wanted.platforms ?? config.platforms, signal });
  return problems.length > 0 ? exitCodes.failed : code;
}

interface RunOptions extends Omit<VerifyCommandOptions, "jobs" | "rate">, Wanted {
  readonly signal: AbortSignal;
}

async function verifyHeld(parts: CommandParts, options: RunOptions): Promise<number> {
  const { platforms, json = false, io } = options;
  const telling = new Telling(options);
  try {
    const summary = await verifyStore({
      ...shared(parts, options, telling),
      platforms: platforms === "all" ? undefined : platforms,
      bytesPerSecond: options.bytesPerSecond,
      jobs: options.jobs,
      isAirGapped: parts.config.airGapped,
    });
    telling.end();
    if (json) io.writeOut(`${JSON.stringify({ kind: "summary", ...summary })}\n`);
    else io.writeOut(`${summary.images + summary.blobs + summary.unread === 0 ? `nothing is held in ${parts.config.imagePath}` : summaryText(summary)}\n`);
    return summary.isGood ? exitCodes.done : exitCodes.failed;
  } finally {
    telling.end();
  }
}

async function verifyList(
  parts: CommandParts,
  references: readonly ListedReference[],
  options: RunOptions & { platforms: readonly Platform[] | "all" },
): Promise<number> {
  const { json = false, io, platforms } = options;
  const telling = new Telling(options);
  try {
    const summary = await verifyListed(references, { ...shared(parts, options, telling), platforms });
    telling.end();
    if (json) io.writeOut(`${JSON.stringify({ kind: "summary", ...summary })}\n`);
    else io.writeOut(`${listText(summary, platforms)}\n`);
    // Of nothing nobody can say that it would start.
    return summary.isGood && summary.images > 0 ? exitCodes.done : exitCodes.failed;
  } finally {
    telling.end();
  }
}

function shared({ store, registry, clock }: CommandParts, { repair = false, signal }: RunOptions, telling: Telling) {
  return {
    store,
    registry,
    clock,
    repairs: repair,
    signal,
    onFinding: (finding: VerifyFinding) => telling.finding(finding),
    onProgress: (progress: VerifyProgress) => telling.progress(progress),
  };
}

/** Says what is found when it is found, and now and then how far it is. */
class Telling {
  readonly #io: CommandIo;
  readonly #json: boolean;
  readonly #live: LiveLines;
  /** Nobody wants to know how far it is before it has taken long. */
  #toldAtMs = performance.now();
  #isBack = false;

  constructor({ io, json = false }: Pick<VerifyCommandOptions, "io" | "json">) {
    this.#io = io;
    this.#json = json;
    this.#live = new LiveLines(io);
  }

  finding(finding: VerifyFinding): void {
    const text = this.#json ? JSON.stringify(finding) : linesOf(finding).join("\n");
    this.#live.above(() => this.#io.writeOut(`${text}\n`));
  }

  progress({ images, blobs, bytes }: VerifyProgress): void {
    const text = `verified so far: ${countText(images, "image")}${blobs === 0 ? "" : `, ${countText(blobs, "blob")}, ${sizeText(bytes)}`}`;
    this.#live.set("progress", text);
    // A server may run on the same machine: from the first answer on it goes first.
    if (!this.#isBack) this.#io.stepBack();
    this.#isBack = true;
    if (this.#io.isTerminal || performance.now() - this.#toldAtMs < tellEveryMs) return;
    this.#toldAtMs = performance.now();
    this.#io.writeError(`ociregistry: ${text}\n`);
  }

  end(): void {
    this.#live.end();
  }
}

function linesOf(finding: VerifyFinding): readonly string[] {
  switch (finding.kind) {
    case "damaged": {
      const { digest, sizeBytes, found, quarantinedAt } = finding;
      const where = quarantinedAt === undefined ? "it cannot be put aside" : `put aside as ${quarantinedAt}`;
      return [`damaged     ${digest} ${sizeText(sizeBytes)}: its bytes are ${found}; ${where}`];
    }
    case "unreadable":
      return [`unreadable  ${finding.digest}: ${finding.reason}`];
    case "unread":
      return [`unread      ${finding.path}: it cannot be read (${finding.code}), and what lies there was not looked at`];
    case "owners": {
      const { digest, repositories } = finding;
      return [`${verdictOf(finding)} ${digest} of ${repositories.length === 0 ? "nobody" : repositories.join(", ")}${problemOf(finding)}`];
    }
    case "incomplete": {
      const { image, platform, missing, reason } = finding;
      const what = missing.map(
        ({ what: kind, digest, sizeBytes }) => `  ${kind.padEnd(9)} ${digest}${sizeBytes === undefined ? "" : ` ${sizeText(sizeBytes)}`}`,
      );
      const head = `${finding.isRepaired === undefined ? "incomplete " : verdictOf(finding)} ${image}${platform === undefined ? "" : ` ${platform}`}`;
      return [`${head}${reason === undefined ? `: ${countText(missing.length, "part")} missing` : `: ${reason}`}${problemOf(finding)}`, ...what];
    }
    default:
      return finding satisfies never;
  }
}

function verdictOf({ isRepaired }: { readonly isRepaired: boolean | undefined }): string {
  if (isRepaired === undefined) return "belongs to ";
  return isRepaired ? "repaired   " : "unrepaired ";
}

function problemOf({ problem }: { readonly problem?: string | undefined }): string {
  return problem === undefined ? "" : `: ${problem}`;
}

function summaryText({ images, blobs, bytes, incomplete, damaged, unreadable, unread, repaired, durationMs }: VerifySummary): string {
  const found = [
    ...(damaged > 0 ? [`${damaged} damaged`] : []),
    ...(unreadable > 0 ? [`${unreadable} unreadable`] : []),
    ...(unread > 0 ? [`${countText(unread, "path")} that cannot be read`] : []),
    ...(incomplete > 0 ? [`${countText(incomplete, "image")} incomplete`] : []),
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
  ];
  const verdict = found.length === 0 ? "all right" : found.join(", ");
  return `${countText(images, "image")}, ${countText(blobs, "blob")}, ${sizeText(bytes)} in ${timeText(durationMs)}: ${verdict}`;
}

function listText({ images, incomplete, isGood, repaired }: VerifySummary, platforms: readonly Platform[] | "all"): string {
  const where = platforms === "all" ? "all their platforms" : platforms.map(platformName).join(", ");
  if (images === 0) return "no image is named there";
  if (isGood) return `${countText(images, "image")}: all can be pulled with no network, for ${where}${repaired > 0 ? `; ${repaired} repaired` : ""}`;
  return `${countText(images, "image")}: ${incomplete - repaired} could not be pulled with no network, for ${where}`;
}

function rateOf({ rate }: VerifyCommandOptions): number | undefined {
  if (rate === undefined) return undefined;
  const bytes = findSizeBytes(rate);
  if (bytes === undefined) throw misuse(`--rate: "${rate}" is not a size such as 50MiB, for each second, or 0 for no bound`);
  return bytes === 0 ? Infinity : bytes;
}

function jobsOf({ jobs }: VerifyCommandOptions): number {
  if (jobs === undefined) return jobsDefault;
  const count = /^\d{1,3}$/.test(jobs) ? Number(jobs) : 0;
  if (count >= 1 && count <= jobsMax) return count;
  throw misuse(`--jobs: "${jobs}" is not a whole number from 1 to ${jobsMax}`);
}
