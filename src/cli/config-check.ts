/** `ociregistry config check` */
import { findExposed } from "../config/exposed-files.ts";
import { loadConfig } from "../config/load.ts";
import { findMissing } from "../config/named-files.ts";
import { resolveUnlisted } from "../config/unlisted-registries.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";

export interface ConfigCheckOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
}

/** Says what a server would make of the configuration. What it names and is not there is a notice: it may be elsewhere. Throws `ConfigError`. */
export async function configCheck({ flags, io }: ConfigCheckOptions): Promise<number> {
  const loaded = await loadConfig({ environment: io.environment, flags });
  const { config, notices } = loaded;
  for (const notice of [...notices, ...(await findMissing(config, io.environment))]) io.writeError(`ociregistry: notice: ${notice}\n`);
  for (const warning of await findExposed(loaded)) io.writeError(`ociregistry: warning: ${warning}\n`);
  const { policy, because } = resolveUnlisted(config, io.environment);
  io.writeOut(`${config.configFile ?? "defaults and environment"}: good\n`);
  io.writeOut(`unlisted registries: ${policy === "deny" ? "denied" : "any at a public address"} (${because})\n`);
  return exitCodes.done;
}
