import { expect, test } from "vitest";
import { compileGoPatterns } from "../../src/config/go-patterns.ts";

test.each([
  ["alpine", "docker.io/library/alpine:3.20", true],
  ["^alpine", "docker.io/library/alpine:3.20", false],
  ["nginx, :3\\.2[0-9]$", "docker.io/library/alpine:3.20", true],
  ["(?i)ALPINE", "docker.io/library/alpine:3.20", true],
  ["", "docker.io/library/alpine:3.20", false],
  ["(a+)+$", `${"a".repeat(50_000)}b`, false],
])("the patterns %s in %s: %s", (patterns, name, found) => {
  expect(compileGoPatterns(patterns)(name)).toBe(found);
});

test("what Go does not take is misuse, and is shown", () => {
  expect(() => compileGoPatterns("(?=x)")).toThrow('--pattern: "(?=x)" is no regular expression of Go\'s');
});
