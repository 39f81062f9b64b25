/** Accounts: people looked up by name, who do not show their password again: what a refresh token stands for may have changed. */
import type { DirectoryPeople } from "./directory-people.ts";
import type { Htpasswd } from "./htpasswd.ts";
import type { Principal, Voucher } from "./principal.ts";
import type { ProviderGrants } from "./provider-grants.ts";

export interface Accounts {
  /** Rejects with the signal's reason, or with `RecordsUnavailable`. */
  find(account: AccountName, signal: AbortSignal): Promise<AccountVerdict>;
}

/** Whom a provider vouches for is not whom a file knows, though they are called the same. */
export interface AccountName {
  readonly user: string;
  /** Undefined: it is the password file's. */
  readonly voucher?: Required<Voucher> | undefined;
}

export type AccountVerdict =
  /** `stamp` is another one once the password is, or once the provider has gone back on its word; it tells nothing of either. */
  | { readonly kind: "known"; readonly principal: Principal; readonly stamp: string }
  | { readonly kind: "unknown" }
  | { readonly kind: "unavailable"; readonly reason: string };

/** While a provider is away, its last word on somebody stands for so long. */
export const unheardMsMax = 86_400_000;

export interface AccountsOptions {
  /** Undefined: there is no password file. */
  readonly htpasswd: Pick<Htpasswd, "stampOf"> | undefined;
  /** Whose groups users of the file have too. Its own people show their password each time: nobody else can tell that an account is locked. */
  readonly directory: Pick<DirectoryPeople, "findByName"> | undefined;
  readonly grants: Pick<ProviderGrants, "check">;
}

/** The users of a password file, and the people of providers who have signed in with a browser. */
export function openAccounts({ htpasswd, directory, grants }: AccountsOptions): Accounts {
  return {
    async find({ user, voucher }) {
      if (!voucher) {
        const stamp = htpasswd?.stampOf(user);
        if (stamp === undefined) return { kind: "unknown" };
        const person = await directory?.findByName(user);
        // A directory that is away keeps nobody of the file out; its groups come back with it.
        const groups = person?.kind === "one" && person.name === user ? person.groups : [];
        return { kind: "known", principal: { name: user, groups, method: "htpasswd" }, stamp };
      }
      const verdict = await grants.check({ user, ...voucher });
      if (verdict.kind === "over") return { kind: "unknown" };
      const { groups, stamp, unheardMs } = verdict;
      if (unheardMs > unheardMsMax) return { kind: "unavailable", reason: `${voucher.by} has said nothing of ${user} for a day` };
      return { kind: "known", principal: { name: user, groups, method: "oidc", voucher }, stamp };
    },
  };
}
