import { expect, test } from "vitest";
import { createTagTtl } from "../../src/config/tag-ttl.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { loadText } from "./load-text.ts";

test("a tag is trusted by its registry's rules first, the longest pattern first", async () => {
  const { config } = await loadText(`
tagTtl:
  default: 1m
  library/**: 2m
  library/alpine: 3m
  docker.io/library/busybox: 4m
  quay.io/**: 5m
  "**/immutable": -1
registries:
  - name: gcr.io
    tagTtl: { "a/**": 0, "a/b/*": 6m }
  - name: ghcr.io
    tagTtl: 7m
`);
  const ttl = createTagTtl(config, new RegistryNames(config));
  const minutesFor = (host: string, path: string) => ttl(repositoryOf(parseRegistryHost(host), parseRepositoryPath(path))) / 60_000;
  expect(minutesFor("docker.io", "library/nginx")).toBe(2);
  expect(minutesFor("docker.io", "alpine")).toBe(3);
  expect(minutesFor("docker.io", "busybox")).toBe(4);
  expect(minutesFor("docker.io", "team/app")).toBe(1);
  expect(minutesFor("docker.io", "team/immutable")).toBe(Infinity);
  expect(minutesFor("quay.io", "library/alpine")).toBe(5);
  expect(minutesFor("gcr.io", "a/x")).toBe(0);
  expect(minutesFor("gcr.io", "a/b/c")).toBe(6);
  expect(minutesFor("gcr.io", "b")).toBe(1);
  expect(minutesFor("ghcr.io", "team/immutable")).toBe(7);
});
