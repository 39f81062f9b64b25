/** OwnApiKeys: from `auth.apikey` to running ones: who is let in by a key, where people make theirs, and what operators do with all of them. */
import type { Htpasswd } from "./auth/htpasswd.ts";
import type { ApiKeys } from "./auth/api-keys.ts";
import type { KeyAnswer } from "./auth/api-key-service.ts";
import type { TellingPasswords } from "./auth/authenticator.ts";
import type { DeviceConsentsOptions } from "./auth/device-consents.ts";
import type { DeviceLogins } from "./auth/device-logins.ts";
import type { OwnOrigin } from "./auth/own-origin.ts";
import type { People } from "./auth/people.ts";
import type { Principal } from "./auth/principal.ts";
import type { Records } from "./auth/records.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { RegistryNames } from "./oci/registry-names.ts";

export interface OwnApiKeysParts {
  readonly records: Records;
  /** See `openStrangersRecords`. */
  readonly strangers: Records;
  readonly htpasswd: Htpasswd | undefined;
  readonly own: OwnOrigin;
  readonly stampOf: DeviceConsentsOptions["stampOf"];
}

export interface OwnApiKeysOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  readonly names: () => RegistryNames;
}

export interface OwnApiKeys {
  readonly keys: ApiKeys;
  readonly people: People;
  readonly logins: TellingPasswords;
  readonly answer: KeyAnswer;
  /** How terminals get keys that somebody approves in a browser. */
  readonly devices: DeviceLogins;
  /** Keys act with the groups of their owner's last login: this one has logged in. */
  readonly onLogin: (principal: Principal) => void;
}

/** Reads and writes nothing yet. */
export async function openApiKeys(
  { records, strangers, htpasswd, own, stampOf }: OwnApiKeysParts,
  { clock, log, background, names }: OwnApiKeysOptions,
): Promise<OwnApiKeys> {
  const { ApiKeys: Keys } = await import("./auth/api-keys.ts");
  const { ApiKeyService } = await import("./auth/api-key-service.ts");
  const { DeviceLogins: Devices } = await import("./auth/device-logins.ts");
  const { KeyLogins } = await import("./auth/key-logins.ts");
  const { methodOf, People: Known } = await import("./auth/people.ts");
  const keys = new Keys({ records, clock, background });
  const people = new Known({ records, clock });
  const strangersKeys = new Keys({ records: strangers, clock, background });
  const service = new ApiKeyService({ keys, people, own, names, clock, log });
  return {
    keys,
    people,
    logins: new KeyLogins({ keys, people, htpasswd, log }),
    answer: (request, visit) => service.handle(request, visit),
    devices: new Devices({ records, keys, strangers, strangersKeys, stampOf, people, own, clock, log }),
    onLogin: ({ name, groups, method, voucher }) =>
      background.run("noting who has logged in", people.note({ name, groups, ...(voucher ? methodOf(voucher) : { method }) })),
  };
}
