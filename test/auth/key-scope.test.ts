import { describe, expect, test } from "vitest";
import { readKeyScope, scopePatternsMax, scopePermits, writeKeyScope } from "../../src/auth/key-scope.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";

const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", aliases: ["hub"], scheme: "https" },
    { name: "quay.io", aliases: [], scheme: "https" },
  ],
});
const of = (path: string, host = names.defaultHost) => repositoryOf(host, parseRepositoryPath(path));
const quay = names.find("quay.io") ?? names.defaultHost;

describe("a scope", () => {
  test.each([
    [{ repositories: ["team/**"] }, "read", of("team/app"), true],
    [{ repositories: ["team/**"] }, "read", of("team/deep/app"), true],
    [{ repositories: ["team/**"] }, "delete", of("team/app"), true],
    [{ repositories: ["team/**"] }, "read", of("other/app"), false],
    [{ repositories: ["team/*"] }, "read", of("team/deep/app"), false],
    [{ repositories: ["team/**", "other/app"] }, "read", of("other/app"), true],
    // As in policies: a bare pattern is the default upstream's, another registry's names begin with its host.
    [{ repositories: ["team/**"] }, "read", of("team/app", quay), false],
    [{ repositories: ["quay.io/team/**"] }, "read", of("team/app", quay), true],
    [{ repositories: ["quay.io/team/**"] }, "read", of("team/app"), false],
    [{ repositories: ["docker.io/team/**"] }, "read", of("team/app"), true],
    [{ actions: ["read"] }, "read", of("anything"), true],
    [{ actions: ["read"] }, "fetch", of("anything"), false],
    [{ actions: ["read", "fetch"] }, "fetch", of("anything"), true],
    [{ repositories: ["team/**"], actions: ["read"] }, "create", of("team/app"), false],
  ] as const)("%j: %s", (written, action, repository, permits) => {
    expect(scopePermits(readKeyScope(written, names), action, repository, names.defaultHost)).toBe(permits);
  });

  test.each([[undefined], [null]])("that is not there leaves all: %s", (written) => {
    expect(readKeyScope(written)).toBeUndefined();
    expect(scopePermits(undefined, "delete", of("anything"), names.defaultHost)).toBe(true);
  });

  test.each([{ repositories: ["team/**", "quay.io/{a,b}/*"], actions: ["read", "fetch"] }, { repositories: ["**"] }, { actions: ["read"] }])(
    "is the same when it was written and read again: %j",
    (written) => {
      const scope = readKeyScope(written, names);
      expect(scope && writeKeyScope(scope)).toEqual(written);
      expect(scope && readKeyScope(JSON.parse(JSON.stringify(writeKeyScope(scope))))).toMatchObject({ actions: scope?.actions });
    },
  );

  test.each([
    ["team/**", /object/],
    [["team/**"], /object/],
    [{}, /narrows nothing/],
    [{ repository: ["team/**"] }, /no "repository"/],
    [{ repositories: "team/**" }, /list/],
    [{ repositories: [] }, /empty/],
    [{ actions: [] }, /empty/],
    [{ repositories: [1] }, /list/],
    [{ repositories: [""] }, /empty pattern/],
    [{ repositories: ["team/["] }, /without a \]/],
    [{ repositories: ["hub/team/**"] }, /write "docker.io\/team\/\*\*"/],
    [{ actions: ["pull"] }, /"pull" is not an action/],
    [{ repositories: Array.from({ length: scopePatternsMax + 1 }, (_, at) => `team/${at}`) }, /more than 64/],
    [{ repositories: ["x".repeat(2_000)] }, /a pattern of 2000 characters/],
    [{ repositories: Array.from({ length: 60 }, (_, at) => `${at}/${"x".repeat(40)}`) }, /2570 characters long/],
  ])("that makes no sense is told what is wrong with it: %j", (written, words) => {
    expect(() => readKeyScope(written, names)).toThrow(words);
  });
});
