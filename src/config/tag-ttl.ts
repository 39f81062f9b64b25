/** How long a repository's tags are trusted: the patterns of the configuration, ready to be asked on every pull. */
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { Config, TagTtl } from "./config.ts";
import { byLength, compilePattern } from "./patterns.ts";

interface CompiledTtl {
  readonly defaultMs: number | undefined;
  /** The longest pattern first: the first that matches wins. */
  readonly rules: readonly { readonly matches: (name: string) => boolean; readonly ttlMs: number; readonly namesHost: boolean }[];
}

/**
 * A function from repositories to milliseconds (0 never trusted, Infinity for ever). A registry's own rules come first, there over the
 * path; then the global ones: over the bare path for the default registry (and over `host/path` for patterns that begin with a host),
 * over `host/path` for any other.
 */
export function createTagTtl({ tagTtl, registries }: Pick<Config, "tagTtl" | "registries">, names: RegistryNames): (repository: Repository) => number {
  const global = compile(tagTtl);
  const own = new Map<RegistryHost | undefined, CompiledTtl>(registries.flatMap(({ name, tagTtl: ttl }) => (ttl ? [[names.find(name), compile(ttl)]] : [])));
  // Servers ask with the same object again and again; matching patterns each time would cost more than the rest of an answer.
  const known = new WeakMap<Repository, number>();
  const work = ({ host, path }: Repository): number => {
    const ownTtl = own.get(host);
    const byPath = ownTtl && (ownTtl.rules.find(({ matches }) => matches(path))?.ttlMs ?? ownTtl.defaultMs);
    if (byPath !== undefined) return byPath;
    const full = `${host}/${path}`;
    const isDefault = host === names.defaultHost;
    const rule = global.rules.find(({ matches, namesHost }) => (isDefault && matches(path)) || ((!isDefault || namesHost) && matches(full)));
    return rule?.ttlMs ?? tagTtl.defaultMs;
  };
  return (repository) => {
    const ttlMs = known.get(repository) ?? work(repository);
    known.set(repository, ttlMs);
    return ttlMs;
  };
}

function compile({ defaultMs, patterns }: TagTtl): CompiledTtl {
  const rules = patterns
    .toSorted((one, other) => byLength(one.pattern, other.pattern))
    .map(({ pattern, ttlMs }) => ({
      matches: compilePattern(pattern),
      ttlMs,
      namesHost: /^[^/]*[.:][^/]*\/|^localhost\//.test(pattern),
    }));
  return { defaultMs, rules };
}
