import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mayMeet } from "../../src/auth/glob-overlap.ts";
import { parseGlob, patternLengthMax } from "../../src/oci/glob.ts";
import { referenceMatches } from "./reference-glob.ts";

describe("what a pattern matches", () => {
  test.each<[pattern: string, matching: readonly string[], others: readonly string[]]>([
    ["*", ["a", "a-b"], ["a/b"]],
    ["a/*", ["a/b", "a/b-c"], ["a", "a/b/c", "b/a"]],
    ["a?c", ["abc", "a-c"], ["ac", "a/c", "abbc"]],
    ["[a-c]x", ["ax", "cx"], ["dx", "x", "a/x"]],
    ["[!a]x", ["bx", "-x"], ["ax"]],
    ["[^a]x", ["bx"], ["ax"]],
    ["[a-]x", ["ax", "-x"], ["bx"]],
    ["[-a]x", ["ax", "-x"], ["bx"]],
    ["[a\\-c]x", ["ax", "-x", "cx"], ["bx"]],
    ["{a,b}/x", ["a/x", "b/x"], ["c/x", "a"]],
    ["{a,b{c,d}}", ["a", "bc", "bd"], ["b", "acd"]],
    ["{a}", ["a"], ["{a}"]],
    ["a{,b}", ["a", "ab"], ["b"]],
    ["\\a\\.b", ["a.b"], ["axb"]],
    ["**", ["a", "a/b/c"], []],
    ["tmp/**", ["tmp", "tmp/a", "tmp/a/b/c"], ["tmpx", "a/tmp"]],
    ["infra/*", ["infra/x"], ["infra", "infra/a/b"]],
    ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a", "b", "ab", "a/b/c"]],
    ["x{,/**}", ["x", "x/y", "x/y/z"], ["xy"]],
    ["foo**", ["foo", "foobar"], ["foo/bar"]],
    ["**/prod", ["prod", "a/prod", "a/b/prod"], ["aprod", "prod/a"]],
    ["**/a/**/b", ["a/b", "x/a/y/b", "a/a/b/b"], ["b/a"]],
    ["!x", ["!x"], ["y", "x"]],
    ["!(a)", [], ["a", "b"]],
    ["+(a)", [], ["a", "aa"]],
    ["#a", [], ["a"]],
    ["*.io/**", ["ghcr.io/a/b", "ghcr.io"], ["io/a"]],
  ])("%s", (pattern, matching, others) => {
    const glob = parseGlob(pattern);
    expect(matching.filter((name) => !glob.matches(name))).toEqual([]);
    expect(others.filter((name) => glob.matches(name))).toEqual([]);
  });

  test("is what the library of zot said of a thousand names", () => {
    const vectors = JSON.parse(readFileSync(join(import.meta.dirname, "doublestar-vectors.json"), "utf8")) as [string, string, boolean][];
    expect(vectors.length).toBe(1_000);
    expect(vectors.filter(([pattern, name, matches]) => parseGlob(pattern).matches(name) !== matches)).toEqual([]);
  });

  test("stars that meet at a brace are no `**`", () => {
    expect(parseGlob("{a,*}{a,*}").matches("b/c")).toBe(false);
    expect(parseGlob("*{a,*}/x").matches("a/b/x")).toBe(false);
    expect(parseGlob("{a,*}{a,*}").matches("bc")).toBe(true);
  });

  test("is the same to a second implementation that tries every way", () => {
    const piece = fc.constantFrom("a", "b", "c", "-", "*", "?", "[ab]", "[!a]", "[b-c]", "\\a", "{a,b}", "{ab,{c,a}}");
    const component = fc.oneof({ weight: 3, arbitrary: fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("")) }, fc.constant("**"));
    const pattern = fc
      .array(component, { minLength: 1, maxLength: 4 })
      .map((components) => components.join("/").replaceAll(/\*{2,}/g, "**"))
      // Where a negated class may be the slash, the original does not try every way: that is for the vectors above.
      .filter((written) => written.split("{").length < 6 && !(written.includes("*") && written.includes("[!")));
    const name = fc.array(fc.stringMatching(/^[abc-]{1,3}$/), { minLength: 1, maxLength: 4 }).map((components) => components.join("/"));
    let matching = 0;
    fc.assert(
      fc.property(pattern, name, (written, asked) => {
        const matches = parseGlob(written).matches(asked);
        if (matches) matching++;
        expect(matches, `${written} on ${asked}`).toBe(referenceMatches(written, asked));
      }),
      { numRuns: 20_000 },
    );
    expect(matching).toBeGreaterThan(500);
  });
});

