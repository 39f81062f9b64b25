import { describe, expect, test } from "vitest";
import { digestOf, findDigest, parseDigest } from "../../src/oci/digest.ts";
import { OciError } from "../../src/oci/errors.ts";
import { findRegistryHost, parseRegistryHost, parseRepositoryPath, repositoryName, repositoryOf } from "../../src/oci/repository.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { findTag, isReferrersTag, parseTag, referrersTagOf } from "../../src/oci/tag.ts";

/** Every parser of names, on what is far too long: test/fuzz tries them with what may be sent. */
const parsers: Readonly<Record<string, (raw: string) => unknown>> = { parseDigest, parseTag, parseRepositoryPath, parseRegistryHost, parseReference };

describe.each(Object.entries(parsers))("%s", (_, parse) => {
  test.each([
    "a".repeat(30_000),
    "a-".repeat(15_000),
    "a.".repeat(15_000),
    "a/".repeat(15_000),
    "_".repeat(30_000),
    `a${"-".repeat(30_000)}!`,
    `${"a__".repeat(10_000)}/`,
  ])("is quick on a hostile input", (raw) => {
    const startMs = performance.now();
    try {
      parse(raw);
    } catch (error) {
      expect(error).toBeInstanceOf(OciError);
    }
    expect(performance.now() - startMs).toBeLessThan(50);
  });
});

describe("a digest", () => {
  test.each([
    "",
    "sha256",
    "sha256:",
    `sha256:${"A".repeat(64)}`,
    `sha256:${"a".repeat(63)}`,
    `sha256:${"a".repeat(65)}`,
    `SHA256:${"a".repeat(64)}`,
    `md5:${"a".repeat(32)}`,
    `sha256:${"a".repeat(64)}:`,
    `sha256:${"a".repeat(63)}/`,
    `sha512:${"a".repeat(64)}`,
  ])("is not %s", (raw) => {
    expect(findDigest(raw)).toBeUndefined();
    expect(() => parseDigest(raw)).toThrow(expect.objectContaining({ code: "DIGEST_INVALID" }));
  });
});

describe("a tag", () => {
  test.each(["latest", "V1.0-RC1", "v2", "blobs", "manifests", "_", "1", "a".repeat(128)])("may be %s, as it is spelled", (raw) =>
    expect(parseTag(raw)).toBe(raw),
  );
  test.each(["", ".a", "-a", "a b", "a/b", "a:b", "ä", "a\n", "a".repeat(129)])("is not %j", (raw) => expect(findTag(raw)).toBeUndefined());

  test("of referrers is told by its form", () => {
    expect(isReferrersTag(referrersTagOf(digestOf(Buffer.from("x"))))).toBe(true);
    expect(isReferrersTag(referrersTagOf(digestOf(Buffer.from("x"), "sha512")))).toBe(true);
    expect(isReferrersTag(parseTag("sha256-abc"))).toBe(false);
  });
});

describe("a repository", () => {
  test.each([
    ["docker.io", "alpine", "docker.io/library/alpine"],
    ["index.docker.io", "alpine", "docker.io/library/alpine"],
    ["registry-1.docker.io", "library/alpine", "docker.io/library/alpine"],
    ["DOCKER.IO", "bitnami/redis", "docker.io/bitnami/redis"],
    ["quay.io:443", "a/b/c/d/e/f", "quay.io/a/b/c/d/e/f"],
    ["ghcr.io.", "x", "ghcr.io/x"],
    ["localhost:5000", "x/v2/blobs/manifests", "localhost:5000/x/v2/blobs/manifests"],
    ["[::1]:5000", "x", "[::1]:5000/x"],
    ["[0:0::0:1]:5000", "x", "[::1]:5000/x"],
    ["127.1:5000", "x", "127.0.0.1:5000/x"],
    ["0x7F.0.0.1", "x", "127.0.0.1/x"],
    ["2130706433", "x", "127.0.0.1/x"],
  ])("%s + %s is %s", (host, path, name) => expect(repositoryName(repositoryOf(parseRegistryHost(host), parseRepositoryPath(path)))).toBe(name));

  test.each(["", "/", "a//b", "/a", "a/", "A", "a/../b", "..", ".", "a_", "a___b", "a%2fb", "a\u0000", "-a", "a/_tags"])("has no path %j", (raw) => {
    expect(() => parseRepositoryPath(raw)).toThrow(expect.objectContaining({ code: "NAME_INVALID" }));
  });

  test.each([
    "",
    ":5000",
    "a:0",
    "a:65536",
    "a:99999",
    "a b",
    "a/b",
    "-a",
    "a-",
    "a..b",
    "http://a",
    "a@b",
    "a?b",
    "[::1",
    "a:5000:1",
    "1.2.3.256",
    "a.0x",
    "doc\u212aer.io",
  ])("has no host %j", (raw) => expect(findRegistryHost(raw)).toBeUndefined());

  test("drops the port that its scheme implies, and no other", () => {
    expect(parseRegistryHost("a.test:80", { scheme: "http" })).toBe("a.test");
    expect(parseRegistryHost("a.test:443", { scheme: "http" })).toBe("a.test:443");
    expect(parseRegistryHost("a.test:443")).toBe("a.test");
  });

  test("is refused when host and path together are longer than clients can name", () => {
    expect(() => repositoryOf(parseRegistryHost("registry.test"), parseRepositoryPath("a".repeat(250)))).toThrow(
      expect.objectContaining({ code: "NAME_INVALID" }),
    );
  });
});
