import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AccessPolicy, type AccessRules, type Action, type RequestFacts } from "../../src/auth/access-policy.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { readConfig } from "../../src/config/load.ts";
import { inquire } from "../../src/access.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { arbitraryHosts, arbitraryQuestion, arbitraryRules } from "./arbitrary-rules.ts";
import { decidingPattern, naiveAllows, naiveLists, type PlainRules } from "./naive-policy.ts";
import { namesOf, rulesOf, uncheckedRules, type ConditionalPolicy } from "./written-rules.ts";
import { numbersElsewhere, refusedConfigurations, zotConfigurations, zotDecisions, zotExample } from "./zot-decisions.ts";

const defaultHost = parseRegistryHost(arbitraryHosts[0]);

function repository(path: string, host: string = defaultHost): Repository {
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
}

/** "" is somebody without a name. */
function principal(name: string, groups: readonly string[] = []): Principal | undefined {
  return name === "" ? undefined : { name, groups, method: "htpasswd" };
}

const facts = (): RequestFacts => ({
  timeMs: Date.UTC(2026, 0, 1),
  method: "GET",
  userAgent: "containerd/2.0",
  reference: { kind: "tag", name: "latest" },
  client: "10.0.0.5",
  forwardedFor: [],
  tlsVersion: "1.3",
});

function policyOf(rules: AccessRules): AccessPolicy {
  return new AccessPolicy(rules, defaultHost);
}

const inTable: readonly Action[] = ["read", "create", "update", "delete"];

describe("zot's decisions", () => {
  test("each of the list is here, or it is said where it is", () => {
    const numbers = new Set([...zotDecisions.map(({ number }) => number), ...numbersElsewhere]);
    expect([...numbers].toSorted((one, other) => one - other)).toEqual(Array.from({ length: 47 }, (_, index) => index + 1));
  });

  test.each(zotDecisions)(
    "$number: $configuration, '$user' of $groups on $path: $actions",
    async ({ configuration, user, groups, path, actions, isListed }) => {
      const plain = zotConfigurations[configuration] ?? {};
      const policy = policyOf(refusedConfigurations[configuration] ? uncheckedRules(plain) : await rulesOf(plain));
      const asked = { principal: principal(user, groups), repository: repository(path), facts };
      const decided = inTable.map((action) => (policy.decide({ ...asked, action }).isAllowed ? "+" : "-"));
      expect([decided.join(""), policy.isListed(asked)]).toEqual([actions, isListed]);
    },
  );

  test.each(zotDecisions)("$number: the second implementation agrees", ({ configuration, user, groups, path, actions, isListed }) => {
    const plain = zotConfigurations[configuration] ?? {};
    const question = { user, groups, host: defaultHost, path };
    const decided = inTable.map((action) => (naiveAllows(plain, { ...question, action }, defaultHost) ? "+" : "-"));
    expect([decided.join(""), naiveLists(plain, { ...question, action: "read" }, defaultHost)]).toEqual([actions, isListed]);
  });

  test.each(zotDecisions.filter(({ configuration }) => !refusedConfigurations[configuration]))(
    "$number: the command line agrees",
    async ({ configuration, user, groups, path, actions }) => {
      const text = JSON.stringify({ defaultNs: defaultHost, registries: [{ name: defaultHost }], http: { accessControl: zotConfigurations[configuration] } });
      const { config } = readConfig(text, { configFile: "config.json", environment: {} });
      const asked = { user: user === "" ? undefined : user, groups, repository: path, reference: undefined, client: undefined };
      const answers = await Promise.all(inTable.map((action) => inquire(config, { ...asked, action }, { environment: {}, nowMs: 0 })));
      expect(answers.map(({ isAllowed }) => (isAllowed ? "+" : "-")).join("")).toBe(actions);
    },
  );

  test.each([
    ["charlie", "any", "read", 'repositories["**"].policies[0]'],
    ["jim", "any", "update", 'repositories["**"].policies[0]'],
    ["zed", "any", "read", 'repositories["**"].defaultPolicy'],
    ["", "tmp/a", "read", 'repositories["tmp/**"].anonymousPolicy'],
    ["", "infra/x", "read", 'repositories["infra/*"].anonymousPolicy'],
    ["mary", "infra/x", "create", 'repositories["infra/*"].policies[1]'],
    ["bob", "repos2/repo", "create", 'repositories["repos2/repo"].policies[0]'],
    ["admin", "repos2/repo", "delete", "adminPolicy"],
  ] as const)("the rule that decides on '%s' at %s (%s) is %s", async (user, path, action, rule) => {
    const policy = policyOf(await rulesOf(zotExample));
    expect(policy.decide({ principal: principal(user), repository: repository(path), action, facts }).rule).toBe(rule);
  });

  test("without a pattern that matches nobody may do anything, and the rule says so", async () => {
    const policy = policyOf(await rulesOf({}));
    const asked = { principal: principal("alice"), repository: repository("a"), action: "read", facts } as const;
    expect(policy.decide(asked)).toMatchObject({ isAllowed: false, rule: "no pattern matches" });
    expect(policy.isListed(asked)).toBe(false);
  });

  test.each([
    ["the one with fewer wildcards", ["team/a?", "team/ab"], "team/ab"],
    ["the one with fewer wildcards, in any order", ["team/ab", "team/a?"], "team/ab"],
    ["the first by its letters", ["team/a?", "team/?b"], "team/?b"],
    ["the first by its letters, in any order", ["team/?b", "team/a?"], "team/?b"],
  ])("of two patterns of one length %s decides", async (_, patterns, deciding) => {
    const policy = policyOf(await rulesOf({ repositories: Object.fromEntries(patterns.map((pattern) => [pattern, {}])) }));
    const { rule } = policy.decide({ principal: principal("a"), repository: repository("team/ab"), action: "read", facts });
    expect(rule).toBe(`repositories["${deciding}"].defaultPolicy`);
  });

  test("groups are told apart by every letter", async () => {
    const policy = policyOf(await rulesOf({ repositories: { "**": { policies: [{ groups: ["Ops"], actions: ["read"] }] } } }));
    const may = (group: string): boolean => policy.decide({ principal: principal("x", [group]), repository: repository("a"), action: "read", facts }).isAllowed;
    expect([may("Ops"), may("ops")]).toEqual([true, false]);
  });
});

