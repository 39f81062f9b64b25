import { describe, expect, test } from "vitest";
import { expressionLengthMax, loadConditions, type ConditionFacts } from "../../src/auth/conditions.ts";

const digest = `sha256:${"a".repeat(64)}`;
const facts: ConditionFacts = {
  timeMs: Date.UTC(2026, 5, 1, 12),
  method: "GET",
  userAgent: "docker/28.2",
  action: "read",
  repository: "prod/api",
  reference: { kind: "tag", name: "v1.2.3" },
  user: "alice",
  groups: ["dev", "ops"],
  isAdmin: false,
  client: "10.0.0.5",
  forwardedFor: ["192.0.2.7"],
  tlsVersion: "1.3",
  claims: { email: "alice@example.com", email_verified: true, roles: ["prod-pusher", "dev"], level: 3, nested: { team: "a" } },
};

const compile = await loadConditions();

function evaluate(expression: string, different: Partial<ConditionFacts> = {}): boolean | "failed" {
  return compile({ expression }).evaluate({ ...facts, ...different });
}

describe("what conditions may look at", () => {
  test.each([
    'req.time < timestamp("2099-12-31T23:59:59Z")',
    'req.time - timestamp("2026-06-01T11:00:00Z") == duration("1h")',
    "req.time.getHours() == 12",
    'req.method == "GET"',
    'req.userAgent.startsWith("docker/")',
    'req.action == "read"',
    'req.repository == "prod/api"',
    'req.reference == "v1.2.3"',
    'req.referenceType == "tag"',
    'req.tag == "v1.2.3" && req.digest == ""',
    'req.user.username == "alice"',
    '"ops" in req.user.groups',
    'req.user.groups.exists(g, g.startsWith("de"))',
    "!req.auth.anonymous && !req.auth.admin",
    'req.client.ip == "10.0.0.5"',
    'req.client.forwardedFor == ["192.0.2.7"]',
    'req.tls.enabled && req.tls.version == "1.3"',
    'req.claims.email.endsWith("@example.com")',
    "req.claims.email_verified",
    "req.claims.email_verified == true",
    '"prod-pusher" in req.claims.roles',
    "req.claims.level >= 3",
    'req.claims.nested.team == "a"',
    "!has(req.claims.phone)",
    'req.repository.matches("^prod/[a-z]+$")',
  ])("%s", (expression) => {
    expect(evaluate(expression)).toBe(true);
  });

  test("a digest is one, nothing is neither", () => {
    const expression = 'req.referenceType == "digest" && req.digest.startsWith("sha256:") && req.tag == ""';
    expect(evaluate(expression, { reference: { kind: "digest", name: digest } })).toBe(true);
    expect(evaluate('req.reference + req.referenceType + req.tag + req.digest == ""', { reference: undefined })).toBe(true);
    expect(evaluate("req.tls.enabled", { tlsVersion: undefined })).toBe(false);
  });
});

test("sixty alternatives in a row are not too deep", () => {
  const tags = Array.from({ length: 60 }, (_, at) => `v1.2.${at}`);
  expect(evaluate(tags.map((tag) => `req.tag == "${tag}"`).join(" || "))).toBe(true);
  expect(evaluate(tags.map((tag) => `req.tag != "x${tag}"`).join(" && "))).toBe(true);
});

describe("what is refused when it is read", () => {
  test.each([
    ["this is not a condition", /./],
    ["", /./],
    ["req.repository", /it is a string, and must be true or false/],
    ["req.usr.username == 'a'", /No such key: usr/],
    ["req.constructor == 'a'", /No such key: constructor/],
    ["user == 'a'", /Unknown variable: user/],
    ["req.repository == 3", /./],
    ["req.repository.matches('(')", /regular expression/],
    ["req.repository.matches('(?i)^prod')", /regular expression/],
    ["req.userAgent.split('').size() > 1", /split\(\) is not for conditions/],
    ["req.user.groups.exists(g, bytes(g).size() > 1)", /bytes\(\) is not for conditions/],
    ["1 + ".repeat(2_000) + "1 == 1", /8006 characters/],
    ["(".repeat(200) + "true" + ")".repeat(200), /./],
  ])("%s", (expression, problem) => {
    expect(() => compile({ expression })).toThrow(problem);
  });

  test("an expression of 4,096 characters is taken, a longer one is not", () => {
    const exactly = `true || req.tag == "${"x".repeat(expressionLengthMax - 20 - 1)}"`;
    expect(compile({ expression: exactly }).expression).toHaveLength(expressionLengthMax);
    expect(() => compile({ expression: `${exactly} ` })).toThrow(/at most 4096/);
  });
});

describe("what fails grants nothing", () => {
  test.each([
    'req.claims.missing == "x"',
    "req.claims.email",
    "req.claims.level",
    'req.claims.constructor != "x"',
    'req.claims["__proto__"] != "x"',
    'req.claims.email.matches(req.claims.email + "(")',
    'timestamp(req.tag) > timestamp("2026-01-01T00:00:00Z")',
  ])("%s", (expression) => {
    expect(evaluate(expression)).toBe("failed");
  });

  test.each([
    ["a regular expression that tries every way", 'req.userAgent.matches("^(a+)+$")', { userAgent: `${"a".repeat(60)}!` }],
    [
      "macros within macros",
      "req.user.groups.all(a, req.user.groups.all(b, req.user.groups.all(c, req.user.groups.all(d, a + b + c + d != ''))))",
      { groups: Array.from({ length: 300 }, (_, at) => `group-${at}`) },
    ],
    ["lists that double", `[req.user.groups]${".map(l, l + l)".repeat(30)}[0].size() > 1`, {}],
  ])("%s stops after a tenth of a second", (_, expression, different) => {
    const startedMs = performance.now();
    expect(evaluate(expression, different)).toBe("failed");
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(evaluate('req.userAgent.matches("^docker/")')).toBe(true);
  });
});

test("those on a reference or a method are known, however they get at them", () => {
  const needs = (expression: string): boolean => compile({ expression }).needsReference;
  expect(['req.tag == "a"', 'req.method == "HEAD"', 'req["di" + "gest"] == ""', 'cel.bind(r, req, r.tag) == "a"'].map(needs)).toEqual([true, true, true, true]);
  expect(['req.repository == "a"', "req.time.getHours() < 8", '"x" in req.user.groups'].map(needs)).toEqual([false, false, false]);
});

test("a plain one costs some microseconds", () => {
  const condition = compile({ expression: 'req.repository.startsWith("prod/") && "ops" in req.user.groups' });
  for (let round = 0; round < 1_000; round++) condition.evaluate(facts);
  const startedMs = performance.now();
  for (let round = 0; round < 1_000; round++) condition.evaluate(facts);
  expect(performance.now() - startedMs).toBeLessThan(200);
});
