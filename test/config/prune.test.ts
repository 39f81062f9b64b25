/** What `pruneConfig` means: ages, patterns, sizes, and what it says to nonsense. */
import { describe, expect, test } from "vitest";
import { compileKeep, compilePruneRules, sizeLimitsOf } from "../../src/config/prune-rules.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { loadText, problemsOf } from "./load-text.ts";

const nowMs = Date.UTC(2026, 0, 31);

describe("pruneConfig", () => {
  test("says nothing is pruned when it says nothing", async () => {
    const { config } = await loadText("port: 1\n");
    expect(config.prune).toEqual({
      enabled: false,
      by: "accessed",
      olderThanMs: 30 * 86_400_000,
      expr: undefined,
      countMax: Infinity,
      rhythm: { kind: "every", everyMs: 86_400_000 },
      dryRun: false,
      maxSizeBytes: undefined,
      lowWater: 0.9,
      keep: [],
      timezone: "UTC",
    });
    expect(sizeLimitsOf(config, new RegistryNames(config))).toBeUndefined();
  });

  test.each([
    ["accessed", { usedBeforeMs: nowMs - 5 * 3_600_000 }],
    ["created", { heldBeforeMs: nowMs - 5 * 3_600_000 }],
  ])("prunes by age: %s", async (type, expected) => {
    const { config } = await loadText(`pruneConfig: { enabled: true, type: ${type}, duration: 5h, count: 7 }\n`);
    const names = new RegistryNames(config);
    expect(compilePruneRules(config.prune, { keep: compileKeep([], names), nowMs })).toMatchObject({ ...expected, countMax: 7 });
  });

  test("prunes by Go's expressions", async () => {
    const { config } = await loadText("pruneConfig: { enabled: true, type: pattern, expr: 'curl:,^quay[.]io/.*-rc\\d$' }\n");
    const { matches } = compilePruneRules(config.prune, { keep: compileKeep([], new RegistryNames(config)), nowMs });
    expect(["docker.io/curl/curl:8", "quay.io/team/app:1-rc2", "quay.io/team/app:1"].map((name) => matches?.(name))).toEqual([true, true, false]);
  });

  test.each(["dryRun: true", "dryrun: true", "dryRun: false, dryrun: true"])("only rehearses with { %s }, and then no size holds", async (line) => {
    const { config } = await loadText(`pruneConfig: { ${line}, maxSize: 1GiB }\n`);
    expect(config.prune.dryRun).toBe(true);
    expect(sizeLimitsOf(config, new RegistryNames(config))).toBeUndefined();
  });

  test("limits the store, and registries", async () => {
    const { config } = await loadText(
      "pruneConfig: { maxSize: 200GiB, lowWater: 80% }\nregistries:\n  - { name: quay.io, maxSize: 20GiB }\n  - { name: ghcr.io }\n",
    );
    expect(sizeLimitsOf(config, new RegistryNames(config))).toEqual({
      totalBytes: 200 * 2 ** 30,
      byHost: new Map([["quay.io", 20 * 2 ** 30]]),
      lowWater: 0.8,
    });
  });

  test("is scheduled in a time zone", async () => {
    const { config } = await loadText('pruneConfig: { schedule: "0 3 * * *", timezone: Europe/Berlin }\n');
    expect(config.prune.rhythm).toEqual({ kind: "cron", expression: "0 3 * * *", timezone: "Europe/Berlin" });
  });

  test("keeps by patterns that mean what they mean in policies", async () => {
    const { config } = await loadText('registries: [{ name: quay.io }]\npruneConfig: { keep: [{ pattern: "quay.io/pause/**" }, { pattern: "team/*:v?" }] }\n');
    const keep = compileKeep(config.prune.keep, new RegistryNames(config));
    const at = (host: string, path: string) => repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
    expect(["pause", "pause/sub", "pauses"].map((path) => keep.isKept(at("quay.io", path), "1"))).toEqual([true, true, false]);
    expect(["v1", "v12"].map((tag) => keep.isKept(at("docker.io", "team/app"), tag))).toEqual([true, false]);
  });

  test("is never done by itself with a frequency of -1", async () => {
    const { config } = await loadText("pruneConfig: { enabled: true, frequency: -1 }\n");
    expect(config.prune.rhythm).toEqual({ kind: "every", everyMs: Infinity });
  });

  test.each([
    ['{ schedule: "0 3 * * *", frequency: 5h }', "pruneConfig.frequency and pruneConfig.schedule both say when: keep one of them"],
    ['{ schedule: "0 3 * * *", frequency: 1d }', "pruneConfig.frequency and pruneConfig.schedule both say when: keep one of them"],
    ['{ schedule: "0 3 * * *", frequency: 24h }', "pruneConfig.frequency and pruneConfig.schedule both say when: keep one of them"],
    ['{ schedule: "0 3 * * *", frequency: -1 }', "pruneConfig.frequency and pruneConfig.schedule both say when: keep one of them"],
    ["{ frequency: 0 }", "pruneConfig.frequency must be above 0"],
    ["{ enabled: true, type: pattern }", "pruneConfig.expr must say what to prune, for type pattern"],
    ["{ expr: 'a(' }", 'pruneConfig.expr: "a(" is no regular expression'],
    ["{ maxSize: 0 }", "pruneConfig.maxSize must be above 0"],
    ["{ lowWater: 120% }", 'is "120%", which is not a part from 1% to 100%'],
    ["{ keep: [{}] }", "pruneConfig.keep[0] keeps nothing: write pattern or lastTags"],
    ["{ keep: [{ pinned: false }] }", "what is pinned is kept in any case: unpin it"],
    ["{ keep: [{ pattern: 'hub/library/*' }] }", 'the pattern "hub/library/*" begins with an alias; write "library/*"'],
  ])("%s is refused", async (written, problem) => {
    expect(await problemsOf(`registries: [{ name: docker.io, aliases: [hub] }]\npruneConfig: ${written}\n`)).toEqual([expect.stringContaining(problem)]);
  });
});

describe("keep", () => {
  const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });
  const alpine = named("docker.io", "library/alpine");
  const app = named("quay.io", "team/app");

  test.each([
    ["library/*", alpine, "3", true],
    ["docker.io/library/*", alpine, "3", true],
    ["team/**", app, "1", false],
    ["quay.io/team/**", app, "1", true],
    ["quay.io/**/*:stable", app, "stable", true],
    ["quay.io/**/*:stable", app, "1", false],
    ["*", alpine, "3", false],
  ])("%s, of %o under %s: %s", (pattern, repository, tag, isKept) => {
    expect(compileKeep([{ pattern, lastTags: undefined }], names).isKept(repository, tag)).toBe(isKept);
  });

  test("keeps so many last tags, where the pattern matches or everywhere", () => {
    const keep = compileKeep(
      [
        { pattern: undefined, lastTags: 2 },
        { pattern: "quay.io/**", lastTags: 5 },
      ],
      names,
    );
    expect([keep.lastTags(alpine), keep.lastTags(app)]).toEqual([2, 5]);
    expect(keep.isKept(app, "1")).toBe(false);
  });
});

function named(host: string, path: string): Repository {
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
}
