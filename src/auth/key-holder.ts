/** KeyHolder: whose an API key is, and what must be for it to go on: of who makes one for himself, by how that one is known now. */
import type { StoredKey } from "./api-key-records.ts";
import { methodOf, type People } from "./people.ts";
import type { Principal, Voucher } from "./principal.ts";
import { voucherOf } from "./voucher.ts";

export interface KeyHolder extends Pick<StoredKey, "account"> {
  readonly voucher: Voucher;
}

/**
 * Notes the person where nobody has yet: the key acts with the groups that the owner has now, until the next login says otherwise. By what a
 * session began, and by nothing that another login of that name has left. Throws `RecordsUnavailable`.
 */
export async function keyHolderOf(principal: Principal, people: Pick<People, "note" | "noteUnknown">): Promise<KeyHolder> {
  const { name, groups, method } = principal;
  const voucher = voucherOf(principal);
  if (principal.voucher) await people.noteUnknown({ name, groups, ...methodOf(voucher) });
  else await people.note({ name, groups, method });
  return { account: voucher.by === "htpasswd" ? "htpasswd" : "person", voucher };
}
