/** Reference: what follows `/manifests/`, a tag or a digest. */
import { parseDigest, type Digest } from "./digest.ts";
import { parseTag, type Tag } from "./tag.ts";

export type Reference = { readonly kind: "tag"; readonly tag: Tag } | { readonly kind: "digest"; readonly digest: Digest };

/** A digest when `raw` holds a colon, else a tag. Throws `DIGEST_INVALID` or `TAG_INVALID`. */
export function parseReference(raw: string): Reference {
  return raw.includes(":") ? { kind: "digest", digest: parseDigest(raw) } : { kind: "tag", tag: parseTag(raw) };
}

/** The reference as it stands in a URL. */
export function referenceName(reference: Reference): string {
  return reference.kind === "tag" ? reference.tag : reference.digest;
}
