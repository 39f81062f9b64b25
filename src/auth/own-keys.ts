/**
 * OwnKeys: what people do with their API keys, however they ask for it: make some, see what they made, end it. Keys are for people who show who
 * they are in another way: whoever found a key, or a token, cannot make more of it.
 */
import type { Log } from "../oci/log.ts";
import type { WantedKey } from "./api-key-requests.ts";
import type { ApiKey, ApiKeys } from "./api-keys.ts";
import { keyHolderOf } from "./key-holder.ts";
import { writeKeyScope } from "./key-scope.ts";
import type { People } from "./people.ts";
import { isInPerson, type Principal } from "./principal.ts";
import { isOwn } from "./voucher.ts";

export interface OwnKeysOptions {
  readonly keys: ApiKeys;
  readonly people: People;
  readonly log: Log;
}

const creatorLengthMax = 256;

/** Of whoever asks. Undefined: it is a key or a token that asks, and nobody in person. */
export function findOwnKeys(principal: Principal, options: OwnKeysOptions): OwnKeys | undefined {
  return isInPerson(principal) ? new OwnKeys(principal, options) : undefined;
}

/** Each throws `RecordsUnavailable`. */
export class OwnKeys {
  readonly #principal: Principal;
  readonly #options: OwnKeysOptions;

  constructor(principal: Principal, options: OwnKeysOptions) {
    this.#principal = principal;
    this.#options = options;
  }

  /** The newest first. */
  async list(): Promise<readonly ApiKey[]> {
    const keys = await this.#options.keys.list(this.#principal.name);
    return keys.filter(({ voucher }) => isOwn(this.#principal, voucher));
  }

  /** `creator`: what asks, by its own word. The secret is nowhere else from now on. Throws `TooManyKeys`. */
  async make(wanted: WantedKey, creator: string): Promise<{ readonly secret: string; readonly key: ApiKey }> {
    const { keys, people, log } = this.#options;
    const { name } = this.#principal;
    const made = await keys.create({
      ...wanted,
      owner: name,
      ...(await keyHolderOf(this.#principal, people)),
      creator: creator.slice(0, creatorLengthMax),
    });
    const { id, label, scope } = made.key;
    log.info({ user: name, key: id, label, scope: scope && writeKeyScope(scope) }, "API key made");
    return made;
  }

  /** Ends the one that `id` names; that there is none is no error: what was to be gone is. */
  async revoke(id: string): Promise<void> {
    const { keys, log } = this.#options;
    const { name } = this.#principal;
    const own = (await this.list()).find((key) => key.id === id.toLowerCase());
    if (own && (await keys.revoke(name, own.id))) log.info({ user: name, key: own.id }, "API key revoked");
  }
}
