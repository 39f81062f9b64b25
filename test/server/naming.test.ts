import { describe, expect, test } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
import { referenceName } from "../../src/oci/reference.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import type { NamingRules } from "../../src/server/naming.ts";
import { findRoute, type Route } from "../../src/server/routes.ts";

const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", scheme: "https", aliases: ["hub"] },
    { name: "quay.io", scheme: "https", aliases: ["q", "quay.alias.example"] },
    { name: "registry:5000", scheme: "http", aliases: ["mine"] },
    { name: "plain.example", scheme: "http", aliases: [] },
  ],
});
const open: NamingRules = { names, unlisted: "public" };
const strict: NamingRules = { names, unlisted: "deny" };
const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

function find(target: string, { xRegistry, rules = open }: { xRegistry?: string; rules?: NamingRules } = {}): Route | undefined {
  return findRoute(target, xRegistry, rules);
}

/** `kind host/path reference`, or the code of the failure. */
function shown(target: string, options: { xRegistry?: string; rules?: NamingRules } = {}): string {
  try {
    const route = find(target, options);
    if (!route) return "nothing";
    if (!("repository" in route)) return route.kind;
    const what = route.kind === "manifest" ? referenceName(route.reference) : "digest" in route ? route.digest : "";
    return `${route.kind} ${repositoryName(route.repository)} ${what}`.trim();
  } catch (error) {
    if (error instanceof OciError) return error.code;
    throw error;
  }
}

const alpine = "manifest docker.io/library/alpine 3";

describe("every spelling means one repository", () => {
  test.each([
    "/v2/alpine/manifests/3",
    "/v2/library/alpine/manifests/3",
    "/v2/library/alpine/manifests/3?ns=docker.io",
    "/v2/library/alpine/manifests/3?ns=DOCKER.io",
    "/v2/library/alpine/manifests/3?ns=index.docker.io:443",
    "/v2/library/alpine/manifests/3?ns=hub",
    "/v2/library/alpine/manifests/3?ns=hub&ns=docker.io",
    "/v2/library/alpine/manifests/3?ns=",
    "/v2/docker.io/library/alpine/manifests/3",
    "/v2/docker.io/alpine/manifests/3",
    "/v2/registry-1.docker.io/alpine/manifests/3",
    "/v2/hub/alpine/manifests/3",
    "/v2/docker.io/library/alpine/manifests/3?ns=docker.io",
    "/v2/hub/library/alpine/manifests/3?ns=docker.io",
    "/docker.io/v2/library/alpine/manifests/3",
    "/docker.io/v2/library/alpine/manifests/3?ns=docker.io",
    "/docker.io:443/v2/library/alpine/manifests/3",
    "/docker.io%3A443/v2/library/alpine/manifests/3",
    "/hub/v2/alpine/manifests/3",
    "/docker.io/v2/docker.io/library/alpine/manifests/3",
    "/v2/%6cibrary/alpine/manifests/3",
  ])("%s", (target) => {
    expect(shown(target)).toBe(alpine);
  });

  test("the header X-Registry says it too", () => {
    expect(shown("/v2/library/alpine/manifests/3", { xRegistry: "docker.io" })).toBe(alpine);
    expect(shown("/v2/team/app/manifests/1", { xRegistry: "q" })).toBe("manifest quay.io/team/app 1");
    expect(shown("/v2/team/app/manifests/1?ns=docker.io", { xRegistry: "quay.io" })).toBe("NAME_INVALID");
  });

  test.each([
    ["/v2/team/app/manifests/1?ns=registry:5000", "manifest registry:5000/team/app 1"],
    ["/registry:5000/v2/team/app/manifests/1", "manifest registry:5000/team/app 1"],
    ["/v2/mine/team/app/manifests/1", "manifest registry:5000/team/app 1"],
    ["/v2/team/app/manifests/1?ns=plain.example:80", "manifest plain.example/team/app 1"],
    ["/v2/team/app/manifests/1?ns=other.example:80", "manifest other.example:80/team/app 1"],
    ["/v2/localhost/app/manifests/1", "manifest localhost/app 1"],
    ["/v2/quay.alias.example/app/manifests/1", "manifest quay.io/app 1"],
    ["/v2/app/manifests/1?ns=[::1]:5000", "manifest [::1]:5000/app 1"],
  ])("%s", (target, meant) => {
    expect(shown(target)).toBe(meant);
  });
});

describe("a first segment that looks like a host", () => {
  test("is part of the name beside another registry, when nobody listed it", () => {
    expect(shown("/v2/google.com/cloudsdktool/sdk/manifests/1?ns=gcr.io")).toBe("manifest gcr.io/google.com/cloudsdktool/sdk 1");
    expect(shown("/gcr.io/v2/google.com/sdk/manifests/1")).toBe("manifest gcr.io/google.com/sdk 1");
  });

  test("disagrees with another registry when it is a listed one", () => {
    expect(shown("/v2/quay.io/team/app/manifests/1?ns=gcr.io")).toBe("NAME_INVALID");
    expect(shown("/v2/q/team/app/manifests/1?ns=docker.io")).toBe("NAME_INVALID");
    expect(shown("/quay.io/v2/team/app/manifests/1?ns=gcr.io")).toBe("NAME_INVALID");
    expect(shown("/v2/team/app/manifests/1?ns=gcr.io&ns=quay.io")).toBe("NAME_INVALID");
  });

  test("is a host only if it is listed, where unlisted registries are denied", () => {
    expect(shown("/v2/gcr.io/team/app/manifests/1", { rules: strict })).toBe("manifest docker.io/gcr.io/team/app 1");
    expect(shown("/v2/quay.io/team/app/manifests/1", { rules: strict })).toBe("manifest quay.io/team/app 1");
    expect(shown("/v2/q/team/app/manifests/1", { rules: strict })).toBe("manifest quay.io/team/app 1");
    for (const path of ["/v2/team/app/manifests/1?ns=gcr.io", "/gcr.io/v2/team/app/manifests/1"]) expect(shown(path, { rules: strict })).toBe("DENIED");
    expect(shown("/v2/team/app/manifests/1?ns=quay.io", { rules: strict })).toBe("manifest quay.io/team/app 1");
  });

  test("is the whole name when nothing follows it", () => {
    expect(shown("/v2/docker.io/manifests/1")).toBe("manifest docker.io/library/docker.io 1");
  });

  test("is refused when no host is written so", () => {
    expect(shown("/v2/bad_host.example/app/manifests/1")).toBe("NAME_INVALID");
  });
});

