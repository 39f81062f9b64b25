/** Person: what a provider's claims make of somebody: a name and groups, as zot reads them, and the names of ours that addresses are linked to. */
import { isUserName } from "../access-tokens.ts";
import type { DirectoryPeople, DirectoryPerson } from "../directory-people.ts";
import { textOf } from "../json-object.ts";
import type { Claims } from "../token-verifier.ts";

export interface PersonRules {
  /** Claims. */
  readonly claims: { readonly username: string; readonly groups: string };
  readonly requireVerifiedEmail: boolean;
  /** `hd` of Google. */
  readonly hostedDomain: string | undefined;
  /** Names of ours, by the e-mail address of who has each, in lower case. */
  readonly users: ReadonlyMap<string, string>;
  /** Whom people are linked to by their e-mail address there. Undefined: nobody is. */
  readonly directory?: DirectoryPeople | undefined;
  /**
   * Whether a name is a line of the file of passwords, and somebody else's than whom the provider calls so. `isVerified`: it calls the e-mail address
   * verified.
   */
  readonly isOfFile: (name: string, isVerified: boolean) => boolean;
}

export interface Person {
  readonly name: string;
  readonly groups: readonly string[];
  readonly email: string | undefined;
  readonly emailVerified: boolean | undefined;
  /** Whatever else the person may be called when logging in. */
  readonly otherNames: readonly string[];
  /** Whether the name is one of ours, that the e-mail address is linked to. */
  readonly isLinked: boolean;
}

export type PersonVerdict =
  { readonly kind: "person"; readonly person: Person } | { readonly kind: "refused"; readonly reason: string; readonly hint?: string };

const groupsMax = 1_000;

/**
 * Who it is, with whom a directory knows by the same e-mail address. `sources`: claims of one subject, the ones that are asked first before
 * those of its token. A directory that is away makes nobody somebody else: nobody can tell then. Never rejects.
 */
export async function identifyPerson(
  sources: readonly Claims[],
  rules: PersonRules,
): Promise<PersonVerdict | { readonly kind: "unavailable"; readonly reason: string }> {
  const { directory, users } = rules;
  const email = emailIn(sources);
  if (!directory || (email !== undefined && users.has(email.toLowerCase()))) return readPerson(sources, rules);
  const found = email === undefined ? ({ kind: "none" } as const) : await directory.findByMail(email);
  if (found.kind === "unavailable") return { ...found, reason: `the directory cannot be asked whose e-mail address it is: ${found.reason}` };
  if (found.kind === "several") return refused("the e-mail address is that of several people in the directory (auth.openid.linkLdapMail)");
  const read = readPerson(sources, rules, found.kind === "one" ? found : undefined);
  if (read.kind === "refused" || read.person.isLinked) return read;
  const namesake = await directory.findByName(read.person.name);
  if (namesake.kind === "unavailable") return { ...namesake, reason: `the directory cannot be asked whose name it is: ${namesake.reason}` };
  return namesake.kind === "none" ? read : refused("the name is somebody's in the directory, who has another e-mail address there (auth.openid.linkLdapMail)");
}

/** The same by what is known here; `found`: whom the directory has by that address. Never throws. */
export function readPerson(sources: readonly Claims[], rules: PersonRules, found?: Extract<DirectoryPerson, { kind: "one" }>): PersonVerdict {
  const { claims, requireVerifiedEmail, hostedDomain, users } = rules;
  const claim = (name: string): unknown => claimIn(sources, name);
  const email = emailIn(sources);
  const emailVerified = booleanOf(claim("email_verified"));
  if (hostedDomain !== undefined && claim("hd") !== hostedDomain) return refused("an account outside of hostedDomain (hd)");
  if (requireVerifiedEmail && (email === undefined || emailVerified !== true))
    return refused("the provider does not call the e-mail address verified (email_verified)", verifiedHint);
  const claimed = textOf(claim(claims.username)) || email;
  const linked = (email === undefined ? undefined : users.get(email.toLowerCase())) ?? found?.name;
  // At many providers people write their own address: an unverified one must not make anybody somebody of ours.
  if (linked !== undefined && emailVerified !== true)
    return refused(
      `the e-mail address is linked to a name here (auth.openid.${found ? "linkLdapMail" : "users"}), and the provider does not call it verified (email_verified)`,
      linkedHint,
    );
  const name = linked ?? claimed;
  if (!isUserName(name))
    return refused(
      `there is no claim "${claims.username}" to be the user name, and no email`,
      "add the scope that gives it (profile or email), or name another claim in claimMapping.username",
    );
  // Somebody else's: who is called so at the provider is not who is called so here.
  if (linked === undefined && [...users.values()].includes(name)) return refused(`the name is linked to another e-mail address (auth.openid.users)`);
  if (linked === undefined && rules.isOfFile(name, emailVerified === true)) {
    const reason = "the name is somebody's in the file of passwords (auth.htpasswd)";
    if (name !== email || emailVerified === true) return refused(reason, takenHint);
    return refused(`${reason}, and the provider does not call the e-mail address verified (email_verified)`, linkedHint);
  }
  const claimedGroups = [
    ...new Set(sources.flatMap((source) => groupsIn(Object.hasOwn(source, claims.groups) ? source[claims.groups] : undefined))),
  ].toSorted();
  if (claimedGroups.length > groupsMax) return refused(`${claimedGroups.length} groups: at most ${groupsMax}`);
  const groups = found ? [...new Set([...claimedGroups, ...found.groups])].toSorted() : claimedGroups;
  const otherNames = [claimed, email, claim("preferred_username"), claim("sub")].filter(isUserName);
  return { kind: "person", person: { name, groups, email, emailVerified, otherNames, isLinked: linked !== undefined } };
}

function claimIn(sources: readonly Claims[], name: string): unknown {
  return sources.map((source) => (Object.hasOwn(source, name) ? source[name] : undefined)).find((value) => value !== undefined);
}

function emailIn(sources: readonly Claims[]): string | undefined {
  return textOf(claimIn(sources, "email"))?.trim() || undefined;
}

const verifiedHint = "set requireVerifiedEmail: false, or have the provider say so (Authentik: a scope mapping for email that says email_verified: True)";

const linkedHint = "have the provider say so (Authentik: a scope mapping for email that says email_verified: True)";

const takenHint = "if it is the same person, list the e-mail address in auth.openid.users; if not, take another claim: claimMapping.username: email";

/** A list, or a single one; what is no text is written as one. */
function groupsIn(claim: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return list.flatMap((group) => (typeof group === "string" || typeof group === "number" ? [String(group)] : [])).filter((group) => group !== "");
}

/** Some providers write it as text. */
function booleanOf(claim: unknown): boolean | undefined {
  if (claim === "true" || claim === "false") return claim === "true";
  return typeof claim === "boolean" ? claim : undefined;
}

function refused(reason: string, hint?: string): PersonVerdict {
  return { kind: "refused", reason, ...(hint === undefined ? {} : { hint }) };
}
