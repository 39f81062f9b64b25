/**
 * Token names: what the name of a repository means within a token, whatever form the request had: a bare path is the default
 * upstream's, a first word that is a registry's name or alias is that registry's. So a token for `library/x` opens no other
 * upstream's `library/x`.
 */
import { OciError } from "../oci/errors.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { parseRepositoryPath, repositoryName, repositoryOf, type Repository } from "../oci/repository.ts";
import { policyName } from "./policy-names.ts";

/** The repository that a token means by `name`, or undefined when it means none. */
export function repositoryOfTokenName(name: string, names: RegistryNames): Repository | undefined {
  const slashAt = name.indexOf("/");
  const first = name.slice(0, slashAt);
  const hasHost = slashAt > 0 && names.looksLikeHost(first);
  const host = hasHost ? names.find(first) : names.defaultHost;
  if (!host) return undefined;
  try {
    return repositoryOf(host, parseRepositoryPath(hasHost ? name.slice(slashAt + 1) : name));
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}

/**
 * The name by which a challenge asks for a repository: as the client wrote it in the path, when that means the same to a token, for
 * containerd asks for that name of its own accord; else one that every token service can write, without a port if there is one.
 */
export function tokenNameOf(repository: Repository, written: string | undefined, names: RegistryNames): string {
  const full = repositoryName(repository);
  const aliased = names.aliasesOf(repository.host).map((alias) => `${alias}/${repository.path}`);
  const portless = [policyName(repository, names.defaultHost), ...aliased].filter((name) => !name.includes(":"));
  const candidates = [...(written === undefined ? [] : [written]), ...portless];
  return candidates.find((name) => means(name, full, names)) ?? full;
}

function means(name: string, full: string, names: RegistryNames): boolean {
  const repository = repositoryOfTokenName(name, names);
  return repository !== undefined && repositoryName(repository) === full;
}
