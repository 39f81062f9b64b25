/**
 * AccessPolicy: who may do what to which repository, as a pure function of rules, principal, action and repository. zot's
 * `accessControl`: of the patterns that match, the longest decides alone; within it every grant counts; `adminPolicy` adds to it.
 */
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { Condition, ConditionFacts } from "./conditions.ts";
import type { Glob } from "../oci/glob.ts";
import { byPrecedence } from "./glob-precedence.ts";
import { globMatches, policyName } from "./policy-names.ts";
import type { Principal } from "./principal.ts";

/** zot's actions; `fetch` is ours: to cause a first fetch from upstream. */
export type Action = "read" | "create" | "update" | "delete" | "detectManifestCollision" | "fetch";

export interface AccessRules {
  /** `readers`: whoever may read may `fetch`; `byAction`: whom a policy lets. */
  readonly fetch: "readers" | "byAction";
  /** Members by group: added to the groups that a principal brings along. */
  readonly groups: ReadonlyMap<string, ReadonlySet<string>>;
  readonly repositories: readonly RepositoryRules[];
  readonly adminPolicy: Policy | undefined;
  readonly metrics: MetricsRules;
}

/** The rules of the repositories that one pattern matches. */
export interface RepositoryRules {
  readonly glob: Glob;
  readonly policies: readonly Policy[];
  /** For everybody with a name. */
  readonly defaultPolicy: ReadonlySet<Action>;
  /** For those without. */
  readonly anonymousPolicy: ReadonlySet<Action>;
}

export interface Policy {
  readonly users: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
  readonly actions: ReadonlySet<Action>;
  /** All of them must hold. */
  readonly conditions: readonly Condition[];
}

/** Who may read the server's metrics: nobody else may, not even an administrator. */
export interface MetricsRules {
  readonly users: ReadonlySet<string>;
  readonly anonymousPolicy: ReadonlySet<Action>;
}

/** What there is for people without a name: nothing, something beside what others are given, or all that is given to anybody. */
type AnonymousReach = "none" | "some" | "only";

/** What conditions may look at and only the request knows. */
export type RequestFacts = Omit<ConditionFacts, "action" | "repository" | "user" | "groups" | "isAdmin" | "claims">;

export interface AccessQuestion {
  /** Undefined: somebody without a name. */
  readonly principal: Principal | undefined;
  readonly action: Action;
  readonly repository: Repository;
  /** Called when a condition is met. */
  readonly facts: () => RequestFacts;
}

export interface Decision {
  readonly isAllowed: boolean;
  /** What decided, in the words of the configuration: `repositories["infra/*"].policies[0]`, `adminPolicy`, `no pattern matches`. */
  readonly rule: string;
  /** The message of a condition that was false, where the grant that it belongs to would have decided. */
  readonly reason: string | undefined;
  /** The condition that could not be evaluated, and so granted nothing: `repositories["**"].policies[0].conditions[1]`. For the log. */
  readonly failedCondition: string | undefined;
}

interface Grant {
  readonly isGranted: boolean;
  readonly rule: string;
  readonly reason?: string | undefined;
  readonly failedCondition?: string | undefined;
}

/** A question with what follows from it. */
interface Case extends AccessQuestion {
  readonly groups: ReadonlySet<string>;
  /** Conditions on what a listing has not got are taken for true. */
  readonly isListing: boolean;
  readonly conditionFacts: () => ConditionFacts;
}

const noGroups: ReadonlySet<string> = new Set();
const notGranted = { reason: undefined, failedCondition: undefined };

export class AccessPolicy {
  /** Whether a decision may be another one for the next request, though all names are the same. */
  readonly hasConditions: boolean;
  readonly #anonymousReach: AnonymousReach;
  readonly #rules: AccessRules;
  readonly #defaultHost: RegistryHost;
  /** The first that matches decides. */
  readonly #ordered: readonly RepositoryRules[];
  // Servers ask with the same objects again and again; trying every pattern each time would cost more than the rest of an answer.
  readonly #entries = new WeakMap<Repository, RepositoryRules | "none">();
  readonly #groups = new WeakMap<Principal, ReadonlySet<string>>();

  constructor(rules: AccessRules, defaultHost: RegistryHost) {
    this.#rules = rules;
    this.#defaultHost = defaultHost;
    this.#ordered = rules.repositories.toSorted((one, other) => byPrecedence(one.glob, other.glob));
    this.hasConditions = policiesOf(rules).some(({ conditions }) => conditions.length > 0);
    this.#anonymousReach = anonymousReachOf(rules);
  }

  /** Which action it takes to cause a first fetch. */
  get fetchingTakes(): Action {
    return this.#rules.fetch === "readers" ? "read" : "fetch";
  }

  /** Decides. Never throws: a condition that fails grants nothing. */
  decide(question: AccessQuestion): Decision {
    return this.#decide(question, { isListing: false });
  }

  /**
   * Whether a listing shows `repository`: to those who may read it and to every administrator. A condition on a reference or a method
   * hides nothing there, since it may hold for some.
   */
  isListed(question: Omit<AccessQuestion, "action">): boolean {
    return this.isAdmin(question.principal) || this.#decide({ ...question, action: "read" }, { isListing: true }).isAllowed;
  }

  /** Whether one may read the server's metrics. */
  decideMetrics(principal: Principal | undefined): Decision {
    const { users, anonymousPolicy } = this.#rules.metrics;
    if (!principal) return { ...notGranted, isAllowed: anonymousPolicy.has("read"), rule: "metrics.anonymousPolicy" };
    return { ...notGranted, isAllowed: users.has(principal.name), rule: "metrics.users" };
  }

