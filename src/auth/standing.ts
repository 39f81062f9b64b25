/** Standing: what vouches for somebody at this moment, as a stamp that is another one once the password is, or once a provider has gone back on its word. */
import type { Htpasswd } from "./htpasswd.ts";
import type { Principal } from "./principal.ts";
import type { ProviderGrants } from "./provider-grants.ts";

export interface StandingOptions {
  /** Undefined: there is no password file. */
  readonly htpasswd: Pick<Htpasswd, "stampOf"> | undefined;
  readonly grants: Pick<ProviderGrants, "check">;
}

/** How somebody is known. */
export type Known = Pick<Principal, "name" | "method" | "voucher">;

/** Undefined: nobody vouches for it, or nobody can be asked. Throws `RecordsUnavailable`. */
export async function stampOf({ name, method, voucher }: Known, { htpasswd, grants }: StandingOptions): Promise<string | undefined> {
  if ((voucher?.by ?? method) === "htpasswd") return htpasswd?.stampOf(name);
  if (voucher?.subject === undefined) return undefined;
  const verdict = await grants.check({ user: name, by: voucher.by, subject: voucher.subject });
  return verdict.kind === "over" ? undefined : verdict.stamp;
}
