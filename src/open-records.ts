/** Opening records: those of a configuration, under `statePath`, or in Redis where several servers that share no disk are one registry. */
import { join } from "node:path";
import { FileRecords } from "./auth/file-records.ts";
import type { Records } from "./auth/records.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { Secret } from "./oci/secret.ts";

export interface RecordsPlace {
  readonly statePath: string;
  readonly driver: { readonly kind: "local" } | { readonly kind: "redis"; readonly url: Secret; readonly keyPrefix: string };
}

export interface RecordsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** Reads and dials nothing yet. Dispose of them. Throws an Error for an address that is none; it does not quote it. */
export async function openRecords({ statePath, driver }: RecordsPlace, { clock, log, background }: RecordsOptions): Promise<Records> {
  if (driver.kind === "local") return new FileRecords({ folder: join(statePath, "records"), clock, background, log });
  const { RedisRecords } = await import("./auth/redis-records.ts");
  return new RedisRecords({ url: driver.url, keyPrefix: driver.keyPrefix, clock, log });
}

/**
 * The same records once more, for what people without a name ask: with a share of the disk of its own, so that who has a key or a session never
 * waits behind them. In Redis nobody waits for a disk: it is `records` there. Dispose of them. Reads nothing yet.
 */
export function openStrangersRecords({ statePath, driver }: RecordsPlace, records: Records, { clock, log, background }: RecordsOptions): Records {
  if (driver.kind !== "local") return records;
  return new FileRecords({ folder: join(statePath, "records"), clock, background, log, share: strangersShare });
}

const strangersShare = { workingMax: 2, waitingMax: 200, what: "logins of terminals" } as const;
