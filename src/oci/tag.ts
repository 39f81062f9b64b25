/** Tag: the human name of a manifest in a repository; case-sensitive. OCI distribution-spec 1.1 "Pulling manifests". */
import { algorithmOf, hexOf, type Digest } from "./digest.ts";
import { OciError } from "./errors.ts";

declare const tagBrand: unique symbol;

export type Tag = string & { readonly [tagBrand]: true };

const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const referrersTagPattern = /^[a-z0-9+._-]{1,32}-[a-zA-Z0-9=_-]{1,64}$/;

/** Parses `raw`, or throws `TAG_INVALID`. */
export function parseTag(raw: string): Tag {
  const tag = findTag(raw);
  if (tag) return tag;
  throw new OciError("TAG_INVALID", `"${raw.slice(0, 128)}" is not a tag: up to 128 of A-Z a-z 0-9 _ . - and no . or - first`);
}

/** `raw` as a tag, or undefined when it is not one. Never throws. */
export function findTag(raw: string): Tag | undefined {
  return tagPattern.test(raw) ? (raw as Tag) : undefined;
}

/** The tag under which registries without the referrers API list them. OCI distribution-spec 1.1 "Referrers Tag Schema". */
export function referrersTagOf(subject: Digest): Tag {
  return `${algorithmOf(subject).slice(0, 32)}-${hexOf(subject).slice(0, 64)}` as Tag;
}

/** True when `tag` is written as a referrers tag: `sha256-<64 hex>`, `sha512-<64 hex>`. */
export function isReferrersTag(tag: Tag): boolean {
  return (tag.startsWith("sha256-") || tag.startsWith("sha512-")) && tag.length === 71 && referrersTagPattern.test(tag);
}
