/** `ociregistry prune`: removes images, beside whoever serves; with --dry-run says which, why, and what that would free. */
import type { PruneDone, PrunedImage, PruneEvent, PruneProgress } from "../cache/eviction/prune.ts";
import type { StayingImage } from "../cache/eviction/staying.ts";
import { openCommandParts } from "../command-parts.ts";
import type { Config } from "../config/config.ts";
import { compileGoPatterns } from "../config/go-patterns.ts";
import { loadConfig } from "../config/load.ts";
import { isTimezone } from "../config/schedules.ts";
import { findZonedTimeMs } from "../config/zoned-time.ts";
import { repositoryName } from "../oci/repository.ts";
import { pruneStore, type AskedPrune } from "../pruning.ts";
import { countText, sizeText } from "./amounts.ts";
import { exitCodes, taken, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";
import { untilStopped } from "./until-stopped.ts";
import { WaitingLines } from "./waiting-lines.ts";

export interface PruneCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** Go's regular expressions, with commas between. */
  readonly pattern?: string;
  /** `YYYY-MM-DDTHH:MM:SS`, by a clock of the time zone. */
  readonly date?: string;
  readonly timezone?: string;
  /** Whatever `pruneConfig.dryRun` says, which decides without it. */
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** 0, also when there was nothing to prune. Throws `ConfigError` when nobody says what, and `PruneBusy` while another process prunes. */
export async function prune(options: PruneCommandOptions): Promise<number> {
  const { io, flags, json = false } = options;
  const { config } = await loadConfig({ environment: io.environment, flags });
  const { dryRun = config.prune.dryRun } = options;
  const asked = askedOf(options, config);
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment });
  using waiting = new WaitingLines({ io, clock: parts.clock, text: "looking through what is held" });
  const onProgress = (progress: PruneProgress): void => waiting.tell(progressText(progress), { isNews: progress.kind === "waiting" });
  let staying = 0;
  for await (const event of pruneStore(parts, { asked, dryRun, signal: stopping.signal, onProgress })) {
    waiting.clear();
    if (event.kind === "stays") staying += 1;
    io.writeOut(json ? `${JSON.stringify(jsonOf(event, staying))}\n` : textOf(event, { dryRun, staying, isAsked: asked !== undefined }));
    await taken(io);
  }
  return exitCodes.done;
}

/** What the flags say; undefined: what `pruneConfig` says is to be done now. */
function askedOf({ pattern, date, timezone }: PruneCommandOptions, { prune: { enabled, timezone: configured } }: Config): AskedPrune | undefined {
  const zone = timezone ?? configured;
  if (!isTimezone(zone)) throw misuse(`--timezone: "${zone}" is not a time zone such as Europe/Berlin or UTC`);
  const heldBeforeMs = date === undefined ? undefined : findZonedTimeMs(date, zone);
  if (date !== undefined && heldBeforeMs === undefined) throw misuse(`--date: "${date}" is not a date such as 2026-03-01T22:17:31`);
  if (pattern !== undefined && pattern.split(",").every((one) => one.trim() === "")) throw misuse("--pattern: there is none, and all images would be meant");
  if (pattern === undefined && date === undefined) {
    if (enabled) return undefined;
    throw misuse("prune wants to know what: --pattern, --date, or a configuration with pruneConfig.enabled");
  }
  return { matches: pattern === undefined ? undefined : compileGoPatterns(pattern), heldBeforeMs };
}

function progressText(progress: PruneProgress): string {
  if (progress.kind === "looking") return `looking through what is held: ${countText(progress.images, "image")} so far`;
  return "a process of another machine or container removes images, or died at it: waiting up to 75 s until it is done or known to be dead";
}

function textOf(event: PruneEvent, { dryRun, staying, isAsked }: { readonly dryRun: boolean; readonly staying: number; readonly isAsked: boolean }): string {
  if (event.kind === "image") return lineOf(event, dryRun);
  if (event.kind === "stays") return `stays ${namesOf(event).join(" ")}: ${event.why}\n`;
  return `${sumOf(event)}${isAsked ? whyNot(event.images, staying) : ""}\n`;
}

/** A pattern that matches nothing looks like one whose images are all pinned. */
function whyNot(images: number, staying: number): string {
  if (staying > 0) return `; ${countText(staying, "image")} ${staying === 1 ? "matches and stays" : "match and stay"}`;
  return images === 0 ? "; nothing matches" : "";
}

function lineOf(image: PrunedImage, dryRun: boolean): string {
  const what = image.isWhole ? sizeText(image.sizeBytes) : "only its name: the image has others";
  return `${dryRun ? "would prune" : "pruned"} ${namesOf(image).join(" ")} (${what}): ${image.why}\n`;
}

function sumOf({ dryRun, images, blobs, freedBytes }: PruneDone): string {
  const [prunes, frees] = dryRun ? ["would be pruned", "would be freed"] : ["pruned", "freed"];
  return `${countText(images, "image")} ${prunes}, ${countText(blobs, "file")} of ${sizeText(freedBytes)} ${frees}`;
}

function jsonOf(event: PruneEvent, staying: number): Readonly<Record<string, unknown>> {
  if (event.kind === "done") return { images: event.images, files: event.blobs, freedBytes: event.freedBytes, dryRun: event.dryRun, staying };
  if (event.kind === "stays") return { names: namesOf(event), digest: event.digest, stays: true, reason: event.why };
  const { digest, isWhole, why, sizeBytes } = event;
  return { names: namesOf(event), digest, whole: isWhole, reason: why, size: sizeBytes };
}

function namesOf({ repository, tags, digest }: PrunedImage | StayingImage): readonly string[] {
  const name = repositoryName(repository);
  return tags.length === 0 ? [`${name}@${digest}`] : tags.map((tag) => `${name}:${tag}`);
}