describe("what is no pattern", () => {
  test.each([
    ["", /empty pattern/],
    ["[", /\[ without a \]/],
    ["a[b", /\[ without a \]/],
    ["[]", /empty class/],
    ["[!]", /empty class/],
    ["{a", /\{ without a \}/],
    ["{a,{b}", /\{ without a \}/],
    ["a}", /\} without a \{/],
    ["a\\", /ends in a backslash/],
    ["/a", /matches nothing/],
    ["a/", /matches nothing/],
    ["a//b", /matches nothing/],
    ["{[,],a}", /a class with , inside of braces/],
  ])("%s", (pattern, problem) => {
    expect(() => parseGlob(pattern)).toThrow(problem);
  });

  test.each([
    ["one that is too long", "a".repeat(patternLengthMax + 1), /a pattern of 1025 characters/],
    ["braces that multiply", "{a,b}".repeat(9), /more than 256 patterns/],
    ["very many braces that multiply", "{a,b}".repeat(200), /more than 256 patterns/],
    ["many alternatives of a long pattern", `{${Array.from({ length: 100 }, () => "a").join(",")}}${"b".repeat(300)}`, /16384 characters/],
  ])("%s", (_, pattern, problem) => {
    expect(() => parseGlob(pattern)).toThrow(problem);
  });
});

test("no pattern takes long, and none is misunderstood, whatever is written", () => {
  const soup = fc.array(fc.constantFrom("a", "*", "**", "/", "?", "[", "]", "{", "}", ",", "!", "^", "-", "\\", "é", "[!a]", "{a,b}", "**/"), {
    maxLength: 60,
  });
  const name = fc.stringMatching(/^[a/]{1,100}$/);
  fc.assert(
    fc.property(soup, name, (pieces, asked) => {
      const startedMs = performance.now();
      try {
        parseGlob(pieces.join("")).matches(asked);
      } catch (error) {
        expect((error as Error).message).toMatch(/./);
      }
      // A loaded machine may stand still meanwhile.
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    }),
    { numRuns: 5_000 },
  );
});

test.each([
  ["stars in one component", "*a".repeat(500), "a".repeat(254) + "b"],
  ["components", "**/a*b/".repeat(140) + "x", "a/".repeat(127) + "b"],
  ["stars after components", `**/${"*a".repeat(400)}`, "a/".repeat(127) + "b"],
  ["alternatives", `{${Array.from({ length: 200 }, (_, at) => `a*a*${at}`).join(",")}}`.slice(0, 1_000).replace(/,[^,]*$/, "}"), "a".repeat(255)],
  ["braces that multiply", `${"{a,*}".repeat(8)}*a*b`, "a".repeat(255)],
])("the worst of %s is answered within a few milliseconds", (_, pattern, name) => {
  const glob = parseGlob(pattern);
  glob.matches(name);
  const startedMs = performance.now();
  for (let round = 0; round < 5; round++) expect(glob.matches(name)).toBe(false);
  expect((performance.now() - startedMs) / 5).toBeLessThan(100);
});

describe("patterns that may meet", () => {
  test.each([
    ["repo/a*", "repo/*b", true],
    ["team-a/**", "team-b/**", false],
    ["a/**", "a", true],
    ["a/*", "a", false],
    ["**/x", "y/**", true],
    ["a/[a-c]", "a/[d-f]", false],
    ["{a,b}/x", "{c,b}/x", true],
    ["a/?", "a/bb", false],
  ])("%s and %s: %s", (one, other, may) => {
    expect(mayMeet(parseGlob(one), parseGlob(other))).toBe(may);
    expect(mayMeet(parseGlob(other), parseGlob(one))).toBe(may);
  });

  test("are all those that one name matches", () => {
    const component = fc.constantFrom("a", "b", "*", "a*", "*b", "?", "[ab]", "**", "{a,b}c");
    const pattern = fc.array(component, { minLength: 1, maxLength: 3 }).map((components) => components.join("/"));
    const name = fc.array(fc.stringMatching(/^[abc]{1,2}$/), { minLength: 1, maxLength: 3 }).map((components) => components.join("/"));
    fc.assert(
      fc.property(pattern, pattern, name, (written, otherwise, asked) => {
        const [one, other] = [parseGlob(written), parseGlob(otherwise)];
        if (one.matches(asked) && other.matches(asked)) expect(mayMeet(one, other), `${written} and ${otherwise} on ${asked}`).toBe(true);
      }),
      { numRuns: 20_000 },
    );
  });
});
