/**
 * zot's decisions on repositories, by their numbers in the list that was made with zot's own functions. Users whom only a conflict of
 * tags concerns, and pages that we do not have, are left out; what we refuse to load says why.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PlainRules } from "./naive-policy.ts";

export interface ZotDecision {
  readonly number: number;
  /** One of `zotConfigurations`. */
  readonly configuration: string;
  /** Empty: somebody without a name. */
  readonly user: string;
  /** Those that the method of authentication says, beside the configuration's. */
  readonly groups: readonly string[];
  readonly path: string;
  /** `+` or `-` for each of read, create, update and delete. */
  readonly actions: string;
  readonly isListed: boolean;
}

/** zot's example. */
export const zotExample = (
  JSON.parse(readFileSync(join(import.meta.dirname, "../config/examples/zot-access-control.json"), "utf8")) as { http: { accessControl: PlainRules } }
).http.accessControl;

/** It, and small ones that each show one rule. */
export const zotConfigurations: Readonly<Record<string, PlainRules>> = {
  S: zotExample,
  E1: {
    repositories: {
      "**": { defaultPolicy: ["read"] },
      "{infra,repos}/**": { defaultPolicy: ["read", "create"] },
      "infra/secret": { policies: [{ users: ["alice"], actions: ["read"] }] },
    },
  },
  E2: { repositories: { "pub/**": { anonymousPolicy: ["read"] } } },
  E3: { repositories: { "**": { defaultPolicy: ["read"], policies: [{ users: ["dave"], actions: ["delete"] }] } } },
  E4: {
    repositories: { "**": { defaultPolicy: ["read", "create"] }, "locked/**": {} },
    adminPolicy: { users: ["root"], groups: ["ops"], actions: ["delete"] },
  },
  E5: { repositories: { "infra/*": { defaultPolicy: ["read"] } } },
  E6: { repositories: { "**": { policies: [{ users: [""], actions: ["read", "create"] }] } } },
  E7: { repositories: { "**": { defaultPolicy: ["create"] } } },
  E9: { repositories: { "repo/a*": { defaultPolicy: ["read"] }, "repo/*b": { defaultPolicy: ["read", "create"] } } },
};
/** What is refused when it is loaded, the words that say so, and what is nearest to it and loads, if anything is. */
export const refusedConfigurations: Readonly<Record<string, { readonly complaint: RegExp; readonly loadable: PlainRules | undefined }>> = {
  E3: {
    complaint: /repositories\["\*\*"\]\.policies\[0\]\.actions: delete without read/,
    loadable: { repositories: { "**": { defaultPolicy: ["read"], policies: [{ users: ["dave"], actions: ["read", "delete"] }] } } },
  },
  E4: {
    complaint: /adminPolicy\.actions: delete without read/,
    loadable: {
      repositories: { "**": { defaultPolicy: ["read", "create"] }, "locked/**": {} },
      adminPolicy: { users: ["root"], groups: ["ops"], actions: ["read", "delete"] },
    },
  },
  E6: { complaint: /policies\[0\]\.users\[0\]: an empty name: people without one have anonymousPolicy/, loadable: undefined },
  E7: { complaint: /defaultPolicy: create without read/, loadable: { repositories: { "**": { defaultPolicy: ["read", "create"] } } } },
};

/** Not here: what a conflict of tags does to those who delete (43), and a page of zot's that we do not have (45). Metrics (46, 47) know no repository. */
export const numbersElsewhere: readonly number[] = [43, 45, 46, 47];

/** As zot says, but for 41, where it takes an empty name for nobody's, and 44, a tie, where it throws dice. */
export const zotDecisions: readonly ZotDecision[] = (
  [
    [1, "S", "", [], "any", "----", false],
    [2, "S", "", [], "tmp/a", "+---", true],
    [3, "S", "", [], "tmp", "+---", true],
    [4, "S", "", [], "tmp/a/b/c", "+---", true],
    [5, "S", "", [], "infra/x", "----", false],
    [6, "S", "", [], "repos2/repo", "----", false],
    [7, "S", "zed", [], "any", "++--", true],
    [8, "S", "zed", [], "tmp/a", "+++-", true],
    [9, "S", "zed", [], "infra/x", "+---", true],
    [10, "S", "zed", [], "infra/x/y", "++--", true],
    [11, "S", "zed", [], "infra", "++--", true],
    [12, "S", "zed", [], "repos2/repo", "+---", true],
    [13, "S", "zed", [], "repos2/other", "++--", true],
    [14, "S", "charlie", [], "any", "+++-", true],
    [15, "S", "charlie", [], "infra/x", "+---", true],
    [16, "S", "charlie", [], "infra/x/y", "+++-", true],
    [17, "S", "alice", [], "any", "+++-", true],
    [18, "S", "alice", [], "infra/x", "++++", true],
    [19, "S", "alice", [], "infra/x/y", "+++-", true],
    [20, "S", "alice", [], "repos2/repo", "+---", true],
    [21, "S", "bob", [], "any", "++--", true],
    [22, "S", "bob", [], "infra/x", "++++", true],
    [23, "S", "bob", [], "repos2/repo", "++--", true],
    [24, "S", "mary", [], "infra/x", "++--", true],
    [25, "S", "mallory", [], "infra/x", "++--", true],
    [26, "S", "mallory", [], "any", "+++-", true],
    [27, "S", "jim", [], "infra/x", "+---", true],
    [28, "S", "admin", [], "any", "++++", true],
    [28, "S", "admin", [], "infra/x", "++++", true],
    [28, "S", "admin", [], "repos2/repo", "++++", true],
    [29, "S", "Admin", [], "any", "++--", true],
    [30, "S", "zed", ["group2"], "any", "+++-", true],
    [31, "E1", "zed", [], "infra/secret", "++--", true],
    [32, "E2", "zed", [], "pub/a", "----", false],
    [33, "E2", "", [], "pub/a", "+---", true],
    [34, "E2", "", [], "other", "----", false],
    [35, "E3", "dave", [], "a", "+--+", true],
    [36, "E4", "zed", [], "locked/a", "----", false],
    [37, "E4", "root", [], "locked/a", "---+", true],
    [38, "E4", "zed", ["ops"], "locked/a", "---+", true],
    [39, "E4", "root", [], "b", "++-+", true],
    [40, "E5", "zed", [], "other", "----", false],
    [41, "E6", "", [], "a", "----", false],
    [42, "E7", "zed", [], "a", "-+--", false],
    [44, "E9", "zed", [], "repo/ab", "++--", true],
  ] as const
).map(([number, configuration, user, groups, path, actions, isListed]) => ({ number, configuration, user, groups, path, actions, isListed }));
