import { expect, test } from "vitest";
import { findHostOfFolder, hostFolder } from "../../src/cache/layout.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";

test.each([
  ["docker.io", "https", "docker.io"],
  ["localhost:5000", "https", "localhost_5000_"],
  ["[::1]", "https", "[__1]"],
  ["[::1]:5000", "https", "[__1]_5000_"],
  ["a.test:80", "https", "a.test_80_"],
  ["a.test:443", "http", "a.test_443_"],
] as const)("the registry %s, spoken to by %s, has the folder %s, and is found by it", (name, scheme, folder) => {
  const host = parseRegistryHost(name, { scheme });
  expect(hostFolder(host)).toBe(folder);
  expect(findHostOfFolder(folder)).toBe(host);
});

test.each(["", "_tags", "docker.io_", "DOCKER.IO", "index.docker.io", "127.1", "[__0_1]", "a_b", "..", "a.test_0_"])("the folder %j is nobody's", (folder) => {
  expect(findHostOfFolder(folder)).toBeUndefined();
});
