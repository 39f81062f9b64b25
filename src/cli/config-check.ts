/** `ociregistry config check` */
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { findExposed } from "../config/exposed-files.ts";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { findMissing } from "../config/named-files.ts";
import { resolveUnlisted } from "../config/unlisted-registries.ts";
import { RegistryNames } from "../oci/registry-names.ts";
import type { CredentialTrial } from "../wiring.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";

export interface ConfigCheckOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** Try every registry with its credential. */
  readonly online?: boolean;
  /** Print the result as JSON. */
  readonly json?: boolean;
}

/**
 * Says what a server would make of the configuration; online, also what its registries make of its credentials: 1 when one of them takes
 * none. What it names and is not there is a notice (it may be elsewhere), online an error. Throws `ConfigError`.
 */
export async function configCheck({ flags, io, online = false, json = false }: ConfigCheckOptions): Promise<number> {
  const { environment } = io;
  const loaded = await loadConfig({ environment, flags });
  const { config } = loaded;
  const missing = await findMissing(config, environment);
  if (online && missing.length > 0) throw new ConfigError(missing);
  const notices = [
    ...loaded.notices,
    ...(await checkAccess(loaded)),
    ...missing,
    ...(online && config.airGapped ? ["airGapped is true, so no registry is asked"] : []),
  ];
  for (const notice of notices) io.writeError(`ociregistry: notice: ${notice}\n`);
  for (const warning of await findExposed(loaded)) io.writeError(`ociregistry: warning: ${warning}\n`);
  const trials = online && !config.airGapped ? await tryAll(config, environment) : undefined;
  if (json) io.writeOut(`${JSON.stringify(resultOf(config, environment, trials), undefined, 2)}\n`);
  else for (const line of linesOf(config, environment, trials)) io.writeOut(`${line}\n`);
  return trials?.some(({ verdict }) => isFailure(verdict)) ? exitCodes.failed : exitCodes.done;
}

/** What is to be said about `accessControl`. Throws `ConfigError` for one that cannot be used. */
async function checkAccess({ config, describe }: LoadedConfig): Promise<readonly string[]> {
  if (!config.accessControl) return [];
  const { readAccess } = await import("../access.ts");
  const access = await readAccess(config, new RegistryNames({ defaultNs: config.defaultNs, registries: config.registries }), describe);
  return access?.notices ?? [];
}

/** Imported when it is needed: the whole program has to be loaded for it. */
async function tryAll(config: Config, environment: NodeJS.ProcessEnv): Promise<readonly CredentialTrial[]> {
  const { tryCredentials } = await import("../wiring.ts");
  return tryCredentials({ config, environment });
}

function isFailure({ kind }: CredentialTrial["verdict"]): boolean {
  return kind === "refused" || kind === "failed";
}

function linesOf(config: Config, environment: NodeJS.ProcessEnv, trials: readonly CredentialTrial[] | undefined): readonly string[] {
  const { policy, because } = resolveUnlisted(config, environment);
  const unlisted = `unlisted registries: ${policy === "deny" ? "denied" : "any at a public address"} (${because})`;
  return [
    `${config.configFile ?? "defaults and environment"}: good`,
    config.airGapped ? airGappedText : unlisted,
    ...(trials?.map(lineOf) ?? []),
    ...(trials?.length === 0 ? ["no registries are listed"] : []),
  ];
}

const airGappedText = "air-gapped: nobody is asked, only what is held is served";

/** `quay.io for team-a/**: ecr, ecr 111122223333 in us-east-1: user AWS: accepted until 2026-01-01T12:00:00.000Z` */
function lineOf({ host, mirror, match, kind, identity, expiresAtMs, verdict }: CredentialTrial): string {
  const where = `${host}${mirror === undefined ? "" : ` via ${mirror}`}${match === undefined ? "" : ` for ${match}`}`;
  const who = kind === "none" ? "no credential" : identity.startsWith(kind) ? identity : [kind, identity].filter((part) => part !== "").join(", ");
  const until = expiresAtMs === undefined || isFailure(verdict) ? "" : ` until ${new Date(expiresAtMs).toISOString()}`;
  return `${where}: ${who}: ${verdict.kind}${until}${verdict.kind === "accepted" ? "" : `: ${verdict.reason}`}`;
}

function resultOf(config: Config, environment: NodeJS.ProcessEnv, trials: readonly CredentialTrial[] | undefined): object {
  return {
    configFile: config.configFile,
    airGapped: config.airGapped,
    unlistedRegistries: resolveUnlisted(config, environment).policy,
    registries: trials?.map(({ host, mirror, match, kind, identity, expiresAtMs, verdict }) => ({
      registry: host,
      mirror,
      match,
      kind,
      identity: identity === "" ? undefined : identity,
      expiresAt: expiresAtMs === undefined ? undefined : new Date(expiresAtMs).toISOString(),
      verdict: verdict.kind,
      reason: verdict.kind === "accepted" ? undefined : verdict.reason,
    })),
  };
}
