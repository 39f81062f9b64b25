/** What is allowed in access rules and yet perhaps not meant. */
import { dockerHub } from "../oci/repository.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { keyName, type AccessFinding, type AccessPath } from "./access-finding.ts";
import type { AccessRules, Action, Policy, RepositoryRules } from "./access-policy.ts";
import { mayMeet } from "./glob-overlap.ts";
import { parseGlob, type Glob } from "../oci/glob.ts";

/** Pairs of patterns of one length that are looked at: each takes time. */
const pairsMax = 2_000;
const withoutMeaning: readonly Action[] = ["create", "update", "delete", "detectManifestCollision"];

export function noticesOfRules(rules: AccessRules, names: RegistryNames): readonly AccessFinding[] {
  return [
    ...noticesOfNothing(rules),
    ...noticesOfActions(rules),
    ...rules.repositories.flatMap((entry) => [...noticesOfNobody(entry), ...noticesOfHub(entry, names)]),
    ...noticesOfTies(rules.repositories, names),
  ];
}

function noticesOfNothing({ repositories }: AccessRules): readonly AccessFinding[] {
  if (repositories.length > 0) return [];
  return [notice(["accessControl"], "names no repositories, so that nobody but adminPolicy may read any")];
}

function noticesOfActions({ fetch, repositories, adminPolicy }: AccessRules): readonly AccessFinding[] {
  const lists = [
    ...repositories.flatMap(listsOf),
    ...(adminPolicy ? [{ path: ["accessControl", "adminPolicy", "actions"], actions: adminPolicy.actions }] : []),
  ];
  const idle = lists.find(({ actions }) => withoutMeaning.some((action) => actions.has(action)));
  const fetching = lists.find(({ actions }) => actions.has("fetch"));
  return [
    ...(idle ? [notice(idle.path, `gives more than read: ${withoutMeaning.join(", ")} mean nothing yet, for nothing can be pushed here`)] : []),
    ...(fetching && fetch === "readers" ? [notice(fetching.path, "has the action fetch, which means nothing while accessControl.fetch is readers")] : []),
    ...(!fetching && fetch === "byAction"
      ? [notice(["accessControl", "fetch"], "is byAction, and nobody has the action fetch: only what is held is served")]
      : []),
  ];
}

function listsOf({ glob, policies, defaultPolicy, anonymousPolicy }: RepositoryRules): readonly { path: AccessPath; actions: ReadonlySet<Action> }[] {
  const path = ["accessControl", "repositories", glob.pattern];
  return [
    ...policies.map(({ actions }, at) => ({ path: [...path, "policies", at, "actions"], actions })),
    { path: [...path, "defaultPolicy"], actions: defaultPolicy },
    { path: [...path, "anonymousPolicy"], actions: anonymousPolicy },
  ];
}

function noticesOfNobody({ glob, policies }: RepositoryRules): readonly AccessFinding[] {
  const namesNobody = ({ users, groups }: Policy): boolean => users.size === 0 && groups.size === 0;
  return policies.flatMap((policy, at) =>
    namesNobody(policy)
      ? [notice(["accessControl", "repositories", glob.pattern, "policies", at], "names neither users nor groups, so that it is for nobody")]
      : [],
  );
}

/** Docker Hub's official images are `library/...` wherever they are looked up. */
function noticesOfHub({ glob }: RepositoryRules, { defaultHost }: RegistryNames): readonly AccessFinding[] {
  const isOneWord = ({ tokens }: Glob["alternatives"][number]): boolean =>
    tokens.every((token) => token.kind === "star" || (token.kind === "one" && !token.takes("/")));
  if (defaultHost !== dockerHub || !glob.alternatives.every(isOneWord)) return [];
  return [
    notice(
      ["accessControl", "repositories", glob.pattern],
      `matches nothing: names on Docker Hub have two words; official images are ${JSON.stringify(`library/${glob.pattern}`)}`,
    ),
  ];
}

/** Patterns of one length that can match one name: which of them decides is a rule that few know. */
function noticesOfTies(repositories: readonly RepositoryRules[], names: RegistryNames): readonly AccessFinding[] {
  const notices: AccessFinding[] = [];
  let pairs = 0;
  for (const [at, { glob: one }] of repositories.entries()) {
    for (const { glob: other } of repositories.slice(at + 1)) {
      if (Buffer.byteLength(one.pattern) !== Buffer.byteLength(other.pattern)) continue;
      if (++pairs > pairsMax) return notices;
      if (!mayMeet(one, other) && !mayMeet(barePattern(one, names), barePattern(other, names))) continue;
      notices.push(
        notice(
          ["accessControl", "repositories", other.pattern],
          `is as long as ${JSON.stringify(one.pattern)} and may match the same names: then the one with fewer of *?[]{} decides, else the first by its letters`,
        ),
      );
    }
  }
  return notices;
}

/** `docker.io/a/*` is `a/*` where docker.io is the default upstream. */
function barePattern(glob: Glob, { defaultHost }: RegistryNames): Glob {
  const prefix = `${defaultHost}/`;
  return glob.pattern.startsWith(prefix) && glob.pattern !== prefix ? parseGlob(glob.pattern.slice(prefix.length)) : glob;
}

function notice(path: AccessPath, clause: string): AccessFinding {
  return { path, message: `${keyName(path)} ${clause}` };
}
