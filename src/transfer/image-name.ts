/** parseImageName: an image as people write it, `[host/]path[:tag][@digest]`, short names included. */
import { parseDigest, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { Reference } from "../oci/reference.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { parseRepositoryPath, repositoryOf, type Repository } from "../oci/repository.ts";
import { parseTag, type Tag } from "../oci/tag.ts";

export interface ImageName {
  readonly repository: Repository;
  /** The digest where one is written, else the tag; `latest` where there is neither. */
  readonly reference: Reference;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** Throws `NAME_INVALID`, `TAG_INVALID` or `DIGEST_INVALID` with what is wrong. */
export function parseImageName(written: string, names: RegistryNames): ImageName {
  const [named = "", rawDigest, ...rest] = written.split("@");
  if (rest.length > 0) throw new OciError("NAME_INVALID", `"${written.slice(0, 300)}" has more than one @`);
  const digest = rawDigest === undefined ? undefined : parseDigest(rawDigest);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? parseTag(named.slice(colon + 1)) : undefined;
  const repository = parseImageRepository(hasTag ? named.slice(0, colon) : named, names);
  if (digest) return { repository, reference: { kind: "digest", digest }, digest, ...(tag ? { tag } : {}) };
  const meant = tag ?? parseTag("latest");
  return { repository, reference: { kind: "tag", tag: meant }, tag: meant };
}

/** A repository as people write it: its first word is a registry when it looks like one, else the default registry is meant. */
export function parseImageRepository(written: string, names: RegistryNames): Repository {
  const slash = written.indexOf("/");
  const first = slash < 0 ? "" : written.slice(0, slash);
  if (first === "" || !names.looksLikeHost(first)) return repositoryOf(names.defaultHost, parseRepositoryPath(written));
  const host = names.find(first);
  if (!host) throw new OciError("NAME_INVALID", `"${first}" is not a registry's host[:port]`);
  return repositoryOf(host, parseRepositoryPath(written.slice(slash + 1)));
}
