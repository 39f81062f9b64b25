/** `ociregistry import --from-ociregistry`: the images of a Go ociregistry's folder, before its server is replaced by this one. */
import { openCommandParts } from "../command-parts.ts";
import { loadConfig } from "../config/load.ts";
import { repositoryName } from "../oci/repository.ts";
import { importOciregistry, type FromOciregistryResult, type TakenOverImage } from "../transfer/from-ociregistry.ts";
import { countText, sizeText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { LiveLines } from "./live-lines.ts";
import { untilStopped } from "./until-stopped.ts";

export interface ImportOciregistryOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** Its imagePath. */
  readonly folder: string;
  readonly keepTags: boolean;
  readonly json: boolean;
}

/** 1 when something was left out. Throws `ConfigError`, and Errors in words: not such a folder, a disk that cannot be written. */
export async function importOciregistryFolder({ flags, io, folder, keepTags, json }: ImportOciregistryOptions): Promise<number> {
  const { config } = await loadConfig({ environment: io.environment, flags });
  using stopping = untilStopped(io);
  await using parts = await openCommandParts({ config, environment: io.environment, makesStore: true });
  const { store, clock, names } = parts;
  const live = new LiveLines(io);
  const result = await importOciregistry({
    folder,
    store,
    clock,
    names,
    keepTags,
    signal: stopping.signal,
    onImage: (image) => {
      if (!json) live.above(() => io.writeOut(`${lineOf(image)}\n`));
    },
  }).finally(() => live.end());
  tell(result, io, json);
  return result.problems.length === 0 ? exitCodes.done : exitCodes.failed;
}

function lineOf({ repository, tag, digest, verdict, newBytes }: TakenOverImage): string {
  const name = `${repositoryName(repository)}${tag === undefined ? "" : `:${tag}`}`;
  return `${verdict} ${name} ${digest}  ${verdict === "kept" ? "its tag means what it meant here; " : ""}${sizeText(newBytes)} new`;
}

function tell({ images, problems }: FromOciregistryResult, io: CommandIo, json: boolean): void {
  if (json) {
    const told = images.map(({ repository, ...image }) => ({ repository: repositoryName(repository), ...image }));
    return io.writeOut(`${JSON.stringify({ images: told, problems }, undefined, 2)}\n`);
  }
  for (const { file, message } of problems) io.writeError(`ociregistry: ${file}: ${message}\n`);
  const newBytes = images.reduce((sum, image) => sum + image.newBytes, 0);
  io.writeError(`ociregistry: ${countText(images.length, "image")}, ${sizeText(newBytes)} new; ${countText(problems.length, "problem")}\n`);
}
