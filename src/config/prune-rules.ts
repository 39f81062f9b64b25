/** From a configuration to what decides about images: ages to moments, patterns to functions. */
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { Config } from "./config.ts";
import { compileGoPatterns } from "./go-patterns.ts";
import { compilePattern } from "./patterns.ts";
import type { KeepConfig, PruneConfig } from "./prune-config.ts";

interface CompiledKeep {
  isKept(repository: Repository, tag: string | undefined): boolean;
  lastTags(repository: Repository): number;
}

interface CompiledRules {
  readonly matches?: (name: string) => boolean;
  readonly heldBeforeMs?: number;
  readonly usedBeforeMs?: number;
  readonly countMax?: number;
  readonly keep: CompiledKeep;
}

/** What goes by name or age, as seen at `nowMs` (milliseconds since 1970). Throws `ConfigError` for an expression that is none. */
export function compilePruneRules(
  { by, olderThanMs, expr, countMax }: Pick<PruneConfig, "by" | "olderThanMs" | "expr" | "countMax">,
  { keep, nowMs }: { readonly keep: CompiledKeep; readonly nowMs: number },
): CompiledRules {
  const common = { keep, ...(countMax === Infinity ? {} : { countMax }) };
  switch (by) {
    case "accessed":
      return { ...common, usedBeforeMs: nowMs - olderThanMs };
    case "created":
      return { ...common, heldBeforeMs: nowMs - olderThanMs };
    case "pattern":
      return { ...common, matches: expr === undefined ? () => false : compileGoPatterns(expr, { what: "expr" }) };
    default:
      return by satisfies never;
  }
}

/** What stays: patterns over a repository's name as policies write it, and over that with a tag. */
export function compileKeep(keep: readonly KeepConfig[], names: RegistryNames): CompiledKeep {
  const rules = keep.map(({ pattern, lastTags }) => ({ lastTags, matches: pattern === undefined ? () => true : compileName(pattern, names) }));
  const whole = rules.filter(({ lastTags }) => lastTags === undefined);
  return {
    isKept: (repository, tag) => whole.some(({ matches }) => matches(repository, tag)),
    lastTags: (repository) => Math.max(0, ...rules.map(({ lastTags = 0, matches }) => (lastTags > 0 && matches(repository, undefined) ? lastTags : 0))),
  };
}

/** How large the store may become; undefined when nothing says so. */
export function sizeLimitsOf(
  { prune, registries }: Pick<Config, "prune" | "registries">,
  names: RegistryNames,
): { readonly totalBytes?: number; readonly byHost: ReadonlyMap<RegistryHost, number>; readonly lowWater: number } | undefined {
  const { maxSizeBytes, lowWater, dryRun } = prune;
  const byHost = new Map(
    registries.flatMap(({ name, maxSizeBytes: bytes }): readonly (readonly [RegistryHost, number])[] => {
      const host = names.find(name);
      return bytes === undefined || !host ? [] : [[host, bytes]];
    }),
  );
  if (dryRun || (maxSizeBytes === undefined && byHost.size === 0)) return undefined;
  return { ...(maxSizeBytes === undefined ? {} : { totalBytes: maxSizeBytes }), byHost, lowWater };
}

/** A repository of the default registry is matched under its bare path, any other under `host/path`; the first also under that by patterns that begin with a host. */
function compileName(pattern: string, names: RegistryNames): (repository: Repository, tag: string | undefined) => boolean {
  const matches = compilePattern(pattern);
  const namesHost = /^[^/]*[.:][^/]*\/|^localhost\//.test(pattern);
  return ({ host, path }, tag) => {
    const isDefault = host === names.defaultHost;
    const candidates = [...(isDefault ? [path] : []), ...(!isDefault || namesHost ? [`${host}/${path}`] : [])];
    return candidates.some((name) => matches(name) || (tag !== undefined && matches(`${name}:${tag}`)));
  };
}
