import { expect, test } from "vitest";
import { findPlatform, isPlatform, platformName, readPlatform, type Platform } from "../../src/oci/platform.ts";

function platform(written: string): Platform {
  const found = findPlatform(written);
  if (!found) throw new Error(`${written} is no platform`);
  return found;
}

test.each([
  ["linux/amd64", "linux/amd64"],
  ["linux/arm/v7", "linux/arm/v7"],
  ["Linux/x86_64", "linux/amd64"],
  ["linux/aarch64", "linux/arm64"],
  ["linux/armhf", "linux/arm/v7"],
  ["macos/arm64", "darwin/arm64"],
  [" windows/amd64 ", "windows/amd64"],
])("%s is %s", (written, name) => {
  expect(platformName(platform(written))).toBe(name);
});

test.each(["", "linux", "amd64", "linux/", "/amd64", "linux/arm/v7/x", "linux/a b", "linux/*"])("%j is none", (written) => {
  expect(findPlatform(written)).toBeUndefined();
});

test.each([
  ["linux/arm64", "linux/arm64/v8", true],
  ["linux/arm64/v8", "linux/arm64", true],
  ["linux/arm64", "linux/arm64", true],
  ["linux/arm/v6", "linux/arm/v7", false],
  ["linux/arm", "linux/arm/v7", true],
  ["linux/arm", "linux/arm/v6", false],
  ["linux/amd64/v2", "linux/amd64", true],
  ["windows/amd64", "linux/amd64", false],
])("what is for %s fulfils %s: %s", (offered, wanted, fulfils) => {
  expect(isPlatform(platform(offered), platform(wanted))).toBe(fulfils);
});

test("an index says a platform in JSON; what is no program has none", () => {
  expect(readPlatform({ os: "windows", architecture: "amd64", "os.version": "10.0.20348.1" })).toEqual({
    os: "windows",
    architecture: "amd64",
    osVersion: "10.0.20348.1",
  });
  expect(readPlatform({ os: "linux", architecture: "arm", variant: "v7" })).toEqual(platform("linux/arm/v7"));
  for (const json of [undefined, null, "linux/amd64", {}, { os: "linux" }, { os: "unknown", architecture: "unknown" }])
    expect(readPlatform(json)).toBeUndefined();
});

test("one version of an operating system is asked for by its beginning", () => {
  const wanted = { os: "windows", architecture: "amd64", osVersion: "10.0.20348" };
  expect(isPlatform({ os: "windows", architecture: "amd64", osVersion: "10.0.20348.1970" }, wanted)).toBe(true);
  expect(isPlatform({ os: "windows", architecture: "amd64", osVersion: "10.0.17763.1" }, wanted)).toBe(false);
});