describe("routes match from the right", () => {
  test.each([
    ["/v2", "ping"],
    ["/v2/", "ping"],
    ["/v2/?ns=docker.io", "ping"],
    ["/docker.io/v2/", "ping"],
    ["/v2/_catalog?n=3", "catalog"],
    ["/v2/alpine/manifests/v2", "manifest docker.io/library/alpine v2"],
    ["/v2/alpine/manifests/manifests", "manifest docker.io/library/alpine manifests"],
    ["/v2/team/manifests/manifests/blobs", "manifest docker.io/team/manifests blobs"],
    ["/v2/team/blobs/manifests/1", "manifest docker.io/team/blobs 1"],
    ["/v2/team/blobs/uploads/manifests/1", "manifest docker.io/team/blobs/uploads 1"],
    ["/v2/team/tags/list/tags/list", "tags docker.io/team/tags/list"],
    ["/v2/v2/v2/manifests/v2", "manifest docker.io/v2/v2 v2"],
    ["/v2/a/b/c/d/e/f/manifests/V1.0-RC1", "manifest docker.io/a/b/c/d/e/f V1.0-RC1"],
    [`/v2/alpine/manifests/${digest}`, `manifest docker.io/library/alpine ${digest}`],
    [`/v2/alpine/manifests/${digest.replace(":", "%3A")}`, `manifest docker.io/library/alpine ${digest}`],
    [`/v2/alpine/blobs/${digest}`, `blob docker.io/library/alpine ${digest}`],
    [`/v2/alpine/referrers/${digest}?artifactType=x`, `referrers docker.io/library/alpine ${digest}`],
  ])("%s", (target, meant) => {
    expect(shown(target)).toBe(meant);
  });

  test.each([
    "/",
    "/v1/",
    "/v20/alpine/manifests/1",
    "/v2/alpine",
    "/v2/manifests/latest",
    "/v2/tags/list",
    "/words/v2/alpine/manifests/1",
    "/v2/alpine/manifests",
    "/favicon.ico",
    "/a/b/v2/",
  ])("%s is nothing", (target) => {
    expect(shown(target)).toBe("nothing");
  });

  test.each([
    ["/v2/library%2Falpine/manifests/1", "NAME_INVALID"],
    ["/v2/../secret/manifests/1", "NAME_INVALID"],
    ["/v2/a/%2e%2e/b/manifests/1", "NAME_INVALID"],
    ["/v2/a//b/manifests/1", "NAME_INVALID"],
    ["/v2/a%00b/manifests/1", "NAME_INVALID"],
    ["/v2/Alpine/manifests/1", "NAME_INVALID"],
    ["/v2/alpine/manifests/-x", "TAG_INVALID"],
    ["/v2/alpine/manifests/a%252Fb", "TAG_INVALID"],
    ["/v2/alpine/manifests/", "TAG_INVALID"],
    ["/v2/alpine/manifests/sha256:abc", "DIGEST_INVALID"],
    ["/v2/alpine/blobs/latest", "DIGEST_INVALID"],
    ["/v2/alpine/blobs/sha384:00", "DIGEST_INVALID"],
    ["/v2/alpine/manifests/%zz", "REQUEST_INVALID"],
    ["/v2/alpine/manifests/1?ns=docker.io/library", "NAME_INVALID"],
    ["/v2/alpine/manifests/1?ns=docker.io:0", "NAME_INVALID"],
    ["/v2/alpine/manifests/1?ns=http://docker.io", "NAME_INVALID"],
    [`/v2/${"a/".repeat(130)}b/manifests/1`, "NAME_INVALID"],
    [`/v2/${"a".repeat(9000)}/manifests/1`, "REQUEST_INVALID"],
  ])("%s is refused", (target, code) => {
    expect(shown(target)).toBe(code);
  });

  test("a forgotten override_path is named", () => {
    expect(() => find("/v2/docker.io/v2/library/alpine/manifests/1")).toThrow(/override_path/);
    expect(shown("/v2/docker.io/v2/library/alpine/manifests/1")).toBe("NAME_UNKNOWN");
    expect(shown("/v2/docker.io/v2/library/alpine/manifests/1?ns=docker.io")).toBe("NAME_UNKNOWN");
    expect(shown("/v2/docker.io/v2/")).toBe("NAME_UNKNOWN");
    // A repository may be called v2 all the same.
    expect(shown("/v2/docker.io/v2/manifests/1")).toBe("manifest docker.io/library/v2 1");
  });
});

describe("a hostile name of thousands of characters", () => {
  test.each(["a-".repeat(4000), "a.".repeat(4000), "a__".repeat(2000), "%41".repeat(2700), "a/".repeat(4000)])("takes no time", (hostile) => {
    const startedMs = performance.now();
    shown(`/v2/${hostile}/manifests/1`);
    expect(performance.now() - startedMs).toBeLessThan(20);
  });
});
