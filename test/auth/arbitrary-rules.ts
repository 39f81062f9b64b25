/** Access rules and questions about them, made up by fast-check: few names and few words, so that they meet often. */
import fc from "fast-check";
import type { PlainQuestion, PlainRules } from "./naive-policy.ts";

export const arbitraryUsers = ["alice", "bob", "carol", "Alice"] as const;
/** The first is the default upstream. */
export const arbitraryHosts = ["registry.example", "ghcr.io", "localhost:5000"] as const;

const groupNames = ["dev", "ops", "Dev"];
const components = ["team", "prod", "app", "infra"];

const actionSet = fc
  .subarray(["read", "create", "update", "delete", "detectManifestCollision", "fetch"])
  .map((set) => (set.some((action) => ["create", "update", "delete"].includes(action)) && !set.includes("read") ? [...set, "read"] : set));
const people = fc.record({ users: fc.subarray([...arbitraryUsers]), groups: fc.subarray(groupNames), actions: actionSet });
const component = fc.constantFrom(...components, "*", "**", "t*", "{team,prod}", "{app,infra,team}", "[a-p]*", "?eam", "*a*");
const pattern = fc
  .tuple(fc.constantFrom("", "", "", "registry.example/", "ghcr.io/", "*.io/", "localhost:5000/"), fc.array(component, { minLength: 1, maxLength: 3 }))
  .map(([host, parts]) => host + parts.join("/"));
const entry = fc.record({ policies: fc.array(people, { maxLength: 3 }), defaultPolicy: actionSet, anonymousPolicy: actionSet }, { requiredKeys: [] });

/** Every one of them can be loaded. */
export const arbitraryRules: fc.Arbitrary<PlainRules> = fc.record(
  {
    fetch: fc.constantFrom("readers" as const, "byAction" as const),
    groups: fc.dictionary(fc.constantFrom(...groupNames), fc.record({ users: fc.subarray([...arbitraryUsers]) })),
    repositories: fc.dictionary(pattern, entry, { maxKeys: 6 }),
    adminPolicy: people,
  },
  { requiredKeys: ["repositories"] },
);

export const arbitraryQuestion: fc.Arbitrary<PlainQuestion> = fc.record({
  user: fc.constantFrom("", ...arbitraryUsers),
  groups: fc.subarray(groupNames),
  host: fc.constantFrom(...arbitraryHosts),
  path: fc.array(fc.constantFrom(...components, "steam"), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/")),
  action: fc.constantFrom("read", "read", "create", "update", "delete", "fetch"),
});
