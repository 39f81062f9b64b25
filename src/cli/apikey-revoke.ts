/** `ociregistry apikey revoke` */
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../oci/clock.ts";
import { countText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";

export interface ApiKeyRevokeOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** One of both. */
  readonly id: string | undefined;
  readonly user?: string;
}

/** Ends a key, or all of one user (and those that a terminal was to fetch), and prints how many there were: 1 when the id names none. Throws `ConfigError`, `RecordsUnavailable`. */
export async function apiKeyRevoke({ flags, io, id, user }: ApiKeyRevokeOptions): Promise<number> {
  if ((id === undefined) === (user === undefined)) throw misuse("apikey revoke: say which, by its id, or whose, by --user NAME");
  const { config } = await loadConfig({ environment: io.environment, flags });
  const { openOperatorKeys } = await import("../operator-keys.ts");
  await using keys = await openOperatorKeys(config, { clock: systemClock });
  if (user !== undefined) await keys.dropApproved(user);
  const meant = (await keys.list(user)).filter((key) => id === undefined || key.id === id.toLowerCase());
  let revoked = 0;
  for (const key of meant) if (await keys.revoke(key)) revoked++;
  if (id !== undefined && revoked === 0) {
    io.writeError(`ociregistry: no key has the id ${id.slice(0, 64)}\n`);
    return exitCodes.failed;
  }
  io.writeOut(`${countText(revoked, "key")}${user === undefined ? "" : ` of ${user}`} revoked\n`);
  return exitCodes.done;
}