  /** The groups of the principal's own method and those of the configuration. */
  groupsOf(principal: Principal | undefined): ReadonlySet<string> {
    if (!principal) return noGroups;
    const known = this.#groups.get(principal);
    if (known) return known;
    const groups = new Set(principal.groups);
    for (const [group, users] of this.#rules.groups) if (users.has(principal.name)) groups.add(group);
    this.#groups.set(principal, groups);
    return groups;
  }

  /** Whether adminPolicy names the principal, whatever it may do there and on whatever conditions. */
  isAdmin(principal: Principal | undefined): boolean {
    const { adminPolicy } = this.#rules;
    return principal !== undefined && adminPolicy !== undefined && names(adminPolicy, principal, this.groupsOf(principal));
  }

  /** Whether adminPolicy names the principal and its conditions hold: who may use what is for administrators only. */
  isActiveAdmin({ principal, facts }: Pick<AccessQuestion, "principal" | "facts">, what: { readonly repository: string; readonly action: string }): boolean {
    const { adminPolicy } = this.#rules;
    if (!principal || !adminPolicy || !this.isAdmin(principal)) return false;
    return adminPolicy.conditions.every((condition) => condition.evaluate(this.#conditionFacts({ principal, facts }, what)) === true);
  }

  anonymousReach(): AnonymousReach {
    return this.#anonymousReach;
  }

  #decide(question: AccessQuestion, { isListing }: Pick<Case, "isListing">): Decision {
    const { principal, repository } = question;
    const action = question.action === "fetch" ? this.fetchingTakes : question.action;
    const conditionFacts = (): ConditionFacts =>
      this.#conditionFacts({ principal, facts: question.facts }, { action, repository: policyName(repository, this.#defaultHost) });
    const asked: Case = { ...question, action, groups: this.groupsOf(principal), isListing, conditionFacts };
    const entry = this.#entryOf(repository);
    const own = entry ? decideWithin(entry, asked) : { isGranted: false, rule: "no pattern matches" };
    if (own.isGranted) return { ...notGranted, isAllowed: true, rule: own.rule };
    const { adminPolicy } = this.#rules;
    const admin = adminPolicy && decideByPolicy(adminPolicy, "adminPolicy", asked);
    if (admin?.isGranted) return { ...notGranted, isAllowed: true, rule: admin.rule };
    return { isAllowed: false, rule: own.rule, reason: own.reason ?? admin?.reason, failedCondition: own.failedCondition ?? admin?.failedCondition };
  }

  #entryOf(repository: Repository): RepositoryRules | undefined {
    const known = this.#entries.get(repository);
    if (known !== undefined) return known === "none" ? undefined : known;
    const entry = this.#ordered.find(({ glob }) => globMatches(glob, repository, this.#defaultHost));
    this.#entries.set(repository, entry ?? "none");
    return entry;
  }

  #conditionFacts({ principal, facts }: Pick<AccessQuestion, "principal" | "facts">, what: Pick<ConditionFacts, "action" | "repository">): ConditionFacts {
    return {
      ...facts(),
      ...what,
      user: principal?.name ?? "",
      groups: [...this.groupsOf(principal)],
      isAdmin: this.isAdmin(principal),
      claims: principal?.claims ?? {},
    };
  }
}

function decideWithin(entry: RepositoryRules, asked: Case): Grant {
  const { principal, action } = asked;
  const rule = `repositories[${JSON.stringify(entry.glob.pattern)}]`;
  if (!principal) return { isGranted: entry.anonymousPolicy.has(action), rule: `${rule}.anonymousPolicy` };
  const denials: Grant[] = [];
  for (const [index, policy] of entry.policies.entries()) {
    const grant = decideByPolicy(policy, `${rule}.policies[${index}]`, asked);
    if (grant.isGranted) return grant;
    denials.push(grant);
  }
  return {
    isGranted: entry.defaultPolicy.has(action),
    rule: `${rule}.defaultPolicy`,
    reason: denials.find(({ reason }) => reason !== undefined)?.reason,
    failedCondition: denials.find(({ failedCondition }) => failedCondition !== undefined)?.failedCondition,
  };
}

function decideByPolicy(policy: Policy, rule: string, { principal, action, groups, isListing, conditionFacts }: Case): Grant {
  if (!principal || !policy.actions.has(action) || !names(policy, principal, groups)) return { isGranted: false, rule };
  for (const [index, condition] of policy.conditions.entries()) {
    if (isListing && condition.needsReference) continue;
    const verdict = condition.evaluate(conditionFacts());
    if (verdict === "failed") return { isGranted: false, rule, failedCondition: `${rule}.conditions[${index}]` };
    if (!verdict) return { isGranted: false, rule, reason: condition.message };
  }
  return { isGranted: true, rule };
}

function names({ users, groups }: Policy, { name }: Principal, own: ReadonlySet<string>): boolean {
  return users.has(name) || [...own].some((group) => groups.has(group));
}

function policiesOf({ repositories, adminPolicy }: AccessRules): readonly Policy[] {
  return [...repositories.flatMap(({ policies }) => policies), ...(adminPolicy ? [adminPolicy] : [])];
}

function anonymousReachOf(rules: AccessRules): AnonymousReach {
  const { repositories } = rules;
  if (repositories.every(({ anonymousPolicy }) => anonymousPolicy.size === 0)) return "none";
  const givesOthers = repositories.some(({ defaultPolicy }) => defaultPolicy.size > 0) || policiesOf(rules).some(({ actions }) => actions.size > 0);
  return givesOthers ? "some" : "only";
}