describe("whose repository a pattern means", () => {
  const allowed = async (pattern: string, host: string, path: string): Promise<boolean> => {
    const policy = policyOf(await rulesOf({ repositories: { [pattern]: { anonymousPolicy: ["read"] } } }));
    return policy.decide({ principal: undefined, repository: repository(path, host), action: "read", facts }).isAllowed;
  };

  test.each([
    ["team/*", "registry.example", "team/app", true],
    ["registry.example/team/*", "registry.example", "team/app", true],
    ["registry.example/**", "registry.example", "app", true],
    ["*/*", "registry.example", "app", false],
    ["*/*", "registry.example", "team/app", true],
    ["**", "ghcr.io", "team/app", true],
    ["team/*", "ghcr.io", "team/app", false],
    ["ghcr.io/team/*", "ghcr.io", "team/app", true],
    ["ghcr.io/team/*", "registry.example", "team/app", false],
    ["*.io/team/*", "ghcr.io", "team/app", true],
    ["*.example/team/*", "registry.example", "team/app", true],
    // A zot user's own names may look like hosts.
    ["my.team/**", "registry.example", "my.team/app", true],
    ["localhost:5000/*", "localhost:5000", "app", true],
  ])("%s and %s/%s: %s", async (pattern, host, path, isMeant) => {
    expect(await allowed(pattern, host, path)).toBe(isMeant);
  });
});

