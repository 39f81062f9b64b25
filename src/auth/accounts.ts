/** Accounts: people looked up by name, who do not show their password again: what a refresh token stands for may have changed. */
import type { Htpasswd } from "./htpasswd.ts";
import type { Principal } from "./principal.ts";

export interface Accounts {
  /** Rejects with the signal's reason only. */
  find(user: string, signal: AbortSignal): Promise<AccountVerdict>;
}

export type AccountVerdict =
  /** `stamp` is another one once the password is; it tells nothing of it. */
  | { readonly kind: "known"; readonly principal: Principal; readonly stamp: string }
  | { readonly kind: "unknown" }
  | { readonly kind: "unavailable"; readonly reason: string };

/** The users of a password file. */
export function htpasswdAccounts(htpasswd: Pick<Htpasswd, "stampOf">): Accounts {
  return {
    find(user) {
      const stamp = htpasswd.stampOf(user);
      return Promise.resolve(stamp === undefined ? { kind: "unknown" } : { kind: "known", principal: { name: user, groups: [], method: "htpasswd" }, stamp });
    },
  };
}
