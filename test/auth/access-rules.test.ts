import { readFileSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { RegistryNames } from "../../src/oci/registry-names.ts";
import type { PlainRules } from "./naive-policy.ts";
import { namesOf, readPlain, type ConditionalPolicy } from "./written-rules.ts";

const named = namesOf({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", scheme: "https", aliases: ["hub"] },
    { name: "registry.corp:5000", scheme: "https", aliases: ["corp"] },
  ],
});

async function problemsOf(rules: PlainRules, names?: RegistryNames): Promise<readonly string[]> {
  const reading = await readPlain(rules, names);
  return reading.kind === "refused" ? reading.problems.map(({ message }) => message) : [];
}

async function noticesOf(rules: PlainRules, names?: RegistryNames): Promise<readonly string[]> {
  const reading = await readPlain(rules, names);
  return reading.kind === "read" ? reading.notices.map(({ message }) => message) : ["refused"];
}

function onEverything(entry: NonNullable<PlainRules["repositories"]>[string]): PlainRules {
  return { repositories: { "**": entry } };
}

describe("what is refused", () => {
  test.each<[what: string, rules: PlainRules, problem: string | RegExp]>([
    ["an empty pattern", { repositories: { "": { anonymousPolicy: ["read"] } } }, 'accessControl.repositories[""]: an empty pattern matches nothing'],
    ["a pattern that does not end", { repositories: { "a[": {} } }, 'accessControl.repositories["a["]: "a[" has a [ without a ]'],
    [
      "an empty user",
      onEverything({ policies: [{ users: ["alice", ""], actions: ["read"] }] }),
      'accessControl.repositories["**"].policies[0].users[1]: an empty name: people without one have anonymousPolicy',
    ],
    ["a blank user", onEverything({ policies: [{ users: [" "], actions: ["read"] }] }), /users\[0\]: an empty name/],
    ["an empty group", onEverything({ policies: [{ groups: [""], actions: ["read"] }] }), /groups\[0\]: an empty name/],
    ["an empty administrator", { adminPolicy: { users: [""], actions: ["read"] } }, /^accessControl.adminPolicy.users\[0\]: an empty name/],
    ["an empty reader of metrics", { metrics: { users: [""] } }, /^accessControl.metrics.users\[0\]: an empty name/],
    ["an empty member", { groups: { dev: { users: [""] } } }, /^accessControl.groups.dev.users\[0\]: an empty name/],
    ["a group without a name", { groups: { "": { users: ["a"] } } }, /a group must have a name/],
    [
      "a word that is no action",
      onEverything({ defaultPolicy: ["read", "Read"] }),
      'accessControl.repositories["**"].defaultPolicy[1]: "Read" is not an action: read, create, update, delete, detectManifestCollision, fetch are',
    ],
    ["one for metrics", { metrics: { anonymousPolicy: ["scrape"] } }, /metrics.anonymousPolicy\[0\]: "scrape" is not an action/],
    [
      "creating without reading, by everybody",
      onEverything({ defaultPolicy: ["create"] }),
      'accessControl.repositories["**"].defaultPolicy: create without read: clients that write read first',
    ],
    ["updating without reading, by strangers", onEverything({ anonymousPolicy: ["update"] }), /anonymousPolicy: update without read/],
    [
      "deleting without reading, by somebody",
      onEverything({ policies: [{ users: ["dave"], actions: ["delete"] }] }),
      /policies\[0\].actions: delete without read/,
    ],
    [
      "deleting without reading, by administrators",
      { adminPolicy: { users: ["root"], actions: ["delete"] } },
      /^accessControl.adminPolicy.actions: delete without/,
    ],
    [
      "a condition that is none",
      onEverything({ policies: [{ users: ["a"], actions: ["read"], conditions: [{ expression: "req.nothing" }] } as ConditionalPolicy] }),
      'accessControl.repositories["**"].policies[0].conditions[0]: not a condition: No such key: nothing',
    ],
    [
      "one of administrators",
      { adminPolicy: { users: ["a"], conditions: [{ expression: "(" }] } as ConditionalPolicy },
      /^accessControl.adminPolicy.conditions\[0\]: not/,
    ],
  ])("%s", async (_, rules, problem) => {
    expect(await problemsOf(rules)).toEqual([typeof problem === "string" ? problem : expect.stringMatching(problem)]);
  });

  test("everything that is wrong is told at once", async () => {
    const rules: PlainRules = { repositories: { "": {}, "a}": { defaultPolicy: ["write", "delete"] } }, adminPolicy: { users: [""] } };
    expect(await problemsOf(rules)).toHaveLength(5);
  });
});

describe("a pattern that begins with another name of a registry", () => {
  test.each([
    ["hub/library/**", '"docker.io/library/**"'],
    ["corp/team/*", '"registry.corp:5000/team/*"'],
    ["Corp/team/*", '"registry.corp:5000/team/*"'],
    ["index.docker.io/library/a", '"docker.io/library/a"'],
    ["GHCR.io/a/b", '"ghcr.io/a/b"'],
    ["ghcr.io:443/a/b", '"ghcr.io/a/b"'],
    ["{a,corp}/x", '"registry.corp:5000/x"'],
  ])("%s is refused, and told how to be written", async (pattern, canonical) => {
    const [problem, ...others] = await problemsOf({ repositories: { [pattern]: {} } }, named);
    expect(others).toEqual([]);
    expect(problem).toContain("begins with another name of a registry; write");
    expect(problem).toContain(canonical);
  });

  test.each(["docker.io/library/**", "registry.corp:5000/team/*", "team/hub/x", "ghcr.io/a/b", "*.io/a", "hub", "**/corp/*"])("%s is not", async (pattern) => {
    expect(await problemsOf({ repositories: { [pattern]: {} } }, named)).toEqual([]);
  });
});