describe("conditions", () => {
  const conditional = (...conditions: readonly { expression: string; message?: string }[]): PlainRules => {
    const policy: ConditionalPolicy = { users: ["alice"], actions: ["read"], conditions };
    return { repositories: { "**": { policies: [policy] } } };
  };
  const asked = { principal: principal("alice", ["dev"]), repository: repository("team/app"), action: "read", facts } as const;

  test("all must hold; the first that does not says why", async () => {
    const future = { expression: 'req.time < timestamp("2099-01-01T00:00:00Z")', message: "over" };
    const noLatest = { expression: 'req.tag != "latest"', message: "name a version" };
    expect(policyOf(await rulesOf(conditional(future))).decide(asked).isAllowed).toBe(true);
    expect(policyOf(await rulesOf(conditional(future, noLatest))).decide(asked)).toEqual({
      isAllowed: false,
      rule: 'repositories["**"].defaultPolicy',
      reason: "name a version",
      failedCondition: undefined,
    });
  });

  test("one that cannot be evaluated grants nothing, tells the client nothing, and is named for the log", async () => {
    const policy = policyOf(await rulesOf(conditional({ expression: 'req.claims.team == "a"', message: "other team" })));
    expect(policy.decide(asked)).toMatchObject({ isAllowed: false, reason: undefined, failedCondition: 'repositories["**"].policies[0].conditions[0]' });
  });

  test("another grant counts all the same", async () => {
    const rules = conditional({ expression: "false" });
    const open = { ...rules, repositories: { "**": { ...rules.repositories?.["**"], defaultPolicy: ["read"] } } };
    expect(policyOf(await rulesOf(open)).decide(asked)).toMatchObject({ isAllowed: true, rule: 'repositories["**"].defaultPolicy' });
  });

  test("they see the name that policies use, the groups of the configuration, the administrator", async () => {
    const expression = 'req.repository == "team/app" && "ops" in req.user.groups && "dev" in req.user.groups && req.auth.admin && req.action == "read"';
    const rules = { ...conditional({ expression }), groups: { ops: { users: ["alice"] } }, adminPolicy: { users: ["alice"], actions: [] } };
    expect(policyOf(await rulesOf(rules)).decide(asked).isAllowed).toBe(true);
  });

  test("a listing hides what they exclude, but for those on a reference, which may hold for some", async () => {
    const listed = async (expression: string): Promise<boolean> => policyOf(await rulesOf(conditional({ expression }))).isListed(asked);
    expect(await listed('req.repository.startsWith("prod/")')).toBe(false);
    expect(await listed('req.repository.startsWith("team/")')).toBe(true);
    expect(await listed('req.referenceType == "digest"')).toBe(true);
  });

  test("an administrator whose conditions do not hold is none for what is for administrators", async () => {
    const admin: ConditionalPolicy = { users: ["root"], actions: ["read"], conditions: [{ expression: 'req.client.ip == "10.0.0.9"' }] };
    const policy = policyOf(await rulesOf({ adminPolicy: admin }));
    const what = { repository: "", action: "prune" };
    const from = (client: string) => ({ principal: principal("root"), facts: () => ({ ...facts(), client }) });
    expect(policy.isAdmin(principal("root"))).toBe(true);
    expect([policy.isActiveAdmin(from("10.0.0.9"), what), policy.isActiveAdmin(from("10.0.0.5"), what)]).toEqual([true, false]);
    expect(policy.isActiveAdmin({ principal: undefined, facts }, what)).toBe(false);
  });
});

describe("first fetches", () => {
  const rules: PlainRules = {
    repositories: { "**": { defaultPolicy: ["read"], anonymousPolicy: ["read"], policies: [{ users: ["ci"], actions: ["fetch"] }] } },
    adminPolicy: { users: ["root"], actions: ["read"] },
  };
  const mayFetch = async (plain: PlainRules, user: string): Promise<boolean> =>
    policyOf(await rulesOf(plain)).decide({ principal: principal(user), repository: repository("a"), action: "fetch", facts }).isAllowed;

  test("are for whoever may read, unless they have an action of their own", async () => {
    const byAction: PlainRules = { ...rules, fetch: "byAction" };
    expect(await Promise.all(["", "zed", "ci", "root"].map((user) => mayFetch(rules, user)))).toEqual([true, true, true, true]);
    expect(await Promise.all(["", "zed", "ci", "root"].map((user) => mayFetch(byAction, user)))).toEqual([false, false, true, false]);
  });
});

