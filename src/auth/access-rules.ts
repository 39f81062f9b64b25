/**
 * From zot's `accessControl`, as it is written, to `AccessRules`. What would open a door that nobody meant to open, or could never
 * match, is an error here and not a surprise later; what is merely odd is a notice.
 */
import type { RegistryNames } from "../oci/registry-names.ts";
import type { AccessRules, Action, MetricsRules, Policy, RepositoryRules } from "./access-policy.ts";
import { keyName, type AccessFinding, type AccessPath } from "./access-finding.ts";
import { noticesOfRules } from "./access-rule-notices.ts";
import { loadConditions, type Condition, type WrittenCondition } from "./conditions.ts";
import { parseGlob, type Glob } from "../oci/glob.ts";
import { canonicalPattern } from "./policy-names.ts";

/** Its keys in their one spelling, its values unread. */
export interface WrittenAccessControl {
  readonly fetch: AccessRules["fetch"];
  readonly groups: Readonly<Record<string, { readonly users: readonly string[] }>>;
  /** By pattern. */
  readonly repositories: Readonly<Record<string, WrittenRepository>>;
  readonly adminPolicy: WrittenPolicy | undefined;
  readonly metrics: { readonly users: readonly string[]; readonly anonymousPolicy: readonly string[] } | undefined;
}

interface WrittenRepository {
  readonly policies: readonly WrittenPolicy[];
  readonly defaultPolicy: readonly string[];
  readonly anonymousPolicy: readonly string[];
}

interface WrittenPolicy {
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly actions: readonly string[];
  readonly conditions: readonly WrittenCondition[];
}

export type AccessReading =
  | { readonly kind: "read"; readonly rules: AccessRules; readonly notices: readonly AccessFinding[] }
  | { readonly kind: "refused"; readonly problems: readonly AccessFinding[] };

const actions: readonly Action[] = ["read", "create", "update", "delete", "detectManifestCollision", "fetch"];
const writing: readonly Action[] = ["create", "update", "delete"];

/** The action that is written so; undefined for any other word. */
export function findAction(word: string): Action | undefined {
  return actions.find((action) => action === word);
}

/** Reads all of it and finds everything that is wrong. The language of conditions is loaded only when there is one. */
export async function readAccessRules(written: WrittenAccessControl, names: RegistryNames): Promise<AccessReading> {
  const policies = [...Object.values(written.repositories).flatMap((entry) => entry.policies), ...(written.adminPolicy ? [written.adminPolicy] : [])];
  const hasConditions = policies.some(({ conditions }) => conditions.length > 0);
  const reader = new RulesReader(names, hasConditions ? await loadConditions() : undefined);
  const rules = reader.read(written);
  if (reader.problems.length > 0) return { kind: "refused", problems: reader.problems };
  return { kind: "read", rules, notices: noticesOfRules(rules, names) };
}

class RulesReader {
  readonly problems: AccessFinding[] = [];
  readonly #names: RegistryNames;
  readonly #compile: ((written: WrittenCondition) => Condition) | undefined;

  constructor(names: RegistryNames, compile: ((written: WrittenCondition) => Condition) | undefined) {
    this.#names = names;
    this.#compile = compile;
  }

  read({ fetch, groups, repositories, adminPolicy, metrics }: WrittenAccessControl): AccessRules {
    return {
      fetch,
      groups: this.#readGroups(groups),
      repositories: Object.entries(repositories).flatMap(([pattern, entry]) => this.#readRepository(pattern, entry)),
      adminPolicy: adminPolicy && this.#readPolicy(adminPolicy, ["accessControl", "adminPolicy"]),
      metrics: this.#readMetrics(metrics),
    };
  }

  #readGroups(groups: WrittenAccessControl["groups"]): AccessRules["groups"] {
    const path = ["accessControl", "groups"];
    return new Map(
      Object.entries(groups).map(([group, { users }]) => {
        if (group.trim() === "") this.#refuse([...path, group], "a group must have a name");
        return [group, this.#readNames(users, [...path, group, "users"])];
      }),
    );
  }

  #readRepository(pattern: string, entry: WrittenRepository): readonly RepositoryRules[] {
    const path = ["accessControl", "repositories", pattern];
    const glob = this.#readPattern(pattern, path);
    const rules = {
      policies: entry.policies.map((policy, at) => this.#readPolicy(policy, [...path, "policies", at])),
      defaultPolicy: this.#readActions(entry.defaultPolicy, [...path, "defaultPolicy"]),
      anonymousPolicy: this.#readActions(entry.anonymousPolicy, [...path, "anonymousPolicy"]),
    };
    return glob ? [{ glob, ...rules }] : [];
  }

  /** Undefined when it was refused. */
  #readPattern(pattern: string, path: AccessPath): Glob | undefined {
    try {
      const glob = parseGlob(pattern);
      const other = glob.alternatives.map(({ text }) => canonicalPattern(text, this.#names)).find((canonical) => canonical !== undefined);
      if (other === undefined) return glob;
      const isWhole = glob.alternatives.length === 1;
      this.#refuse(
        path,
        `the pattern ${JSON.stringify(pattern)} begins with another name of a registry; write ${isWhole ? "" : "... "}${JSON.stringify(other)}`,
      );
    } catch (error) {
      this.#refuse(path, error instanceof Error ? error.message : String(error));
    }
    return undefined;
  }

  #readPolicy({ users, groups, actions: allowed, conditions }: WrittenPolicy, path: AccessPath): Policy {
    return {
      users: this.#readNames(users, [...path, "users"]),
      groups: this.#readNames(groups, [...path, "groups"]),
      actions: this.#readActions(allowed, [...path, "actions"]),
      conditions: conditions.flatMap((condition, at) => this.#readCondition(condition, [...path, "conditions", at])),
    };
  }

  #readCondition(condition: WrittenCondition, path: AccessPath): readonly Condition[] {
    try {
      return this.#compile ? [this.#compile(condition)] : [];
    } catch (error) {
      this.#refuse(path, `not a condition: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  }

  #readMetrics(metrics: WrittenAccessControl["metrics"]): MetricsRules {
    const path = ["accessControl", "metrics"];
    return {
      users: this.#readNames(metrics?.users ?? [], [...path, "users"]),
      anonymousPolicy: this.#readActions(metrics?.anonymousPolicy ?? [], [...path, "anonymousPolicy"]),
    };
  }

  /** An empty name would be that of everybody who has none. */
  #readNames(names: readonly string[], path: AccessPath): ReadonlySet<string> {
    for (const [at, name] of names.entries()) if (name.trim() === "") this.#refuse([...path, at], "an empty name: people without one have anonymousPolicy");
    return new Set(names);
  }

  #readActions(written: readonly string[], path: AccessPath): ReadonlySet<Action> {
    const read = new Set<Action>();
    for (const [at, word] of written.entries()) {
      const action = findAction(word);
      if (action) read.add(action);
      if (!action) this.#refuse([...path, at], `${JSON.stringify(word)} is not an action: ${actions.join(", ")} are`);
    }
    const lonely = writing.filter((action) => read.has(action));
    if (lonely.length > 0 && !written.some((word) => word.toLowerCase() === "read"))
      this.#refuse(path, `${lonely.join(", ")} without read: clients that write read first`);
    return read;
  }

  #refuse(path: AccessPath, what: string): void {
    this.problems.push({ path, message: `${keyName(path)}: ${what}` });
  }
}
