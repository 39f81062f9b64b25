/** API key records: what is kept of a key, and reading it: one that is torn, or says something else, is a key that is over. */
import { objectOf, textOf } from "./json-object.ts";
import { readKeyScope, writeKeyScope } from "./key-scope.ts";
import type { KeyScope, Voucher } from "./principal.ts";
import { readVoucher } from "./voucher.ts";

export interface StoredKey {
  /** In whose name it acts. */
  readonly owner: string;
  readonly account: KeyAccount;
  /** Who it was that made it. Undefined: an operator did, or it was not noted yet: it goes by the owner's name alone. */
  readonly voucher?: Voucher | undefined;
  /** What its owner calls it. */
  readonly label: string;
  readonly createdAtMs: number;
  /** Undefined: it is good until it is revoked. */
  readonly expiresAtMs: number | undefined;
  /** Undefined: all that its owner may do. */
  readonly scope: KeyScope | undefined;
  /** What made it: a browser, `ociregistry apikey create`. */
  readonly creator: string;
}

/**
 * What the owner must be for the key to count. "htpasswd": in the password file. "person": somebody who logged in, by whatever knows its people itself.
 * "service": nobody; an operator made it.
 */
export type KeyAccount = "htpasswd" | "person" | "service";

const accounts: readonly KeyAccount[] = ["htpasswd", "person", "service"];

export function writeStoredKey({ scope, ...key }: StoredKey): string {
  return JSON.stringify({ ...key, ...(scope ? { scope: writeKeyScope(scope) } : {}) });
}

/** Undefined for what is none. */
export function findKeyAccount(value: unknown): KeyAccount | undefined {
  return accounts.find((account) => account === value);
}

/** Undefined for a text that is none. A scope or a voucher that cannot be read makes it none: it must not become wider. */
export function readStoredKey(text: string): StoredKey | undefined {
  try {
    const read = objectOf(JSON.parse(text));
    const [owner, label, creator] = [textOf(read?.["owner"]), textOf(read?.["label"]), textOf(read?.["creator"])];
    const [createdAtMs, expiresAtMs] = [read?.["createdAtMs"], read?.["expiresAtMs"]];
    const account = findKeyAccount(read?.["account"]);
    if (owner === undefined || label === undefined || creator === undefined || !account || typeof createdAtMs !== "number") return undefined;
    if (expiresAtMs !== undefined && typeof expiresAtMs !== "number") return undefined;
    const voucher = readVoucher(read?.["voucher"]);
    if (read?.["voucher"] !== undefined && !voucher) return undefined;
    return { owner, account, voucher, label, creator, createdAtMs, expiresAtMs, scope: readKeyScope(read?.["scope"]) };
  } catch {
    return undefined; // As above.
  }
}
