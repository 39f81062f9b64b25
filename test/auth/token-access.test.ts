import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readAccess, tokenAllows, tokenAllowsCatalog } from "../../src/auth/token-access.ts";
import { repositoryOfTokenName, tokenNameOf } from "../../src/auth/token-names.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryName, repositoryOf, type Repository } from "../../src/oci/repository.ts";

const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", scheme: "https", aliases: ["hub"] },
    { name: "quay.io", scheme: "https", aliases: [] },
    { name: "harbor.corp:8443", scheme: "https", aliases: ["harbor.alias:1", "harbor"] },
    { name: "127.0.0.1:5000", scheme: "http", aliases: [] },
  ],
});

function repository(host: string, path: string): Repository {
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
}

function pull(name: string): readonly { readonly type: string; readonly name: string; readonly actions: readonly string[] }[] {
  return [{ type: "repository", name, actions: ["pull"] }];
}

describe("a name in a token", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["library/alpine", "docker.io/library/alpine"],
    ["alpine", "docker.io/library/alpine"],
    ["team/app", "docker.io/team/app"],
    ["docker.io/library/alpine", "docker.io/library/alpine"],
    ["index.docker.io/library/alpine", "docker.io/library/alpine"],
    ["hub/library/alpine", "docker.io/library/alpine"],
    ["quay.io/team/app", "quay.io/team/app"],
    ["QUAY.io/team/app", "quay.io/team/app"],
    ["harbor/team/app", "harbor.corp:8443/team/app"],
    ["harbor.corp:8443/team/app", "harbor.corp:8443/team/app"],
    ["harbor.corp/team/app", "harbor.corp/team/app"],
    ["unlisted.test/team/app", "unlisted.test/team/app"],
    ["harbor", "docker.io/library/harbor"],
    ["team/../app", undefined],
    ["team//app", undefined],
    ["Team/app", undefined],
    ["*", undefined],
    ["team/*", undefined],
    ["", undefined],
    ["/alpine", undefined],
    ["quay.io/", undefined],
    ["a:b:c/d", undefined],
  ];
  test.each(cases)("%j means %j", (name, meant) => {
    const found = repositoryOfTokenName(name, names);
    expect(found && repositoryName(found)).toBe(meant);
  });

  test("opens what it means and no other upstream's repository of that path", () => {
    expect(tokenAllows(pull("library/x"), repository("docker.io", "library/x"), "read", names)).toBe(true);
    expect(tokenAllows(pull("library/x"), repository("quay.io", "library/x"), "read", names)).toBe(false);
    expect(tokenAllows(pull("quay.io/library/x"), repository("docker.io", "library/x"), "read", names)).toBe(false);
    expect(tokenAllows(pull("harbor/x"), repository("harbor.corp:8443", "x"), "read", names)).toBe(true);
    expect(tokenAllows(pull("harbor/x"), repository("harbor.corp", "x"), "read", names)).toBe(false);
  });
});

describe("an action in a token", () => {
  const app = repository("docker.io", "team/app");
  const cases = [
    ["pull", ["read", "fetch"]],
    ["push", ["create", "update"]],
    ["delete", ["delete", "detectManifestCollision"]],
    ["*", ["read", "fetch", "create", "update", "delete", "detectManifestCollision"]],
    ["PULL", []],
    ["", []],
  ] as const;
  test.each(cases)("%j permits %j and nothing else", (action, permitted) => {
    const all = ["read", "fetch", "create", "update", "delete", "detectManifestCollision"] as const;
    const access = [{ type: "repository", name: "team/app", actions: [action] }];
    expect(all.filter((wanted) => tokenAllows(access, app, wanted, names))).toEqual(permitted);
  });

  test("counts for repositories only where the entry is for one", () => {
    expect(tokenAllows([{ type: "registry", name: "team/app", actions: ["*"] }], app, "read", names)).toBe(false);
    expect(tokenAllows([], app, "read", names)).toBe(false);
  });

  test("the list of repositories is opened by registry:catalog:* alone", () => {
    expect(tokenAllowsCatalog([{ type: "registry", name: "catalog", actions: ["*"] }])).toBe(true);
    expect(tokenAllowsCatalog([{ type: "registry", name: "catalog", actions: ["pull"] }])).toBe(false);
    expect(tokenAllowsCatalog([{ type: "repository", name: "catalog", actions: ["*"] }])).toBe(false);
    expect(tokenAllowsCatalog(pull("*"))).toBe(false);
  });
});

