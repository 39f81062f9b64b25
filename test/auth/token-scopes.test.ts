import { expect, test } from "vitest";
import { parseScopes, writeScope } from "../../src/auth/token-scopes.ts";

const cases: readonly (readonly [string, string])[] = [
  ["repository:team/app:pull", "repository:team/app:pull"],
  ["repository:team/app:pull,push,delete", "repository:team/app:pull,push,delete"],
  ["repository(plugin):team/app:pull", "repository:team/app:pull"],
  ["repository:harbor.corp:8443/team/app:pull", "repository:harbor.corp:8443/team/app:pull"],
  ["registry:catalog:*", "registry:catalog:*"],
  ["repository:team/app:", "repository:team/app:"],
  ["repository:team/app:pull,,pull", "repository:team/app:pull"],
];

test.each(cases)("%j is read as %j", (written, read) => {
  expect(parseScopes([written])?.map(writeScope)).toEqual([read]);
});

test.each([
  "repository",
  "repository:",
  "repository:team/app",
  ":team/app:pull",
  "repository::pull",
  "Repository:a:pull",
  "repository:a:PULL",
  "repository():a:pull",
  "x".repeat(1_025),
])("%j is none", (written) => expect(parseScopes([written])).toBeUndefined());

test("several come as several parameters or between blanks, in their order, each once", () => {
  expect(parseScopes(["repository:a:pull repository:b:pull", "", "repository:a:pull", " repository:c:push "])?.map(writeScope)).toEqual([
    "repository:a:pull",
    "repository:b:pull",
    "repository:c:push",
  ]);
  expect(parseScopes([])).toEqual([]);
});

test("more than 64 are refused", () => {
  const many = Array.from({ length: 65 }, (_, index) => `repository:a${index}:pull`);
  expect(parseScopes(many.slice(1))).toHaveLength(64);
  expect(parseScopes(many)).toBeUndefined();
});
