import { expect, test } from "vitest";
import { createTagTtl } from "../../src/config/tag-ttl.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { loadText, problemsOf } from "./load-text.ts";

test("patterns mean what they mean in policies: a folder's pattern is for the folder's own name too", async () => {
  const { config } = await loadText(`
tagTtl: { default: 1m, "x/team/**": 2m }
registries: [{ name: gcr.io, tagTtl: { "a/**": 4m } }]
`);
  const ttl = createTagTtl(config, new RegistryNames(config));
  const minutesFor = (host: string, path: string) => ttl(repositoryOf(parseRegistryHost(host), parseRepositoryPath(path))) / 60_000;
  expect(minutesFor("docker.io", "x/team")).toBe(2);
  expect(minutesFor("docker.io", "x/team/a/b")).toBe(2);
  expect(minutesFor("docker.io", "x/teams")).toBe(1);
  expect(minutesFor("gcr.io", "a")).toBe(4);
});

test.each([
  ['tagTtl: { default: 1m, "a{b": 2m }', 'tagTtl["a{b"]: "a{b" has a { without a }'],
  ['tagTtl: { "a//b": 2m }', 'tagTtl["a//b"]: "a//b" matches nothing: no name begins or ends with a slash, or has two in a row'],
  ['registries: [{ name: gcr.io, tagTtl: { "[]": 2m } }]', 'registries[0].tagTtl["[]"]: "[]" has an empty class []'],
  [
    'registries: [{ name: gcr.io, credentials: [{ match: "team/[a", auth: { user: u, password: p } }] }]',
    'registries[0].credentials[0].match: "team/[a" has a [ without a ]',
  ],
  ['pruneConfig: { keep: [{ pattern: "/team/*" }] }', 'pruneConfig.keep[0].pattern: "/team/*" matches nothing'],
])("a pattern that is none is refused: %s", async (line, problem) => {
  expect(await problemsOf(`${line}\n`)).toEqual([expect.stringContaining(problem)]);
});

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
