/** `ociregistry import` */
import { readFile } from "node:fs/promises";
import { openCommandParts } from "../command-parts.ts";
import { loadConfig } from "../config/load.ts";
import { findBundleParts } from "../transfer/bundle-parts.ts";
import { BundleReader } from "../transfer/bundle-reader.ts";
import { readVerifyingKey } from "../transfer/bundle-signature.ts";
import { openFiles, openStream } from "../transfer/byte-source.ts";
import { BaseMissing, importBundle, type ImportResult } from "../transfer/import.ts";
import { countText, sizeText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { importOciregistryFolder } from "./import-ociregistry.ts";
import { LiveLines } from "./live-lines.ts";
import { misuse } from "./misuse.ts";
import { untilStopped } from "./until-stopped.ts";

export interface ImportCommandOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** A bundle, the first of its parts, or `-`. */
  readonly file?: string | undefined;
  /** In place of a bundle: the imagePath of a Go ociregistry. */
  readonly fromOciregistry?: string;
  /** The file of a public key. */
  readonly verifyKey?: string;
  readonly keepTags?: boolean;
  readonly json?: boolean;
}

/** Missing blobs that are named one by one; `--json` names them all. */
const toldMax = 20;

/** 1 when the bundle builds on something that is not here. Throws `ConfigError`, `BundleRefused`, `DepositRefused`, and the disk's errors. */
export async function importImages({ file, fromOciregistry, ...options }: ImportCommandOptions): Promise<number> {
  const { flags, io, verifyKey, keepTags = false, json = false } = options;
  if (file !== undefined && fromOciregistry === undefined) return await importBundleFile({ ...options, file });
  if (file === undefined && fromOciregistry === undefined)
    throw misuse("import wants to know what: import FILE takes a bundle, --from-ociregistry FOLDER the store of a Go ociregistry");
  if (file !== undefined || fromOciregistry === undefined || verifyKey !== undefined)
    throw misuse("import wants a bundle, or --from-ociregistry and a folder: one of them; only a bundle has a --verify-key");
  return await importOciregistryFolder({ flags, io, folder: fromOciregistry, keepTags, json });
}

async function importBundleFile({ flags, io, file, verifyKey, keepTags = false, json = false }: ImportCommandOptions & { file: string }): Promise<number> {
  const key = verifyKey === undefined ? undefined : readVerifyingKey(await readFile(verifyKey, "utf8"));
  const { config } = await loadConfig({ environment: io.environment, flags });
  using stopping = untilStopped(io);
  const { parts, next } = file === "-" ? { parts: [], next: undefined } : await findBundleParts(file);
  await using source = await (file === "-" ? openStream(io.input()) : openFiles(parts));
  await using command = await openCommandParts({ config, environment: io.environment, makesStore: true });
  const { store, clock } = command;
  const live = new LiveLines(io);
  try {
    const result = await importBundle({
      store,
      clock,
      reader: new BundleReader({ source, next }),
      verifyKey: key,
      keepTags,
      signal: stopping.signal,
      onBytes: (doneBytes, totalBytes) => live.set(file, `${file}: ${sizeText(doneBytes)} of ${sizeText(totalBytes)}`),
    }).finally(() => live.end());
    if (result.isSigned && !key) io.writeError("ociregistry: notice: the bundle is signed; --verify-key would have checked it\n");
    tell(result, io, json);
    return exitCodes.done;
  } catch (error) {
    if (!(error instanceof BaseMissing)) throw error;
    tellMissing(error, io, json);
    return exitCodes.failed;
  }
}

function tell({ id, isSigned, keptCount, keptBytes, heldCount, manifestCount, tags }: ImportResult, io: CommandIo, json: boolean): void {
  if (json) {
    const result = { id, signed: isSigned, blobs: { kept: keptCount, keptBytes, held: heldCount }, manifests: manifestCount, tags };
    return io.writeOut(`${JSON.stringify(result, undefined, 2)}\n`);
  }
  for (const { name, digest, verdict } of tags) if (verdict !== "same") io.writeOut(`${verdict} ${name} ${digest}\n`);
  const same = tags.filter(({ verdict }) => verdict === "same").length;
  io.writeOut(
    `bundle ${id}: ${countText(tags.length, "tag")} (${same} as before), ${countText(keptCount, "blob")}, ${sizeText(keptBytes)}; ${countText(heldCount, "blob")} held already\n`,
  );
}

function tellMissing(error: BaseMissing, io: CommandIo, json: boolean): void {
  if (json) {
    const missing = error.missing.map(({ digest, sizeBytes }) => ({ digest, size: sizeBytes }));
    io.writeOut(`${JSON.stringify({ missing, importFirst: error.links }, undefined, 2)}\n`);
  }
  io.writeError(`ociregistry: ${error.message}\n`);
  for (const { digest, sizeBytes } of json ? [] : error.missing.slice(0, toldMax)) io.writeError(`ociregistry: missing ${digest}, ${sizeText(sizeBytes)}\n`);
  if (!json && error.missing.length > toldMax) io.writeError(`ociregistry: and ${error.missing.length - toldMax} more; --json names them all\n`);
  io.writeError("ociregistry: nothing was imported\n");
}
