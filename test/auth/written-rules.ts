/** Access rules as people write them, made into what the configuration hands on. */
import type { AccessRules, Action, Policy } from "../../src/auth/access-policy.ts";
import { findAction, readAccessRules, type AccessReading, type WrittenAccessControl } from "../../src/auth/access-rules.ts";
import { parseGlob } from "../../src/oci/glob.ts";
import { RegistryNames, type ListedRegistry } from "../../src/oci/registry-names.ts";
import type { WrittenCondition } from "../../src/auth/conditions.ts";
import type { PlainPolicy, PlainRules } from "./naive-policy.ts";

export interface ConditionalPolicy extends PlainPolicy {
  readonly conditions?: readonly WrittenCondition[];
}

export function written({ fetch = "readers", groups = {}, repositories = {}, adminPolicy, metrics }: PlainRules): WrittenAccessControl {
  return {
    fetch,
    groups,
    repositories: Object.fromEntries(
      Object.entries(repositories).map(([pattern, { policies = [], defaultPolicy = [], anonymousPolicy = [] }]) => [
        pattern,
        { policies: policies.map(writtenPolicy), defaultPolicy, anonymousPolicy },
      ]),
    ),
    adminPolicy: adminPolicy && writtenPolicy(adminPolicy),
    metrics: metrics && { users: metrics.users ?? [], anonymousPolicy: metrics.anonymousPolicy ?? [] },
  };
}

function writtenPolicy({ users = [], groups = [], actions = [], conditions = [] }: ConditionalPolicy): WrittenAccessControl["adminPolicy"] & object {
  return { users, groups, actions, conditions };
}

export function namesOf({
  defaultNs = "registry.example",
  registries = [],
}: { defaultNs?: string; registries?: readonly ListedRegistry[] } = {}): RegistryNames {
  return new RegistryNames({ defaultNs, registries });
}

export function readPlain(rules: PlainRules, names = namesOf()): Promise<AccessReading> {
  return readAccessRules(written(rules), names);
}

/** Rules that can be loaded. */
export async function rulesOf(plain: PlainRules, names = namesOf()): Promise<AccessRules> {
  const reading = await readPlain(plain, names);
  if (reading.kind === "refused") throw new Error(reading.problems.map(({ message }) => message).join("; "));
  return reading.rules;
}

/** Rules as they would be if nothing refused to load them. */
export function uncheckedRules(plain: PlainRules): AccessRules {
  const { fetch, groups, repositories, adminPolicy, metrics } = written(plain);
  const set = (words: readonly string[] = []): ReadonlySet<Action> => new Set(words.flatMap((word) => findAction(word) ?? []));
  const policy = ({ users, groups: members, actions }: NonNullable<typeof adminPolicy>): Policy => ({
    users: new Set(users),
    groups: new Set(members),
    actions: set(actions),
    conditions: [],
  });
  return {
    fetch,
    groups: new Map(Object.entries(groups).map(([group, { users }]) => [group, new Set(users)])),
    repositories: Object.entries(repositories).map(([pattern, entry]) => ({
      glob: parseGlob(pattern),
      policies: entry.policies.map(policy),
      defaultPolicy: set(entry.defaultPolicy),
      anonymousPolicy: set(entry.anonymousPolicy),
    })),
    adminPolicy: adminPolicy && policy(adminPolicy),
    metrics: { users: new Set(metrics?.users), anonymousPolicy: set(metrics?.anonymousPolicy) },
  };
}
