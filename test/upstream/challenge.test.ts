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
});
