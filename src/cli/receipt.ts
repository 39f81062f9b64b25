/** `ociregistry receipt` */
import { rename, writeFile } from "node:fs/promises";
import { openCommandParts } from "../command-parts.ts";
import { findDurationMs } from "../config/durations.ts";
import { loadConfig } from "../config/load.ts";
import { digestOf } from "../oci/digest.ts";
import { formatReceipt } from "../transfer/receipt.ts";
import { takeReceipt } from "../transfer/store-receipt.ts";
import { countText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";
import { untilStopped } from "./until-stopped.ts";

export interface ReceiptCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** A file, or `-`. */
  readonly output: string;
  /** A duration. */
  readonly hold?: string;
  readonly digestsOnly?: boolean;
}

/** Throws `ConfigError`, and the disk's errors. */
export async function receipt({ flags, io, output, hold, digestsOnly = false }: ReceiptCommandOptions): Promise<number> {
  const holdMs = hold === undefined ? undefined : findDurationMs(hold);
  if (hold !== undefined && (holdMs === undefined || holdMs === 0 || holdMs === Infinity)) {
    throw misuse(`--hold: "${hold}" is not a duration, as 30d is; \`ociregistry pin\` keeps for good`);
  }
  const { config } = await loadConfig({ environment: io.environment, flags });
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment });
  const { images, store, clock } = parts;
  const taken = await takeReceipt({ images, pins: store.pins, clock, holdMs, digestsOnly, signal: stopping.signal });
  const bytes = formatReceipt(taken.receipt);
  if (output === "-") io.writeOut(bytes.toString("utf8"));
  else {
    await writeFile(`${output}.partial`, bytes);
    await rename(`${output}.partial`, output);
  }
  const held = holdMs === undefined ? "" : `, held until ${new Date(clock.now() + holdMs).toISOString()}`;
  const line = `receipt ${digestOf(bytes)}: ${countText(taken.imageCount, "image")}, ${countText(taken.digestCount, "blob")}${held}\n`;
  if (output === "-") io.writeError(line);
  else io.writeOut(line);
  return exitCodes.done;
}
