/**
 * Policy names: what a pattern of the access rules means. A repository of the default upstream is called by its bare path, as a zot
 * user writes it, and also by `host/path` in patterns whose first component is written as a host; any other is called `host/path`.
 */
import type { RegistryNames } from "../oci/registry-names.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { repositoryName } from "../oci/repository.ts";
import type { Glob } from "../oci/glob.ts";

/** Whether the pattern means this repository. */
export function globMatches(glob: Glob, repository: Repository, defaultHost: RegistryHost): boolean {
  const full = repositoryName(repository);
  if (repository.host !== defaultHost) return glob.matches(full);
  return glob.alternatives.some((alternative) => alternative.matches(repository.path) || (namesHost(alternative.text) && alternative.matches(full)));
}

/** The one name by which logs, tokens and the catalog call a repository where policies count. */
export function policyName(repository: Repository, defaultHost: RegistryHost): string {
  return repository.host === defaultHost ? repository.path : repositoryName(repository);
}

/** Whether the first component of a pattern is written as a host: something follows it, and it holds a dot or a colon, or is `localhost`. */
export function namesHost(text: string): boolean {
  const [first = "", ...others] = text.split("/", 2);
  return others.length > 0 && (first === "localhost" || /[.:]/.test(first));
}

/** How a pattern must be written whose first component is an alias, or a host in another spelling; undefined when it is as it must be. */
export function canonicalPattern(text: string, names: RegistryNames): string | undefined {
  const [first = "", ...others] = text.split("/");
  if (others.length === 0 || /[*?[\\]/.test(first) || (!namesHost(text) && !names.names(first))) return undefined;
  const host = names.find(first);
  return host === undefined || host === first ? undefined : [host, ...others].join("/");
}
