/** `ociregistry pin`, `ociregistry unpin`: what must stay, whatever is pruned or evicted. */
import { openCommandParts, type CommandParts } from "../command-parts.ts";
import { findDurationMs } from "../config/durations.ts";
import { loadConfig } from "../config/load.ts";
import { OciError } from "../oci/errors.ts";
import { readImageLists } from "../transfer/image-list.ts";
import { parseImageName } from "../transfer/image-name.ts";
import { pinImages, unpinImages, type PinTarget, type PinVerdict } from "../transfer/pinning.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";
import { untilStopped } from "./until-stopped.ts";

export interface PinCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  readonly does: "pin" | "unpin";
  /** Images by name. */
  readonly references: readonly string[];
  /** Lists of images. */
  readonly imageFile?: string;
  /** How long, as a duration. */
  readonly for?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

/** 0 when all of it was done; 1 when a list could not be read whole, or something cannot be pinned. Throws `ConfigError`, `OciError`. */
export async function pin(options: PinCommandOptions): Promise<number> {
  const { flags, io, does, references, imageFile, reason, json = false } = options;
  if (references.length === 0 && imageFile === undefined) throw misuse(`${does} wants to know what: ${does} IMAGE, or --image-file FILES`);
  const lastsMs = options.for === undefined ? undefined : findDurationMs(options.for);
  if (options.for !== undefined && lastsMs === undefined) throw misuse(`--for: "${options.for}" is not a duration, as 30d or 12h is`);
  if (lastsMs === 0) throw misuse(`--for: a pin of no time keeps nothing; \`ociregistry unpin\` ends one`);
  const { config } = await loadConfig({ environment: io.environment, flags });
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment });
  const { targets, hasProblems } = await readTargets(options, parts, stopping.signal);
  const untilMs = lastsMs === undefined ? undefined : parts.clock.now() + lastsMs;
  const verdicts = does === "pin" ? pinImages(parts.store, targets, { untilMs, reason }) : unpinImages(parts.store, targets);
  let isGood = !hasProblems;
  for await (const verdict of verdicts) {
    stopping.signal.throwIfAborted();
    if (verdict.verdict === "refused") isGood = false;
    tell(verdict, { io, json });
  }
  return isGood ? exitCodes.done : exitCodes.failed;
}

async function readTargets(
  { io, references, imageFile }: PinCommandOptions,
  { names }: CommandParts,
  signal: AbortSignal,
): Promise<{ readonly targets: readonly PinTarget[]; readonly hasProblems: boolean }> {
  const named = references.map((written) => readName(written, names));
  if (imageFile === undefined) return { targets: named, hasProblems: false };
  const lists = await readImageLists([imageFile], { names, standardInput: () => io.input(), signal });
  for (const { file, line, message } of lists.problems) io.writeError(`ociregistry: ${line === 0 ? file : `${file}:${line}`}: ${message}\n`);
  for (const file of lists.archives) io.writeError(`ociregistry: ${file}: holds images, and is no list of them\n`);
  return { targets: [...named, ...lists.references], hasProblems: lists.problems.length + lists.archives.length > 0 };
}

/** What somebody typed: a name that is none is misuse. */
function readName(written: string, names: CommandParts["names"]): PinTarget {
  try {
    return parseImageName(written, names);
  } catch (error) {
    if (error instanceof OciError) throw misuse(`${written.slice(0, 300)}: ${error.message}`);
    throw error;
  }
}

function tell(told: PinVerdict, { io, json }: { readonly io: CommandIo; readonly json: boolean }): void {
  const { name, verdict, isHeld, reason, untilMs, left = [] } = told;
  const until = untilMs === undefined ? undefined : `${new Date(untilMs).toISOString().slice(0, 19)}Z`;
  if (json) return io.writeOut(`${JSON.stringify({ name, verdict, held: isHeld, reason, until, left: left.length > 0 ? left : undefined })}\n`);
  if (verdict === "refused") return io.writeError(`ociregistry: ${name}: ${reason ?? "refused"}\n`);
  const more = verdict === "absent" ? ": was not pinned" : isHeld === false ? ": not held yet" : "";
  const stays = left.length > 0 ? `: the image stays pinned as ${left.join(", ")}` : "";
  io.writeOut(`${verdict === "absent" ? "unpinned" : verdict} ${name}${until === undefined ? "" : ` until ${until}`}${more}${stays}\n`);
}
