/** `ociregistry apikey list` */
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../oci/clock.ts";
import type { OperatorKey } from "../operator-keys.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";

export interface ApiKeyListOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** Whose; everybody's unless given. */
  readonly user?: string;
  readonly json?: boolean;
}

/** Prints what is known of the keys, which is not the keys. Throws `ConfigError`, `RecordsUnavailable`. */
export async function apiKeyList({ flags, io, user, json = false }: ApiKeyListOptions): Promise<number> {
  const { config } = await loadConfig({ environment: io.environment, flags });
  const { openOperatorKeys } = await import("../operator-keys.ts");
  await using opened = await openOperatorKeys(config, { clock: systemClock });
  const keys = await opened.list(user);
  if (json) {
    for (const key of keys) io.writeOut(`${JSON.stringify(keyJson(key))}\n`);
    return exitCodes.done;
  }
  if (keys.length === 0) io.writeError(`no keys${user === undefined ? "" : ` of ${user}`}\n`);
  else io.writeOut(table([header, ...keys.map(rowOf)]));
  return exitCodes.done;
}

/** A key as programs read it. */
export function keyJson({ id, owner, account, label, createdAtMs, expiresAtMs, isExpired, usedAtMs, scope, creator }: OperatorKey): object {
  const [created, expires, used] = [createdAtMs, expiresAtMs, usedAtMs].map((atMs) => (atMs === undefined ? null : new Date(atMs).toISOString()));
  return { id, user: owner, account, label, created, expires, expired: isExpired, used, scope: scope ?? null, creator };
}

const header = ["ID", "USER", "LABEL", "CREATED", "EXPIRES", "USED", "FOR"];

function rowOf({ id, owner, label, createdAtMs, expiresAtMs, isExpired, usedAtMs, scope }: OperatorKey): readonly string[] {
  const expires = expiresAtMs === undefined ? "never" : isExpired ? "over" : dayOf(expiresAtMs);
  const what = scope ? [...(scope.actions ?? []), ...(scope.repositories ?? [])].join(",") : "all that its owner may";
  return [id, owner, label === "" ? "-" : label, dayOf(createdAtMs), expires, usedAtMs === undefined ? "never" : dayOf(usedAtMs), what];
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
