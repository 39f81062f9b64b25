/** ProviderGrants of a configuration: what providers gave for people is kept with the sessions, and the key that it is sealed by is not. */
import { join } from "node:path";
import { FileRecords } from "./auth/file-records.ts";
import type { IdentityProvider } from "./auth/openid/provider.ts";
import { methodOf, type People } from "./auth/people.ts";
import { ProviderGrants } from "./auth/provider-grants.ts";
import type { Records } from "./auth/records.ts";
import { SealingKeys } from "./auth/sealing-keys.ts";
import type { ClientAuthConfig } from "./config/client-auth-config.ts";
import type { RecordsOptions } from "./open-records.ts";
import { sessionKeysOf } from "./session-keys.ts";

export interface ProviderGrantsParts {
  readonly auth: Pick<ClientAuthConfig, "openid" | "sessions">;
  readonly statePath: string;
  readonly records: Records;
  readonly providers: readonly IdentityProvider[];
  /** Where it is noted which groups people have by now, if that is of use. */
  readonly people: People | undefined;
}

/** Reads the file of keys, and nothing else yet. Throws `ConfigError`. */
export async function openProviderGrants(
  { auth, statePath, records, providers, people }: ProviderGrantsParts,
  options: RecordsOptions,
): Promise<ProviderGrants> {
  const { clock, log, background } = options;
  const { encryptKey } = await sessionKeysOf(auth.sessions);
  // In Redis there is no other place that all servers see.
  const keyRecords = auth.sessions.driver.kind === "local" ? new FileRecords({ folder: join(statePath, "keys"), clock, background, log }) : records;
  return new ProviderGrants({
    providers,
    records,
    keys: new SealingKeys({ given: encryptKey, records: keyRecords, clock }),
    groupsTtlMs: auth.openid?.groupsTtlMs ?? 0,
    onWord({ name, groups, provider: by, subject, email }) {
      if (people) background.run("noting somebody's groups", people.note({ name, groups, email, ...methodOf({ by, subject }) }));
    },
    clock,
    log,
  });
}
