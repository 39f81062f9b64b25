/** Principal: who asks, once that is certain. */
import type { Glob } from "../oci/glob.ts";

export interface Principal {
  /** Exactly as the method that admitted it knows it; never empty. */
  readonly name: string;
  /** Groups that the method itself knows of: a directory's, a token's. Those of the configuration are added where policies decide. */
  readonly groups: readonly string[];
  readonly method: "htpasswd" | "ldap" | "mtls" | "bearer" | "oidc" | "token" | "apikey" | "session";
  /** Of who shows no password now, but a session or a provider's token: who vouches for that. */
  readonly voucher?: Voucher;
  /** What a token permits, when one was shown: policies can only narrow it. */
  readonly access?: readonly TokenAccess[];
  /** What an API key leaves of its owner's rights, when one was shown that has a scope: policies can only narrow it too. */
  readonly scope?: KeyScope;
  /** The claims of a workload's token, for conditions. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

export interface Voucher {
  /** `htpasswd`, `ldap`, or a provider's name. */
  readonly by: string;
  /** Who it is to that provider, for ever. */
  readonly subject?: string | undefined;
}

/** One entry of a token's `access` claim. Docker token authentication, "JWT claims". */
export interface TokenAccess {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** What of its owner's rights an API key has. */
export interface KeyScope {
  /** Patterns as policies have them. Undefined: all. */
  readonly repositories: readonly Glob[] | undefined;
  /** In the words of policies. Undefined: all. */
  readonly actions: ReadonlySet<string> | undefined;
}

/** Whether it is somebody in person, by what only he has: not what was given to a machine for less (a key, a token), which disposes of nothing that is his. */
export function isInPerson({ method, access, scope }: Principal): boolean {
  return !access && !scope && personal.has(method);
}

const personal: ReadonlySet<Principal["method"]> = new Set(["htpasswd", "ldap", "mtls", "session"] as const);
