/** Addresses: where each page lies, and what a page's address means. */
import { findDigest, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { parseReference, referenceName, type Reference } from "../oci/reference.ts";
import { findRegistryHost, parseRepositoryPath, repositoryName, type RegistryHost, type Repository } from "../oci/repository.ts";

export const homePath = "/home";
export const repositoriesPath = "/home/repositories";
export const upstreamsPath = "/home/upstreams";
/** Somebody's own keys and sessions; forms are sent to what lies below it. */
export const accountPath = "/home/account";
export const activityPath = "/home/activity";
export const assetsPath = "/home/assets";
export const signInPath = "/login";
export const signOutPath = "/zot/auth/logout";

/** Names are made of characters that stand in a path as they are. */
export function repositoryHref(repository: Repository): string {
  return `${repositoriesPath}/${repositoryName(repository)}`;
}

export function imageHref(repository: Repository, reference: Reference): string {
  return `${repositoryHref(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
}

export function digestHref(repository: Repository, digest: Digest): string {
  return imageHref(repository, { kind: "digest", digest });
}

/** An address with some of its parameters; those that are empty are left out. */
export function withQuery(path: string, parameters: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== "") query.set(name, String(value));
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

export interface NamedThing {
  readonly repository: Repository;
  /** Undefined: the repository itself. */
  readonly reference: Reference | undefined;
}

/** What `host/path[:tag][@digest]` names. Throws `NAME_INVALID`, `TAG_INVALID` or `DIGEST_INVALID`. */
export function parseName(text: string): NamedThing {
  const slashAt = text.indexOf("/");
  const host = slashAt === -1 ? undefined : findHost(text.slice(0, slashAt));
  if (host === undefined) throw new OciError("NAME_INVALID", "this is not the name of a repository: HOST/PATH");
  const rest = text.slice(slashAt + 1);
  const at = rest.indexOf("@");
  if (at !== -1) return { repository: { host, path: parseRepositoryPath(rest.slice(0, at)) }, reference: parseDigestReference(rest.slice(at + 1)) };
  const colonAt = rest.indexOf(":");
  if (colonAt === -1) return { repository: { host, path: parseRepositoryPath(rest) }, reference: undefined };
  return { repository: { host, path: parseRepositoryPath(rest.slice(0, colonAt)) }, reference: parseReference(rest.slice(colonAt + 1)) };
}

function parseDigestReference(text: string): Reference {
  const digest = findDigest(text);
  if (!digest) throw new OciError("DIGEST_INVALID", "this is not a sha256 or sha512 digest");
  return { kind: "digest", digest };
}

/** A registry, as links of ours spell it: one way. One that is spoken to by http may have a port that https implies. */
export function findHost(word: string): RegistryHost | undefined {
  return [findRegistryHost(word), findRegistryHost(word, { scheme: "http" })].find((host) => host === word);
}