describe("what is told of and works", () => {
  test.each<[what: string, rules: PlainRules, notices: readonly (string | RegExp)[]]>([
    ["nothing at all", {}, [/^accessControl names no repositories, so that nobody but adminPolicy may read any$/]],
    ["no repositories", { repositories: {} }, [/names no repositories/]],
    ["reading", onEverything({ defaultPolicy: ["read"], anonymousPolicy: [] }), []],
    [
      "several who may write, once",
      {
        repositories: { "a/b": { defaultPolicy: ["read", "create"] }, "c/d": { defaultPolicy: ["read", "delete"] } },
        adminPolicy: { users: ["root"], actions: ["read", "update"] },
      },
      [/^accessControl.repositories\["a\/b"\].defaultPolicy gives more than read: .* mean nothing yet, for nothing can be pushed here$/],
    ],
    [
      "a policy for nobody",
      onEverything({ policies: [{ actions: ["read"] }] }),
      [/^accessControl.repositories\["\*\*"\].policies\[0\] names neither users nor groups/],
    ],
    [
      "fetch where it means nothing",
      onEverything({ defaultPolicy: ["read", "fetch"] }),
      [/has the action fetch, which means nothing while accessControl.fetch is readers$/],
    ],
    [
      "fetch by nobody",
      { fetch: "byAction", ...onEverything({ defaultPolicy: ["read"] }) },
      [/^accessControl.fetch is byAction, and nobody has the action fetch/],
    ],
    ["fetch by somebody", { fetch: "byAction", ...onEverything({ defaultPolicy: ["read", "fetch"] }) }, []],
    [
      "patterns of one length that may meet",
      { repositories: { "repo/a*": {}, "repo/*b": {}, "repo/cd": {} } },
      [/^accessControl.repositories\["repo\/\*b"\] is as long as "repo\/a\*" and may match the same names/],
    ],
    ["patterns of one length that cannot", { repositories: { "team-a/**": {}, "team-b/**": {}, "team-c/xy": {} } }, []],
    [
      "patterns that meet by the registry's name",
      { repositories: { "registry.example/*/*": {}, "very-very-very-lon/*": {}, "?/?": {} } },
      [/^accessControl.repositories\["very-very-very-lon\/\*"\] is as long as "registry.example\/\*\/\*"/],
    ],
  ])("%s", async (_, rules, notices) => {
    expect(await noticesOf(rules)).toEqual(notices.map((notice) => (typeof notice === "string" ? notice : expect.stringMatching(notice))));
  });

  test("a pattern of one word, where all names have two", async () => {
    const repositories = { alpine: {}, "**": {}, "*": {}, "{alpine,busy*}": {}, "alpine{,/**}": {}, "library/alpine": {} };
    expect(await noticesOf({ repositories }, named)).toEqual([
      expect.stringContaining('accessControl.repositories.alpine matches nothing: names on Docker Hub have two words; official images are "library/alpine"'),
      expect.stringContaining('accessControl.repositories["*"] matches nothing'),
      expect.stringContaining('accessControl.repositories["{alpine,busy*}"] matches nothing'),
    ]);
    expect(await noticesOf({ repositories: { alpine: {} } })).toEqual([]);
  });

  test("very many patterns of one length are read in no time", async () => {
    const repositories = Object.fromEntries(Array.from({ length: 3_000 }, (_, at) => [`team-${String(at).padStart(4, "0")}/*-*-*/**`, {}]));
    const startedMs = performance.now();
    await noticesOf({ repositories });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });
});

test("an entry that says nothing is an entry: it locks", async () => {
  const reading = await readPlain({ repositories: { "**": { defaultPolicy: ["read"] }, "locked/**": {} } });
  expect(reading).toMatchObject({ kind: "read", rules: { repositories: [{}, { glob: { pattern: "locked/**" } }] } });
});

test("zot's example is read with a single notice", async () => {
  const file = readFileSync(join(import.meta.dirname, "../config/examples/zot-access-control.json"), "utf8");
  const { http } = JSON.parse(file) as { http: { accessControl: PlainRules } };
  expect(await noticesOf(http.accessControl)).toEqual([expect.stringContaining("nothing can be pushed here")]);
});

test("rules without conditions load no language", () => {
  const script = `
    import { readAccessRules } from "./src/auth/access-rules.ts";
    import { RegistryNames } from "./src/oci/registry-names.ts";
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const policy = { users: ["a"], groups: [], actions: ["read"], conditions: process.argv[1] === "with" ? [{ expression: "true" }] : [] };
    const rules = { fetch: "readers", groups: {}, repositories: { "**": { policies: [policy], defaultPolicy: [], anonymousPolicy: [] } } };
    const reading = await readAccessRules(rules, new RegistryNames({ defaultNs: "docker.io", registries: [] }));
    console.log(reading.kind, loaded.some((url) => url.includes("cel-js")));`;
  const run = (how: string): string =>
    spawnSync(process.execPath, ["--input-type=module-typescript", "--eval", script, how], {
      cwd: join(import.meta.dirname, "../.."),
      encoding: "utf8",
    }).stdout.trim();
  expect([run("without"), run("with")]).toEqual(["read false", "read true"]);
});
