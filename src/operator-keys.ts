/** OperatorKeys: API keys as an operator has them, beside running servers: everybody's, and those of machines that are nobody's. */
import type { KeyAccount } from "./auth/api-key-records.ts";
import { ApiKeys, TooManyKeys, type ApiKey } from "./auth/api-keys.ts";
import { readLabel } from "./auth/api-key-requests.ts";
import { dropConsents } from "./auth/device-consents.ts";
import { isUserName } from "./auth/access-tokens.ts";
import { parseHtpasswd } from "./auth/htpasswd-file.ts";
import { readKeyScope, writeKeyScope, type WrittenKeyScope } from "./auth/key-scope.ts";
import { People } from "./auth/people.ts";
import type { Config } from "./config/config.ts";
import { ConfigError } from "./config/config-error.ts";
import { readNamedFile } from "./config/named-file.ts";
import { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import { silentLog } from "./oci/log.ts";
import { RegistryNames } from "./oci/registry-names.ts";
import { openRecords } from "./open-records.ts";

export interface OperatorKey extends Omit<ApiKey, "scope"> {
  /** Undefined: all that its owner may do. */
  readonly scope: WrittenKeyScope | undefined;
}

export interface KeyOrder {
  readonly owner: string;
  readonly label: string;
  /** From now. Undefined: until it is revoked. */
  readonly lifeMs: number | undefined;
  readonly scope: WrittenKeyScope | undefined;
}

/** Each throws `RecordsUnavailable`. */
export interface OperatorKeys extends AsyncDisposable {
  /** The secret is nowhere else from now on. Throws a `ConfigError` that is a misuse for what cannot be. */
  create(order: KeyOrder): Promise<{ readonly secret: string; readonly key: OperatorKey }>;
  /** By owner, the newest first; undefined: everybody's. */
  list(owner: string | undefined): Promise<readonly OperatorKey[]>;
  /** Ends what `owner` has approved for terminals that have not fetched their key: before the keys that there are, so that none comes after. */
  dropApproved(owner: string): Promise<void>;
  /** Whether there was such a key. Servers refuse it within two seconds. */
  revoke(key: Pick<OperatorKey, "owner" | "id">): Promise<boolean>;
}

/** Where `config` keeps them. Dispose of them. Throws `ConfigError` where no server would take a key. */
export async function openOperatorKeys(config: Config, { clock }: { readonly clock: Clock }): Promise<OperatorKeys> {
  const { auth, statePath, defaultNs, registries } = config;
  if (!auth?.apiKeys) throw new ConfigError(["auth.apikey is not set: a server with this configuration takes no keys"]);
  const background = new Background(silentLog);
  const records = await openRecords({ statePath, driver: auth.sessions.driver }, { clock, log: silentLog, background });
  const keys = new ApiKeys({ records, clock, background });
  const people = new People({ records, clock });
  const names = new RegistryNames({ defaultNs, registries });
  return {
    async create({ owner, label, lifeMs, scope }) {
      const wanted = asMisuse(() => {
        if (!isUserName(owner)) throw new Error("a user has a name that can be shown on one line");
        return { owner, label: readLabel(label), scope: readKeyScope(scope, names) };
      });
      const account = await accountOf(owner, config, people);
      const expiresAtMs = lifeMs === undefined ? undefined : clock.now() + lifeMs;
      const { secret, key } = await keys.create({ ...wanted, account, expiresAtMs, creator: "ociregistry apikey create" }).catch((error: unknown) => {
        throw error instanceof TooManyKeys ? new ConfigError([error.message]) : error;
      });
      return { secret, key: described(key) };
    },
    list: async (owner) => (await keys.list(owner)).map(described),
    dropApproved: (owner) => dropConsents(owner, records),
    revoke: ({ owner, id }) => keys.revoke(owner, id),
    async [Symbol.asyncDispose]() {
      await background.settled();
      await records[Symbol.asyncDispose]();
    },
  };
}

/** A name that the password file has, or that somebody has logged in by, is a person's, and the key goes with them; any other is a machine's. */
async function accountOf(owner: string, { auth }: Config, people: People): Promise<KeyAccount> {
  const path = auth?.htpasswd?.path;
  if (path !== undefined && parseHtpasswd(await readNamedFile("auth.htpasswd.path", path)).hashes.has(owner)) return "htpasswd";
  return (await people.find(owner)) ? "person" : "service";
}

function described({ scope, ...key }: ApiKey): OperatorKey {
  return { ...key, scope: scope && writeKeyScope(scope) };
}

function asMisuse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)], { isMisuse: true, cause: error });
  }
}
