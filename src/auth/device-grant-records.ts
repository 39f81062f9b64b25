/** Device grant records: what is kept of a terminal that asks to log in, read: what is torn, or says something else, is as good as none. */
import { findKeyAccount, type KeyAccount } from "./api-key-records.ts";
import { findObject, textOf } from "./json-object.ts";
import type { Voucher } from "./principal.ts";
import { readVoucher } from "./voucher.ts";

/** How long somebody may take to approve. */
export const grantLifeMs = 600_000;
/** How long it is known what became of it, from when the terminal has asked: longer, so that the terminal hears it. */
export const grantKnownMs = 2 * grantLifeMs;

/** What a terminal wants, and what is known of it. Texts are one line, and show as what they are. */
export interface DeviceGrant {
  /** What the key is to be called. */
  readonly label: string;
  /** What the terminal's machine calls itself; empty when it does not say. */
  readonly host: string;
  readonly program: string;
  /** The address that asked. */
  readonly client: string;
  readonly askedAtMs: number;
  readonly untilMs: number;
  /** How long the key is to be good, from when it is made. */
  readonly keyLifeMs: number;
  /** Whether it is to pull, and no more. */
  readonly isReadOnly: boolean;
}

export type DeviceVerdict =
  /** In whose name the key acts, who that was, and the consent by which it does. */
  | {
      readonly kind: "approved";
      readonly owner: string;
      readonly account: KeyAccount;
      readonly voucher: Voucher;
      readonly consent: string;
    }
  | { readonly kind: "refused" };

/** Undefined for what is none. */
export function readDeviceGrant(text: string | undefined): DeviceGrant | undefined {
  const read = findObject(text);
  const [label, host, program, client] = ["label", "host", "program", "client"].map((name) => textOf(read?.[name]));
  const [askedAtMs, untilMs, keyLifeMs] = ["askedAtMs", "untilMs", "keyLifeMs"].map((name) => numberOf(read?.[name]));
  const isReadOnly = read?.["isReadOnly"];
  if (label === undefined || host === undefined || program === undefined || client === undefined) return undefined;
  if (askedAtMs === undefined || untilMs === undefined || keyLifeMs === undefined || typeof isReadOnly !== "boolean") return undefined;
  return { label, host, program, client, askedAtMs, untilMs, keyLifeMs, isReadOnly };
}

/** Undefined for what is none: nobody has decided then. */
export function readDeviceVerdict(text: string | undefined): DeviceVerdict | undefined {
  const read = findObject(text);
  if (read?.["kind"] === "refused") return { kind: "refused" };
  const [owner, account, consent] = [textOf(read?.["owner"]), findKeyAccount(read?.["account"]), textOf(read?.["consent"])];
  const voucher = readVoucher(read?.["voucher"]);
  if (read?.["kind"] !== "approved" || owner === undefined || !account || !voucher || consent === undefined) return undefined;
  return { kind: "approved", owner, account, voucher, consent };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
