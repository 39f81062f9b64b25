/** Lists: `/v2/NAME/tags/list`, `/v2/NAME/referrers/DIGEST`, `/v2/_catalog`. */
import type { Descriptor } from "../oci/descriptor.ts";
import { isOutage, isUnknown, OciError } from "../oci/errors.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Answered, Referrers, Registry } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Holdings } from "../oci/views.ts";
import { jsonAnswer, warningHeaders, type Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./routes.ts";

/** The largest page of tags or repositories; who wants more follows the Link. */
export const pageSizeMax = 10_000;

const catalogPageSize = 100;

/** A page of tags. `n=0` is an empty list without a Link; a repository that is not there is 404 all the same. */
export async function answerTags(route: Extract<Route, { kind: "tags" }>, exchange: Exchange, registry: Registry): Promise<Answer> {
  const size = pageSize(route.query);
  const last = route.query.get("last") ?? "";
  const page = await registry.listTags(route.repository, {
    ...exchange.call(),
    ...(last === "" ? {} : { last }),
    ...(size === undefined ? {} : { limit: Math.max(size, 1) }),
  });
  const next = size === 0 ? undefined : page.next;
  return jsonAnswer(
    200,
    { name: route.writtenName, tags: size === 0 ? [] : page.tags },
    { headers: [...linkHeader(route, next), ...warningHeaders(page.warnings)], outcome: page.outcome },
  );
}

/** An OCI index of referrers. Never 404, never 5xx: dockerd fails a whole pull on one; who is away knows of none. */
export async function answerReferrers(route: Extract<Route, { kind: "referrers" }>, exchange: Exchange, registry: Registry): Promise<Answer> {
  const artifactType = route.query.get("artifactType") ?? "";
  const call = { ...exchange.call(), ...(artifactType === "" ? {} : { artifactType }) };
  const { manifests, warnings, outcome } = await registry.listReferrers(route.repository, route.digest, call).catch(noReferrers);
  const applied = artifactType === "" ? [] : ["OCI-Filters-Applied", "artifactType"];
  return jsonAnswer(
    200,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: manifests.map(descriptorJson) },
    { contentType: mediaTypes.ociIndex, headers: [...applied, ...warningHeaders(warnings)], outcome },
  );
}

/** Whether whoever asks may know that a repository is here. */
export type Sees = (repository: Repository) => boolean;

/** Repositories that are held and may be seen, as `host/path`; `n` counts those that may be seen. */
export async function answerCatalog(route: Extract<Route, { kind: "catalog" }>, holdings: Holdings, sees: Sees | undefined): Promise<Answer> {
  const size = pageSize(route.query) ?? catalogPageSize;
  if (size === 0) return jsonAnswer(200, { repositories: [] });
  const last = route.query.get("last") ?? "";
  const page = { ...(last === "" ? {} : { last }), limit: size };
  const { repositories, next } = sees ? await listVisible(holdings, page, sees) : await holdings.listRepositories(page);
  return jsonAnswer(200, { repositories: repositories.map(repositoryName) }, { headers: linkHeader(route, next, size), outcome: "hit" });
}

/** A page of what may be seen: what may not is passed over, and more is looked at in its place. */
async function listVisible(holdings: Holdings, { last, limit }: { readonly last?: string; readonly limit: number }, sees: Sees): Promise<RepositoryPage> {
  const visible: Repository[] = [];
  for (let after = last; ;) {
    const { repositories, next } = await holdings.listRepositories({ ...(after === undefined ? {} : { last: after }), limit: pageSizeMax });
    for (const repository of repositories) {
      if (!sees(repository)) continue;
      const previous = visible.at(-1);
      if (visible.length === limit && previous) return { repositories: visible, next: repositoryName(previous) };
      visible.push(repository);
    }
    if (next === undefined) return { repositories: visible };
    after = next;
  }
}

type RepositoryPage = Awaited<ReturnType<Holdings["listRepositories"]>>;

/** `n`, at most `pageSizeMax`; undefined when it is absent. Throws `REQUEST_INVALID`. */
function pageSize(query: URLSearchParams): number | undefined {
  const written = query.get("n");
  if (written === null) return undefined;
  if (!/^[0-9]{1,15}$/.test(written)) throw new OciError("REQUEST_INVALID", `n=${written.slice(0, 32)}: the number of results is a whole number`);
  return Math.min(Number(written), pageSizeMax);
}

/** The next page at the URL that the client used: its path with its prefix, its `ns`, its `n`. OCI distribution-spec 1.1 "Listing Tags". */
function linkHeader({ path, query, ns }: Route, next: string | undefined, size = pageSize(query)): readonly string[] {
  if (next === undefined) return [];
  const parameters = new URLSearchParams();
  if (size !== undefined) parameters.set("n", String(size));
  parameters.set("last", next);
  if (ns !== undefined) parameters.set("ns", ns);
  return ["Link", `<${path}?${parameters.toString()}>; rel="next"`];
}

function noReferrers(error: unknown): Referrers & Answered {
  if (isUnknown(error)) return { manifests: [], outcome: "hit", warnings: [] };
  if (isOutage(error)) return { manifests: [], outcome: "stale", warnings: [`${error.message}; referrers are not known`] };
  throw error;
}

function descriptorJson({ mediaType, digest, sizeBytes, artifactType, annotations }: Descriptor): object {
  return { mediaType, digest, size: sizeBytes ?? 0, ...(artifactType === undefined ? {} : { artifactType }), ...(annotations ? { annotations } : {}) };
}
