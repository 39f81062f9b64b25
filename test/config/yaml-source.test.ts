import { describe, expect, test } from "vitest";
import { readYaml } from "../../src/config/yaml-source.ts";

const read = (text: string, environment: Record<string, string> = {}) => readYaml(text, { environment });

describe("a configuration's text", () => {
  test("keeps every value as it was written", () => {
    const { tree, problems } = read("a: 0123\nb: 1.10\nc: true\nd: 0x1f\ne: 'no'\nf: 2026-01-01\n");
    expect(problems).toEqual([]);
    expect({ ...tree }).toEqual({ a: "0123", b: "1.10", c: "true", d: "0x1f", e: "no", f: "2026-01-01" });
  });

  test("leaves out keys without a value", () => {
    expect({ ...read("a:\nb: null\nc: ~\nd: ''\ne: ${X:-}\n").tree }).toEqual({ d: "" });
  });

  test("is empty for an empty file, and for one of comments", () => {
    expect({ ...read("").tree }).toEqual({});
    expect(read("# nothing\n")).toMatchObject({ problems: [] });
  });

  test("knows the line of every key, and that of the nearest key above for what is not there", () => {
    const { lineOf } = read("# first\na:\n  b: 1\n\n  c:\n    - d: 1\n      e: 2\n    - f\n");
    expect([lineOf(["a"]), lineOf(["a", "b"]), lineOf(["a", "c"]), lineOf(["a", "c", 0, "e"]), lineOf(["a", "c", 1])]).toEqual([2, 3, 5, 7, 8]);
    expect([lineOf(["a", "c", 0, "missing"]), lineOf(["z"])]).toEqual([6, 1]);
  });

  test("reads JSON", () => {
    expect(JSON.stringify(read('{\n\t"http": { "port": "8080", "on": true }\n}').tree)).toBe('{"http":{"port":"8080","on":"true"}}');
  });

  test("follows anchors, and merges maps without overriding what is there", () => {
    const { tree, problems } = read("base: &b { x: 1, y: 2 }\nc:\n  y: 3\n  <<: *b\nd: *b\n");
    expect(problems).toEqual([]);
    expect(JSON.stringify(tree)).toBe('{"base":{"x":"1","y":"2"},"c":{"y":"3","x":"1"},"d":{"x":"1","y":"2"}}');
  });

  test("expands variables in values, not in keys", () => {
    expect({ ...read("${A}: ${A}\n", { A: "x" }).tree }).toEqual({ "${A}": "x" });
  });

  test.each([
    ["a: 1\nb: 1\na: 2\n", 3, "a is written twice"],
    ["a:\n  - 1\n  -\n", 3, "a has an empty item"],
    ["- 1\n", 1, "a configuration is made of `key: value` lines"],
    ["a: 1\n---\nb: 1\n", 2, "a second document begins here (---); a configuration is one"],
    ["a: 1\nb: [${X}]\n", 2, "quote ${...} inside [ ] and { }"],
    ["a: 1\nb: *nobody\n", 2, "*nobody: there is no &nobody before it"],
    ["a: 1\n\nb: c: d\n", 3, "not YAML: Nested mappings are not allowed in compact mappings"],
    ["a: 1\nb: ${NOBODY}\n", 2, "b: the environment has no NOBODY; ${NOBODY:-default} would do without"],
  ])("%j is wrong at line %d", (text, line, message) => {
    expect(read(text).problems).toEqual([{ line, message }]);
  });

  test("an alias that holds itself, and aliases that multiply, end early and say so once", () => {
    expect(read("a: &a [*a]\n").problems).toHaveLength(1);
    const levels = Array.from({ length: 9 }, (_, level) => `l${level + 1}: &l${level + 1} [${Array.from({ length: 10 }, () => `*l${level}`).join(", ")}]`);
    expect(read(["l0: &l0 x", ...levels].join("\n")).problems).toHaveLength(1);
  });

  test("__proto__ is a key like any other", () => {
    const { tree } = read("__proto__: { polluted: true }\n");
    expect(Object.keys(tree)).toEqual(["__proto__"]);
    expect({}).not.toHaveProperty("polluted");
  });

  test.each([
    ["brackets", "a:\n  ".concat("[".repeat(100_000)), 2],
    ["maps within brackets", "{a: ".repeat(20_000), 1],
    ["lists on one line", "- ".repeat(50_000), 1],
  ])("with too many levels of %s is refused at once", (_, text, line) => {
    expect(read(text).problems).toEqual([{ line, message: "more than 32 levels" }]);
  });

  test("that closes thousands of brackets too many is refused at once", () => {
    expect(read(`a: 1\n${"}".repeat(20_000)}`).problems).toEqual([{ line: 2, message: "not YAML: a bracket is closed that was not opened" }]);
  });

  test("with thousands of aliases is read at once, each by the last anchor before it", () => {
    const { tree, problems } = read(`one: &a x\ntwo: *a\nthree: &a y\nmany: [${"*a,".repeat(20_000)}]\n`);
    expect(problems).toEqual([]);
    expect({ ...tree, many: undefined }).toEqual({ one: "x", two: "x", three: "y", many: undefined });
    expect(tree["many"]).toEqual(Array(20_000).fill("y"));
  });

  test("with brackets in its texts is as deep as it looks", () => {
    const brackets = "[{".repeat(40);
    expect(read(`a: "${brackets}"\nb: |\n  ${brackets}\nc: x${brackets} # ${brackets}\n`).problems).toEqual([]);
    expect(read(`a: [${"{b: [1, -2]}, ".repeat(40)}]\n`).problems).toEqual([]);
  });
});
