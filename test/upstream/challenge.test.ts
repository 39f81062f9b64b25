import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findBearer, hasBasic, parseChallenges } from "../../src/upstream/challenge.ts";

const plain = (header: string) => parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe("a challenge", () => {
  test.each([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
      [["bearer", { realm: "https://auth.docker.io/token", service: "registry.docker.io", scope: "repository:a/b:pull" }]],
    ],
    [
      'Negotiate, Basic realm="a, \\"b\\" c", BEARER Realm = "r" , service=s',
      [
        ["negotiate", {}],
        ["basic", { realm: 'a, "b" c' }],
        ["bearer", { realm: "r", service: "s" }],
      ],
    ],
    [
      "Negotiate YWJj==, Basic realm=x",
      [
        ["negotiate", {}],
        ["basic", { realm: "x" }],
      ],
    ],
    ['Bearer scope="repository:a:pull,push",realm=https://x/token?y=z', [["bearer", { scope: "repository:a:pull,push", realm: "https://x/token?y=z" }]]],
    [' , ,Basic  realm="x",, ', [["basic", { realm: "x" }]]],
    ['Bearer realm="first",realm="second"', [["bearer", { realm: "first" }]]],
    ['Bearer realm="never ends', [["bearer", {}]]],
    ["", []],
    ["=", []],
    ['realm="x"', []],
  ])("%s", (header, expected) => {
    expect(plain(header)).toEqual(expected);
  });

  test("of several schemes is looked through for Bearer with a realm", () => {
    const challenges = parseChallenges('Bearer service="x", Basic realm="y", Bearer realm="z"');
    expect(findBearer(challenges)).toEqual({ realm: "z", service: undefined, scope: undefined });
    expect(hasBasic(challenges)).toBe(true);
    expect(findBearer(parseChallenges("Basic realm=x"))).toBeUndefined();
  });

  test("survives being written and read", () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    const parameters = fc.dictionary(word, fc.string({ unit: "grapheme-ascii", maxLength: 20 }), { maxKeys: 4, noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(word, parameters), { maxLength: 4 }), (challenges) => {
        const header = challenges
          .map(([scheme, values]) =>
            `${scheme} ${Object.entries(values)
              .map(([name, value]) => `${name}="${value.replace(/["\\]/g, "\\$&")}"`)
              .join(", ")}`.trim(),
          )
          .join(", ");
        expect(plain(header)).toEqual(challenges);
      }),
    );
  });

  test("of any shape neither throws nor takes long", () => {
    const pieces = fc.constantFrom("Bearer", " ", ",", "=", '"', "\\", "realm", "a=b", "\t", '="', "==", "\u0000", "é");
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), fc.integer({ min: 1, max: 2_000 }), (parts, times) => {
        const header = parts.join("").repeat(times);
        const start = performance.now();
        parseChallenges(header);
        expect(performance.now() - start).toBeLessThan(200);
      }),
      { numRuns: 300 },
    );
  });
});
