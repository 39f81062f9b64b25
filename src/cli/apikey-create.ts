/** `ociregistry apikey create` */
import { findDurationMs } from "../config/durations.ts";
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../oci/clock.ts";
import type { OperatorKey } from "../operator-keys.ts";
import { keyJson } from "./apikey-list.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";

export interface ApiKeyCreateOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  readonly user: string;
  readonly label: string;
  /** How long it is good; until it is revoked unless given. */
  readonly expires?: string;
  /** Each one or several patterns, with commas. */
  readonly repository?: readonly string[];
  readonly action?: readonly string[];
  readonly json?: boolean;
}

/** Makes a key and prints it, this once. Throws `ConfigError`, `RecordsUnavailable`. */
export async function apiKeyCreate({ flags, io, user, label, expires, repository, action, json = false }: ApiKeyCreateOptions): Promise<number> {
  const lifeMs = expires === undefined ? undefined : readLife(expires);
  const { config } = await loadConfig({ environment: io.environment, flags });
  const { openOperatorKeys } = await import("../operator-keys.ts");
  await using keys = await openOperatorKeys(config, { clock: systemClock });
  const scope = repository || action ? { ...listOf("repositories", repository), ...listOf("actions", action) } : undefined;
  const { secret, key } = await keys.create({ owner: user, label, lifeMs, scope });
  if (!json) io.writeError(`${sentenceOf(key)}\n`);
  io.writeOut(json ? `${JSON.stringify({ ...keyJson(key), key: secret })}\n` : `${secret}\n`);
  return exitCodes.done;
}

function readLife(written: string): number | undefined {
  const lifeMs = findDurationMs(written);
  if (lifeMs === undefined || lifeMs === 0) throw misuse(`--expires: "${written}" is not a time to live, as 90d or 12h is`);
  return lifeMs === Infinity ? undefined : lifeMs;
}

/** Braces hold commas of their own. */
function listOf(name: string, written: readonly string[] | undefined): Readonly<Record<string, readonly string[]>> {
  return written ? { [name]: written.flatMap((words) => words.split(/,(?![^{]*\})/).map((word) => word.trim())) } : {};
}

const accounts = {
  htpasswd: "of the password file",
  person: "who has logged in",
  service: "a service account: nobody of that name is known",
} as const satisfies Record<OperatorKey["account"], string>;

function sentenceOf({ id, owner, account, expiresAtMs }: OperatorKey): string {
  const until = expiresAtMs === undefined ? "until it is revoked" : `until ${new Date(expiresAtMs).toISOString().slice(0, 19)}Z`;
  return `the key ${id} of ${owner}, ${accounts[account]}, is good ${until}; it is shown this once:`;
}
