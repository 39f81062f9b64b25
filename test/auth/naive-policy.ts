/**
 * Who may do what, a second time: from the table and the prose by which zot's access control is known, over the rules as they are
 * written. Slow, and nothing of ours in it.
 */
import { referenceMatches } from "../oci/reference-glob.ts";

export interface PlainPolicy {
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  readonly actions?: readonly string[];
}

/** `accessControl` as people write it. */
export interface PlainRules {
  readonly fetch?: "readers" | "byAction";
  readonly groups?: Readonly<Record<string, { readonly users: readonly string[] }>>;
  readonly repositories?: Readonly<Record<string, PlainRepository>>;
  readonly adminPolicy?: PlainPolicy;
  readonly metrics?: { readonly users?: readonly string[]; readonly anonymousPolicy?: readonly string[] };
}

interface PlainRepository {
  readonly policies?: readonly PlainPolicy[];
  readonly defaultPolicy?: readonly string[];
  readonly anonymousPolicy?: readonly string[];
}

export interface PlainQuestion {
  /** "" for nobody in particular. */
  readonly user: string;
  /** Those that come with the user. */
  readonly groups: readonly string[];
  readonly host: string;
  readonly path: string;
  readonly action: string;
}

export function naiveAllows(rules: PlainRules, question: PlainQuestion, defaultHost: string): boolean {
  const action = question.action === "fetch" && rules.fetch !== "byAction" ? "read" : question.action;
  const entry = decidingEntry(rules, question, defaultHost);
  if (entry && entryAllows(rules, entry, { ...question, action })) return true;
  const admin = rules.adminPolicy;
  return question.user !== "" && !!admin && (isUser(admin, question.user) || isMember(rules, admin, question)) && !!admin.actions?.includes(action);
}

export function naiveLists(rules: PlainRules, question: PlainQuestion, defaultHost: string): boolean {
  const admin = rules.adminPolicy;
  if (question.user !== "" && admin && (isUser(admin, question.user) || isMember(rules, admin, question))) return true;
  return naiveAllows(rules, { ...question, action: "read" }, defaultHost);
}

/** Of the patterns that match, the one whose text is longest; then the one with fewer wildcards; then the first by its letters. */
export function decidingPattern(rules: PlainRules, { host, path }: PlainQuestion, defaultHost: string): string | undefined {
  const isMatching = (pattern: string): boolean => {
    if (host !== defaultHost) return referenceMatches(pattern, `${host}/${path}`);
    if (referenceMatches(pattern, path)) return true;
    const isHostLike = /^[^/]*[.:][^/]*\/|^localhost\//.test(pattern);
    return isHostLike && referenceMatches(pattern, `${host}/${path}`);
  };
  const wildcardsIn = (pattern: string): number => [...pattern.matchAll(/[*?[\]{}]/g)].length;
  const [best] = Object.keys(rules.repositories ?? {})
    .filter(isMatching)
    .sort((one, other) => other.length - one.length || wildcardsIn(one) - wildcardsIn(other) || (one < other ? -1 : 1));
  return best;
}

function decidingEntry(rules: PlainRules, question: PlainQuestion, defaultHost: string): PlainRepository | undefined {
  const pattern = decidingPattern(rules, question, defaultHost);
  return pattern === undefined ? undefined : rules.repositories?.[pattern];
}

function entryAllows(rules: PlainRules, entry: PlainRepository, question: PlainQuestion): boolean {
  const { user, action } = question;
  const policies = (entry.policies ?? []).filter((policy) => policy.actions?.includes(action));
  if (user === "") return !!entry.anonymousPolicy?.includes(action);
  if (policies.some((policy) => isUser(policy, user))) return true;
  if (policies.some((policy) => isMember(rules, policy, question))) return true;
  return !!entry.defaultPolicy?.includes(action);
}

function isUser(policy: PlainPolicy, user: string): boolean {
  return !!policy.users?.includes(user);
}

function isMember(rules: PlainRules, policy: PlainPolicy, { user, groups }: PlainQuestion): boolean {
  const configured = Object.entries(rules.groups ?? {}).filter(([, { users }]) => users.includes(user));
  return [...groups, ...configured.map(([group]) => group)].some((group) => policy.groups?.includes(group));
}