test("metrics are for those whom their own list names, not for administrators", async () => {
  const listed = policyOf(await rulesOf({ metrics: { users: ["prom"] }, adminPolicy: { users: ["admin"], actions: ["read"] } }));
  expect(["prom", "admin", ""].map((user) => listed.decideMetrics(principal(user)).isAllowed)).toEqual([true, false, false]);
  const open = policyOf(await rulesOf({ metrics: { anonymousPolicy: ["read"] } }));
  expect(["", "prom"].map((user) => open.decideMetrics(principal(user)))).toMatchObject([
    { isAllowed: true, rule: "metrics.anonymousPolicy" },
    { isAllowed: false, rule: "metrics.users" },
  ]);
});

test("what there is for people without a name is nothing, something, or all there is", async () => {
  const reach = async (plain: PlainRules) => policyOf(await rulesOf(plain)).anonymousReach();
  expect(await reach({ repositories: { "**": { defaultPolicy: ["read"] } } })).toBe("none");
  expect(await reach(zotExample)).toBe("some");
  expect(await reach(zotConfigurations["E2"] ?? {})).toBe("only");
});

describe("a thousand and one policies", () => {
  test("are decided as by the second implementation, 10,000 times", async () => {
    const seen = { allowed: 0, denied: 0, matched: 0 };
    await fc.assert(
      fc.asyncProperty(arbitraryRules, arbitraryQuestion, async (plain, asked) => {
        const policy = policyOf(await rulesOf(plain));
        const { user, groups, host, path } = asked;
        const about = { principal: principal(user, groups), repository: repository(path, host), facts };
        const decision = policy.decide({ ...about, action: asked.action as Action }); // One of those above.
        expect(decision.isAllowed).toBe(naiveAllows(plain, asked, defaultHost));
        expect(policy.isListed(about)).toBe(naiveLists(plain, asked, defaultHost));
        const deciding = decidingPattern(plain, asked, defaultHost);
        if (decision.rule !== "adminPolicy")
          expect(decision.rule).toContain(deciding === undefined ? "no pattern matches" : `repositories[${JSON.stringify(deciding)}]`);
        seen[decision.isAllowed ? "allowed" : "denied"]++;
        if (deciding !== undefined) seen.matched++;
      }),
      { numRuns: 10_000 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(1_000);
  });

  test("are decided so by the command line too, from the text of a configuration on", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryRules, arbitraryQuestion, async (plain, asked) => {
        const text = JSON.stringify({ defaultNs: defaultHost, registries: arbitraryHosts.map((name) => ({ name })), http: { accessControl: plain } });
        const { config } = readConfig(text, { configFile: "config.json", environment: {} });
        const { user, groups, host, path, action } = asked;
        const inquiry = { user: user === "" ? undefined : user, groups, action, repository: `${host}/${path}`, reference: undefined, client: undefined };
        const answer = await inquire(config, inquiry, { environment: {}, nowMs: 0 });
        expect(answer.isAllowed).toBe(naiveAllows(plain, asked, defaultHost));
      }),
      { numRuns: 500 },
    );
  });
});

test("asking again about the same repository and the same person costs next to nothing", async () => {
  const repositories = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`team-${at}/{a,b,c}*/**`, { defaultPolicy: ["read"] }]));
  const policy = policyOf(await rulesOf({ repositories }));
  const asked = { principal: principal("alice"), repository: repository("team-499/app"), action: "read", facts } as const;
  expect(policy.decide(asked).isAllowed).toBe(true);
  const startedMs = performance.now();
  for (let round = 0; round < 10_000; round++) policy.decide(asked);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test("names that are new each time are decided on in well under a millisecond each, by hundreds of patterns", async () => {
  const repositories = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`team-${at}/{a,b,c}*/**`, { defaultPolicy: ["read"] }]));
  const policy = new AccessPolicy(await rulesOf({ repositories }, namesOf()), defaultHost);
  const startedMs = performance.now();
  for (let round = 0; round < 200; round++)
    expect(policy.decide({ principal: undefined, repository: repository(`other-${round}/app`), action: "read", facts }).isAllowed).toBe(false);
  expect((performance.now() - startedMs) / 200).toBeLessThan(10);
});