describe("an access claim", () => {
  const nowMs = Date.UTC(2026, 0, 1);
  const entry = { type: "repository", name: "a", actions: ["pull"] };

  test.each([[undefined], [null], ["repository:a:pull"], [{}], [[]], [[null, 1, "x", []]], [[{ type: "repository", name: "a" }]], [[{ ...entry, name: 1 }]]])(
    "%j permits nothing",
    (claim) => expect(readAccess(claim, nowMs)).toEqual([]),
  );

  test("keeps what is an entry among what is none, and only actions that are words", () => {
    expect(readAccess([1, { ...entry, actions: ["pull", 2, null] }], nowMs)).toEqual([entry]);
  });

  test("leaves out an entry whose own end has come, or cannot be read", () => {
    const kept = { ...entry, exp: "2026-01-01T00:00:01Z" };
    const over = { ...entry, exp: "2025-12-31T23:59:59Z" };
    expect(readAccess([kept, over, { ...entry, exp: "soon" }, { ...entry, exp: {} }, { ...entry, exp: nowMs / 1_000 + 1 }], nowMs)).toEqual([entry, entry]);
  });

  test("of more than a thousand entries is refused", () => {
    expect(
      readAccess(
        Array.from({ length: 1_000 }, () => entry),
        nowMs,
      ),
    ).toHaveLength(1_000);
    expect(
      readAccess(
        Array.from({ length: 1_001 }, () => entry),
        nowMs,
      ),
    ).toBeUndefined();
  });
});

describe("the name that a challenge asks for", () => {
  const cases: readonly (readonly [string, string, string | undefined, string])[] = [
    ["docker.io", "library/alpine", "library/alpine", "library/alpine"],
    ["docker.io", "library/alpine", "alpine", "alpine"],
    ["docker.io", "library/alpine", "docker.io/library/alpine", "docker.io/library/alpine"],
    ["docker.io", "library/alpine", "hub/library/alpine", "hub/library/alpine"],
    ["docker.io", "library/alpine", undefined, "library/alpine"],
    ["quay.io", "team/app", "quay.io/team/app", "quay.io/team/app"],
    // Written beside ?ns=quay.io.
    ["quay.io", "team/app", "team/app", "quay.io/team/app"],
    ["harbor.corp:8443", "team/app", "team/app", "harbor/team/app"],
    ["harbor.corp:8443", "team/app", "harbor.corp:8443/team/app", "harbor.corp:8443/team/app"],
    ["127.0.0.1:5000", "team/app", "team/app", "127.0.0.1:5000/team/app"],
    // gcr.io/google.com/x, when gcr.io is not the default.
    ["gcr.io", "google.com/x", "google.com/x", "gcr.io/google.com/x"],
    // A path of the default upstream that begins like a host: its bare name would mean that host.
    ["docker.io", "quay.io/x", "quay.io/x", "hub/quay.io/x"],
  ];
  test.each(cases)("%s/%s, written %j, is asked for as %j", (host, path, written, asked) => {
    expect(tokenNameOf(repository(host, path), written, names)).toBe(asked);
  });

  test("always means that repository, whatever was written", () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,4}(\.[a-z]{2,3})?$/);
    const path = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join("/"));
    const host = fc.constantFrom("docker.io", "quay.io", "harbor.corp:8443", "127.0.0.1:5000", "unlisted.test");
    fc.assert(
      fc.property(host, path, fc.option(path, { nil: undefined }), (from, own, written) => {
        const meant = repository(from, own);
        const asked = repositoryOfTokenName(tokenNameOf(meant, written, names), names);
        expect(asked && repositoryName(asked)).toBe(repositoryName(meant));
      }),
    );
  });
});
