/**
 * Asking one endpoint for tags, page by page. Pages that the endpoint marks with `last` are passed on as they are; a list that comes
 * whole, or in pages with marks of the endpoint's own, is put together and paged here. OCI distribution-spec 1.1 "Listing Tags".
 */
import type { Clock } from "../oci/clock.ts";
import type { TagsPage } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { findTag, type Tag } from "../oci/tag.ts";
import { checkStatus, type Delivered, type Endpoint } from "./endpoint.ts";
import { unusable, type Sought } from "./errors.ts";
import { findNextLink } from "./link-header.ts";

const pageBytesMax = 16 << 20;
/** No page is asked for beyond so much, tags or not. */
const allBytesMax = 32 << 20;
const pagesMax = 200;
const tagsMax = 200_000;
/** ECR refuses more. */
const pageSizeMax = 1_000;

export interface AskTagsOptions {
  readonly last: string | undefined;
  readonly limit: number | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

interface RawPage {
  readonly tags: readonly string[];
  /** Where the next page is. */
  readonly next: URL | undefined;
  readonly sizeBytes: number;
  readonly isPublic: boolean;
}

/** A page of at most `limit` tags after `last`; entries that are no tags are left out. */
export async function askTags(endpoint: Endpoint, repository: Repository, { last, limit, signal, clock }: AskTagsOptions): Promise<Delivered<TagsPage>> {
  const query = new URLSearchParams();
  if (limit !== undefined && limit > 0) query.set("n", String(Math.min(limit, pageSizeMax)));
  if (last !== undefined) query.set("last", last);
  const ask = (path: string | URL): Promise<RawPage> => askPage(endpoint, repository, path, { signal, clock });
  const first = await ask(query.size > 0 ? `/tags/list?${query.toString()}` : "/tags/list");
  const mark = first.next?.searchParams.get("last") ?? undefined;
  if (first.next && mark !== undefined && mark !== last) return { ...cut(first.tags, limit, mark), isPublic: first.isPublic };
  const all = first.next ? await collect(first, ask) : first.tags;
  const sorted = [...new Set(all)].sort();
  // An endpoint that drops the query (registry.k8s.io) or marks its pages otherwise begins again at the first tag.
  const isFromStart = first.next !== undefined || (last !== undefined && sorted.includes(last));
  const after = last !== undefined && isFromStart ? sorted.filter((tag) => tag > last) : sorted;
  return { ...cut(after, limit, undefined), isPublic: first.isPublic };
}

async function collect(first: RawPage, ask: (path: URL) => Promise<RawPage>): Promise<readonly string[]> {
  const tags = [...first.tags];
  const seen = new Set<string>();
  let { next, sizeBytes } = first;
  for (let pages = 1; next && pages < pagesMax && tags.length < tagsMax && sizeBytes < allBytesMax && !seen.has(next.href); pages++) {
    seen.add(next.href);
    const page: RawPage = await ask(next);
    tags.push(...page.tags);
    next = page.next;
    sizeBytes += page.sizeBytes;
  }
  return tags;
}

function cut(tags: readonly string[], limit: number | undefined, next: string | undefined): TagsPage {
  if (limit === undefined || tags.length <= limit) return next === undefined ? { tags } : { tags, next };
  const page = tags.slice(0, limit);
  const lastTag = page.at(-1);
  return lastTag === undefined ? { tags: page } : { tags: page, next: lastTag };
}

function askPage(endpoint: Endpoint, repository: Repository, path: string | URL, { signal, clock }: { signal: AbortSignal; clock: Clock }): Promise<RawPage> {
  const sought: Sought = { unknown: "NAME_UNKNOWN", name: `tags of ${repositoryName(repository)}` };
  return endpoint.ask({ repository: repository.path, path, method: "GET", accept: "application/json" }, signal, async (answer) => {
    checkStatus(answer, sought, clock);
    const bytes = await answer.body.readAll(pageBytesMax, signal);
    const tags = findTagsPage(bytes);
    if (!tags) throw unusable(answer.url, "no list of tags");
    const next = findNextLink(answer.header("link"), answer.url);
    return { tags, next: next?.origin === answer.url.origin && answer.isOwn ? next : undefined, sizeBytes: bytes.byteLength, isPublic: answer.isPublic };
  });
}

/** The tags of one page, in its order; entries that are no tags are left out. Undefined for what is no list of tags. Never throws. */
export function findTagsPage(bytes: Buffer): readonly Tag[] | undefined {
  const json = parseJson(bytes);
  if (!json || !("tags" in json)) return undefined;
  const entries: readonly unknown[] = Array.isArray(json.tags) ? json.tags : [];
  return entries.flatMap((entry) => (typeof entry === "string" ? (findTag(entry) ?? []) : []));
}

function parseJson(bytes: Buffer): object | undefined {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof json === "object" && json !== null ? json : undefined;
  } catch {
    return undefined; // Said by the caller, who knows what was asked.
  }
}
