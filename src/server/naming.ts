/**
 * Naming: the one repository that a request means, however it was spelled. A registry can be named by a path prefix
 * (`/HOST/v2/...`), by `?ns=`, by the header `X-Registry`, and as the first segment of the name; all that do must agree.
 */
import { OciError } from "../oci/errors.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { parseRepositoryPath, repositoryOf, type RegistryHost, type Repository } from "../oci/repository.ts";

export interface NamingRules {
  readonly names: RegistryNames;
  /** "deny": only listed registries can be named, and any other first segment is part of a name. */
  readonly unlisted: "public" | "deny";
}

export interface WrittenName {
  /** The words outside the name that say which registry is meant: prefix, every `ns`, `X-Registry`. */
  readonly registryWords: readonly string[];
  /** The name's segments, percent-decoded once. */
  readonly segments: readonly string[];
}

/** The canonical repository. Throws `NAME_INVALID`, `DENIED` for a registry that may not be named, and `NAME_UNKNOWN` for a name that shows a forgotten `override_path`. */
export function resolveRepository({ registryWords, segments }: WrittenName, rules: NamingRules): Repository {
  if (segments.some((segment) => segment.includes("/"))) throw new OciError("NAME_INVALID", "a name with a slash that is percent-encoded");
  const said = agreedHost(registryWords, rules.names);
  const inPath = hostInPath(segments, said, rules);
  if (inPath && said !== undefined && inPath !== said) {
    throw new OciError("NAME_INVALID", `the name says "${inPath}" and the request says "${said}": they must mean one registry`);
  }
  const path = inPath ? segments.slice(1) : segments;
  if (inPath && path[0] === "v2" && path.length > 1) throw forgottenOverridePath(inPath);
  const repository = repositoryOf(inPath ?? said ?? rules.names.defaultHost, parseRepositoryPath(path.join("/")));
  if (rules.unlisted === "deny" && !rules.names.isListed(repository.host))
    throw new OciError("DENIED", `${repository.host} is not one of the registries listed here`);
  return repository;
}

/** The registry that all `words` mean, or undefined for no word. Throws `NAME_INVALID` when one means none, or two differ. */
export function agreedHost(words: readonly string[], names: RegistryNames): RegistryHost | undefined {
  let agreed: RegistryHost | undefined;
  for (const word of words) {
    const host = names.find(word);
    if (!host) throw new OciError("NAME_INVALID", `"${word.slice(0, wordShownMax)}" is not a registry's host[:port]`);
    if (agreed !== undefined && agreed !== host) throw new OciError("NAME_INVALID", `"${agreed}" and "${host}" are different registries: name one`);
    agreed = host;
  }
  return agreed;
}

/** The 404 for `/v2/HOST/v2/...`: what containerd sends when its hosts.toml lacks a line. */
export function forgottenOverridePath(host: RegistryHost): OciError {
  return new OciError("NAME_UNKNOWN", `a second /v2 after "${host}": set override_path = true for this host in hosts.toml, or leave /v2 out of its URL`);
}

/** The registry that the first segment names, or undefined when that segment is part of the repository's name. */
export function hostInPath(segments: readonly string[], said: RegistryHost | undefined, { names, unlisted }: NamingRules): RegistryHost | undefined {
  const [first] = segments;
  if (first === undefined || segments.length < 2) return undefined;
  const mayBeHost = unlisted === "deny" ? names.names(first) : names.looksLikeHost(first);
  if (!mayBeHost) return undefined;
  const host = names.find(first);
  if (said === undefined) {
    if (host) return host;
    throw new OciError("NAME_INVALID", `"${first.slice(0, wordShownMax)}" is written as a registry's host but is none`);
  }
  // gcr.io/google.com/sdk arrives as google.com/sdk with ns=gcr.io: a host that nobody listed is part of the name there.
  return host === said || names.names(first) ? host : undefined;
}

const wordShownMax = 255;
