/** Voucher: who vouches for somebody, as it is kept, and whose that is which came about by one: a name alone may be that of several people. */
import { objectOf, textOf } from "./json-object.ts";
import type { Principal, Voucher } from "./principal.ts";

/** Of whoever shows a password or a certificate: that itself. */
export function voucherOf({ method, voucher }: Pick<Principal, "method" | "voucher">): Voucher {
  return voucher ?? { by: method };
}

/** Undefined for what is none. */
export function readVoucher(value: unknown): Voucher | undefined {
  const [by, subject] = [textOf(objectOf(value)?.["by"]), textOf(objectOf(value)?.["subject"])];
  return by === undefined ? undefined : { by, subject };
}

/** Whether both are of one person. */
export function isSameVoucher(one: Voucher | undefined, other: Voucher | undefined): boolean {
  return one?.by === other?.by && one?.subject === other?.subject;
}

/**
 * Whether what somebody of the same name made is `principal`'s. Whom a provider vouches for may have a namesake at another, or have got the name after
 * somebody else: to him only his own is. To whom the password file, a directory or a certificate gives the name, all of it is. `voucher` undefined:
 * nobody noted by whom it was made; it is everybody's of the name.
 */
export function isOwn(principal: Pick<Principal, "method" | "voucher">, voucher: Voucher | undefined): boolean {
  const own = voucherOf(principal);
  return own.subject === undefined || voucher === undefined || isSameVoucher(own, voucher);
}
