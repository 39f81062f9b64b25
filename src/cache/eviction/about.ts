/** What an image is about that has no name of its own: signatures and the like under a tag that is made of their subject's digest. */
import { findDigest, type Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/tag.ts";

/** cosign's `sha256-<hex>.sig`, `.att`, `.sbom`; the referrers tag `sha256-<hex>` of OCI distribution-spec 1.1. */
const digestTag = /^(sha256-[a-f0-9]{64})(?:\.[a-z0-9]+)?$/;

/** The digest that all of these tags are made of; undefined when one is a name that somebody chose. */
export function subjectOfTags(tags: readonly Tag[]): Digest | undefined {
  const subjects = new Set(tags.map((tag) => digestTag.exec(tag)?.[1]?.replace("-", ":")));
  const [subject] = subjects;
  return subjects.size === 1 && subject !== undefined ? findDigest(subject) : undefined;
}
