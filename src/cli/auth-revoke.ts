/** `ociregistry auth revoke` */
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../oci/clock.ts";
import { countText } from "./amounts.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";

export interface AuthRevokeOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** One of both. */
  readonly user?: string;
  readonly all?: boolean;
}

/**
 * Ends what docker and its like keep instead of a password, and the sessions of browsers, of one user or of everybody, and prints how many
 * there were. A server on the same state refuses them within a second; tokens that it gave live for five minutes more. Throws `ConfigError`.
 */
export async function authRevoke({ flags, io, user, all = false }: AuthRevokeOptions): Promise<number> {
  if ((user === undefined) !== all) throw misuse("auth revoke: say whose, by --user NAME, or --all");
  const { config } = await loadConfig({ environment: io.environment, flags });
  const { revokeLogins } = await import("../own-token-service.ts");
  const count = await revokeLogins(user, { statePath: config.statePath, clock: systemClock });
  io.writeOut(`${countText(count, "refresh token")} of ${user ?? "everybody"} revoked\n`);
  const ended = await endSessions(user, config);
  if (ended !== undefined) io.writeOut(`${ended}\n`);
  return exitCodes.done;
}

/** In words; undefined where nobody has a session. */
async function endSessions(user: string | undefined, { auth, statePath }: Config): Promise<string | undefined> {
  if (!auth) return undefined;
  const { endSessions: end } = await import("../browser-sign-in.ts");
  const count = await end(user, { auth, statePath, clock: systemClock });
  return count === undefined ? "all sessions of browsers ended" : `${countText(count, "session")} of ${user} ended`;
}
