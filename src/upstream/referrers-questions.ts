/**
 * Asking one endpoint what refers to a manifest: by the referrers API, or, where there is none, by the tag that stands in for it.
 * OCI distribution-spec 1.1 "Listing Referrers" and "Referrers Tag Schema".
 */
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { bareMediaType, findDescriptors, manifestBytesMax, readManifestContent } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Referrers } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { referrersTagOf } from "../oci/tag.ts";
import { checkStatus, type Delivered, type Endpoint } from "./endpoint.ts";
import { unusable } from "./errors.ts";
import { findNextLink } from "./link-header.ts";
import { askManifest } from "./manifest-questions.ts";
import { isRedirect } from "./redirects.ts";

const pagesMax = 50;
const referrersMax = 20_000;
/** No page is asked for beyond so much: annotations may be as large as somebody likes, and all of it is kept and passed on at once. */
const referrersBytesMax = 8 << 20;

interface Page {
  readonly manifests: readonly Descriptor[];
  readonly next: URL | undefined;
  readonly sizeBytes: number;
  readonly isPublic: boolean;
}

/** All that refers to `subject`, unfiltered; nothing when the endpoint knows of none. */
export async function askReferrers(
  endpoint: Endpoint,
  repository: Repository,
  subject: Digest,
  signal: AbortSignal,
  clock: Clock,
): Promise<Delivered<Referrers>> {
  const first = await askPage(endpoint, repository, subject, `/referrers/${subject}`, signal, clock);
  if (!first) return askFallbackTag(endpoint, repository, subject, signal, clock);
  const manifests = [...first.manifests];
  const seen = new Set<string>();
  let { next, sizeBytes } = first;
  for (let pages = 1; next && pages < pagesMax && manifests.length < referrersMax && sizeBytes < referrersBytesMax && !seen.has(next.href); pages++) {
    seen.add(next.href);
    const page: Page | undefined = await askPage(endpoint, repository, subject, next, signal, clock);
    if (!page) break;
    manifests.push(...page.manifests);
    next = page.next;
    sizeBytes += page.sizeBytes;
  }
  return { manifests, isPublic: first.isPublic };
}

/** Undefined when the endpoint has no such API: it says 404 or 405, leads elsewhere, or shows something that does not claim to be an index. */
function askPage(
  endpoint: Endpoint,
  repository: Repository,
  subject: Digest,
  path: string | URL,
  signal: AbortSignal,
  clock: Clock,
): Promise<Page | undefined> {
  const sought = { unknown: "MANIFEST_UNKNOWN", name: `referrers of ${subject} in ${repositoryName(repository)}` } as const;
  return endpoint.ask({ repository: repository.path, path, method: "GET", accept: mediaTypes.ociIndex, follow: "own" }, signal, async (answer) => {
    if ([400, 404, 405, 406, 410, 501].includes(answer.status) || isRedirect(answer)) {
      answer.body.discard();
      return undefined;
    }
    checkStatus(answer, sought, clock);
    const bytes = await answer.body.readAll(manifestBytesMax, signal);
    const manifests = findReferrersPage(bytes, answer.header("content-type"));
    // Nobody who lacks the API says that this is its answer: it is a broken one, and no reason to forget what is known.
    if (!manifests && bareMediaType(answer.header("content-type")) === mediaTypes.ociIndex) throw unusable(answer.url, "an index that cannot be read");
    if (!manifests) return undefined;
    const next = findNextLink(answer.header("link"), answer.url);
    return { manifests, next: next?.origin === answer.url.origin ? next : undefined, sizeBytes: bytes.byteLength, isPublic: answer.isPublic };
  });
}

/** The descriptors of one page; undefined for what is no OCI index by its own word, or else by that of `contentType`. Never throws. */
export function findReferrersPage(bytes: Buffer, contentType: string | undefined): readonly Descriptor[] | undefined {
  const json = parseObject(bytes);
  if (!json || !("manifests" in json) || !Array.isArray(json.manifests)) return undefined;
  const mediaType = "mediaType" in json && typeof json.mediaType === "string" ? json.mediaType : bareMediaType(contentType);
  return mediaType === mediaTypes.ociIndex ? findDescriptors(json.manifests) : undefined;
}

/** The index under `sha256-<hex>`. Where that tag is the subject itself (gitlab), or no OCI index, it says nothing. */
async function askFallbackTag(endpoint: Endpoint, repository: Repository, subject: Digest, signal: AbortSignal, clock: Clock): Promise<Delivered<Referrers>> {
  try {
    const manifest = await askManifest(endpoint, repository, { kind: "tag", tag: referrersTagOf(subject) }, signal, clock);
    const isIndex = manifest.descriptor.mediaType === mediaTypes.ociIndex && manifest.descriptor.digest !== subject;
    return { manifests: isIndex ? readManifestContent(manifest.bytes).manifests : [], isPublic: manifest.isPublic };
  } catch (error) {
    if (error instanceof OciError && error.code === "MANIFEST_UNKNOWN") return { manifests: [], isPublic: false };
    throw error;
  }
}

function parseObject(bytes: Buffer): object | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof json === "object" && json !== null ? json : undefined;
  } catch {
    return undefined; // A page for people: there is no such API.
  }
}
