/** `ociregistry list`: what is held. */
import { openCommandParts } from "../command-parts.ts";
import { compileGoPatterns } from "../config/go-patterns.ts";
import { loadConfig } from "../config/load.ts";
import { findRegistryHost, type RegistryHost } from "../oci/repository.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { ImageSummary } from "../transfer/image-summary.ts";
import { listHeld, type ListingOptions } from "../transfer/listing.ts";
import { countText } from "./amounts.ts";
import { exitCodes, taken, type CommandIo } from "./command-io.ts";
import { headerOf, jsonOf, rowsOf, treeOf, type Row } from "./list-lines.ts";
import { misuse } from "./misuse.ts";
import { untilStopped } from "./until-stopped.ts";
import { WaitingLines } from "./waiting-lines.ts";

export interface ListCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** Go's regular expressions, with commas between; these three in place of `listConfig`. */
  readonly pattern?: string;
  readonly header?: boolean;
  readonly shortDigest?: boolean;
  readonly sort?: string;
  /** A registry, by any of its names. */
  readonly registry?: string;
  readonly complete?: boolean;
  readonly incomplete?: boolean;
  readonly json?: boolean;
  readonly tree?: boolean;
}

/** Rows that are aligned with each other: written when there are so many, or when the first has waited so long. */
const rowsAtOnce = 200;
const rowWaitMsMax = 300;
/** Whoever waits until so many have been looked through is told how far it is, or after so long. */
const quietImagesMax = 1_000;
const quietMsMax = 5_000;

/** Prints what is held: 0, also when it is nothing; 1 when something cannot be read, which is told and passed over. Throws `ConfigError`. */
export async function list(options: ListCommandOptions): Promise<number> {
  const { io, flags, json = false, tree = false } = options;
  const sort = sortOf(options);
  if (json && tree) throw misuse("--json and --tree: one of them");
  if (tree && options.header === true) throw misuse("--header names columns, and --tree has none");
  if (options.complete === true && options.incomplete === true) throw misuse("--complete and --incomplete: neither means both");
  const { config } = await loadConfig({ environment: io.environment, flags });
  const { header = config.list.header, shortDigest: isShort = config.list.shortDigest } = options;
  const expression = options.pattern ?? config.list.expr;
  const pattern = expression === undefined ? undefined : compileGoPatterns(expression, options.pattern === undefined ? { what: "listConfig.expr" } : {});
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment });
  using live = new WaitingLines({ io, clock: parts.clock, text: lookingText(0), afterMs: quietMsMax });
  let hasUnread = false;
  let isBack = false;
  /** A server may run on the same machine: from the first answer on it goes first. */
  const letOthersGoFirst = (): void => {
    if (!isBack) io.stepBack();
    isBack = true;
  };
  const listing: ListingOptions = {
    images: parts.images,
    pattern,
    registry: registryOf(options, parts.names),
    isComplete: options.complete === true ? true : options.incomplete === true ? false : undefined,
    sort,
    tellsOwn: json || tree,
    onProgress(looked) {
      live.tell(lookingText(looked), { isNews: looked === quietImagesMax });
      letOthersGoFirst();
    },
    onUnread({ path, code }) {
      hasUnread = true;
      live.above(() => io.writeError(`ociregistry: ${path} cannot be read (${code}): what lies there is not listed\n`));
    },
    signal: stopping.signal,
  };
  const printing: Printing = { io, live, onPrinted: letOthersGoFirst };
  const count = json
    ? await print(listing, printing, (summary) => io.writeOut(`${JSON.stringify(jsonOf(summary))}\n`))
    : tree
      ? await print(listing, printing, (summary) => io.writeOut(treeOf(summary, { isShort, nowMs: parts.clock.now() })))
      : await printRows(listing, { ...printing, isShort, pattern, header });
  if (count === 0) io.writeError(`ociregistry: ${isChosen(listing) ? "nothing that was asked for" : "no image"} is held in ${config.imagePath}\n`);
  return hasUnread ? exitCodes.failed : exitCodes.done;
}

function lookingText(images: number): string {
  return `looking through what is held: ${countText(images, "image")} so far`;
}

/** How many images there were. */
async function print(listing: ListingOptions, { io, live, onPrinted }: Printing, write: (summary: ImageSummary) => void): Promise<number> {
  let count = 0;
  for await (const summary of listHeld(listing)) {
    live.end();
    write(summary);
    count += 1;
    onPrinted();
    await taken(io);
  }
  return count;
}

interface Printing {
  readonly io: CommandIo;
  readonly live: WaitingLines;
  readonly onPrinted: () => void;
}

interface RowPrinting extends Printing {
  readonly isShort: boolean;
  readonly pattern: ListingOptions["pattern"];
  readonly header: boolean;
}

/** A row for each tag that matches. Columns grow with what comes: nobody waits for the last to see the first. */
async function printRows(listing: ListingOptions, { io, live, onPrinted, isShort, pattern, header }: RowPrinting): Promise<number> {
  let count = 0;
  let rows: Row[] = header ? [headerOf()] : [];
  let widths: readonly number[] = [];
  let sinceMs = performance.now();
  const write = (): void => {
    live.end();
    widths = headerOf().map((_, column) => Math.max(widths[column] ?? 0, ...rows.map((row) => row[column]?.length ?? 0)));
    for (const row of rows)
      io.writeOut(
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join(" ")
          .trimEnd()}\n`,
      );
    rows = [];
    onPrinted();
  };
  for await (const summary of listHeld(listing)) {
    count += 1;
    if (rows.length <= Number(header)) sinceMs = performance.now();
    rows.push(...rowsOf(summary, { isShort, pattern }));
    if (rows.length >= rowsAtOnce || performance.now() - sinceMs >= rowWaitMsMax) {
      write();
      await taken(io);
    }
  }
  write();
  return count;
}

function sortOf({ sort }: ListCommandOptions): ListingOptions["sort"] {
  if (sort === undefined || sort === "name" || sort === "used" || sort === "size") return sort;
  throw misuse(`--sort: "${sort}" is not name, used or size`);
}

function registryOf({ registry }: ListCommandOptions, names: RegistryNames): RegistryHost | undefined {
  return registry === undefined
    ? undefined
    : (names.find(registry) ?? findRegistryHost(registry) ?? refuse(`--registry: "${registry}" is not a registry's host[:port]`));
}

function isChosen({ pattern, registry, isComplete }: ListingOptions): boolean {
  return pattern !== undefined || registry !== undefined || isComplete !== undefined;
}

function refuse(problem: string): never {
  throw misuse(problem);
}
