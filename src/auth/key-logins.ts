/** KeyLogins: API keys as passwords, checked by what is kept of them, and by whether their owner is still somebody. */
import type { Log } from "../oci/log.ts";
import type { StoredKey } from "./api-key-records.ts";
import { looksLikeKey, type ApiKeys } from "./api-keys.ts";
import type { Login, PasswordVerdict, TellingPasswords } from "./authenticator.ts";
import type { People } from "./people.ts";
import { RecordsUnavailable } from "./records.ts";

export interface KeyLoginsOptions {
  readonly keys: Pick<ApiKeys, "find">;
  readonly people: Pick<People, "find" | "findBy">;
  /** Undefined: there is no password file. */
  readonly htpasswd: { stampOf(user: string): string | undefined } | undefined;
  readonly log: Log;
}

export class KeyLogins implements TellingPasswords {
  readonly method = "apikey";
  /** A key that is revoked, here or in another process, is over everywhere this soon. */
  readonly rememberedMs = 1_000;
  readonly #options: KeyLoginsOptions;

  constructor(options: KeyLoginsOptions) {
    this.#options = options;
  }

  isOwn(password: string): boolean {
    return looksLikeKey(password);
  }

  /** Never rejects but with what is no failure of the records. */
  async verify({ user, password }: Login): Promise<PasswordVerdict> {
    const { keys, log } = this.#options;
    try {
      const key = await keys.find(user, password);
      if (!key) return { kind: "wrong" };
      const groups = await this.#groupsOf(key);
      if (!groups) {
        log.info({ user, key: key.id, account: key.account }, "API key refused: its owner is no longer known");
        return { kind: "wrong" };
      }
      return { kind: "right", principal: { name: user, groups, method: "apikey", ...(key.scope ? { scope: key.scope } : {}) } };
    } catch (error) {
      if (error instanceof RecordsUnavailable) return { kind: "unavailable", reason: `API keys cannot be checked: ${error.message}` };
      throw error;
    }
  }

  /** Those of the last login of who made it; undefined when there is no such account any more, or who made it has another name by now. */
  async #groupsOf({ owner, account, voucher }: StoredKey): Promise<readonly string[] | undefined> {
    const { htpasswd, people } = this.#options;
    if (account === "service") return [];
    if (account === "htpasswd" && htpasswd?.stampOf(owner) === undefined) return undefined;
    const person = await (voucher ? people.findBy(owner, voucher) : people.find(owner));
    return person?.groups ?? (account === "htpasswd" ? [] : undefined);
  }
}
