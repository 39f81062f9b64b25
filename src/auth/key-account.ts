/** KeyAccount: whose name an API key needs to go on: of who makes one for himself, by how that one is known now. */
import type { KeyAccount } from "./api-key-records.ts";
import { methodOf, type People } from "./people.ts";
import type { Principal } from "./principal.ts";

/**
 * Notes the person where nobody has yet: the key acts with the groups that the owner has now, until the next login says otherwise. By what a
 * session began, and by nothing that another login of that name has left. Throws `RecordsUnavailable`.
 */
export async function keyAccountOf({ name, groups, method, voucher }: Principal, people: Pick<People, "find" | "note">): Promise<KeyAccount> {
  const by = voucher?.by ?? method;
  if (!voucher) await people.note({ name, groups, method });
  else if (!(await people.find(name))) await people.note({ name, groups, ...methodOf(by) });
  return by === "htpasswd" ? "htpasswd" : "person";
}
