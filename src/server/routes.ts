/**
 * Routes: what a request's URL asks for. Matched from the right, so that names may hold components called `blobs`, `manifests`
 * or `tags`, and tags may be called `v2`. OCI distribution-spec 1.1 "Endpoints".
 */
import { parseDigest, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { parseReference, type Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { agreedHost, forgottenOverridePath, hostInPath, resolveRepository, type NamingRules } from "./naming.ts";

/** Longer request targets are refused before anything looks at them. */
export const urlLengthMax = 8_192;

/** How the URL was written, for Links and headers that have to speak the client's spelling. */
export interface RouteSpelling {
  /** The path as sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The first `ns`, as sent. */
  readonly ns: string | undefined;
}

export type Route = RouteSpelling &
  (
    | { readonly kind: "ping" }
    | { readonly kind: "catalog" }
    | (NamedRoute &
        (
          | { readonly kind: "manifest"; readonly reference: Reference }
          | { readonly kind: "blob"; readonly digest: Digest }
          | { readonly kind: "referrers"; readonly digest: Digest }
          | { readonly kind: "tags" }
          /** Where blobs would be pushed to. */
          | { readonly kind: "upload" }
        ))
  );

interface NamedRoute {
  readonly repository: Repository;
  /** The name as written in the path. */
  readonly writtenName: string;
}

/**
 * The route of `target` (`/path?query`, as it came over the wire), or undefined when it is no path of the API. `xRegistry` is
 * the header of that name. Throws `NAME_INVALID`, `TAG_INVALID`, `DIGEST_INVALID`, `NAME_UNKNOWN` (a forgotten override_path)
 * and `REQUEST_INVALID` (too long, or not percent-encoding).
 */
export function findRoute(target: string, xRegistry: string | undefined, rules: NamingRules): Route | undefined {
  if (target.length > urlLengthMax) throw new OciError("REQUEST_INVALID", `a URL of ${target.length} characters: at most ${urlLengthMax}`);
  const queryAt = target.indexOf("?");
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  const root = findRoot(path, rules);
  if (!root) return undefined;
  const query = new URLSearchParams(queryAt === -1 ? "" : target.slice(queryAt + 1));
  const namespaces = query.getAll("ns").filter((word) => word !== "");
  const spelling: RouteSpelling = { path, query, ns: namespaces[0] };
  const registryWords = [...root.prefix, ...namespaces, ...(xRegistry ? [xRegistry] : [])];
  const { rest } = root;
  const kind = kindWithoutName(rest);
  if (!kind) return matchFromRight(rest, registryWords, rules, spelling);
  // Nothing depends on the registry here, but what was said is echoed: it has to be one.
  agreedHost(registryWords, rules.names);
  return { kind, ...spelling };
}

function kindWithoutName(rest: readonly string[]): "ping" | "catalog" | undefined {
  if (rest.length > 1) return undefined;
  const [only = ""] = rest;
  if (only === "") return "ping";
  return only === "_catalog" ? "catalog" : undefined;
}

function matchFromRight(rest: readonly string[], registryWords: readonly string[], rules: NamingRules, spelling: RouteSpelling): Route | undefined {
  const verb = rest.at(-2) ?? "";
  const last = rest.at(-1) ?? "";
  const uploadsAt = verb === "blobs" && last === "uploads" ? -2 : verb === "uploads" && rest.at(-3) === "blobs" ? -3 : undefined;
  const segments = rest.slice(0, uploadsAt ?? -2);
  const isList = verb === "tags" && last === "list";
  if (segments.length === 0 || !(uploadsAt !== undefined || isList || verb === "manifests" || verb === "blobs" || verb === "referrers")) {
    refuseForgottenOverridePath(rest, registryWords, rules);
    return undefined;
  }
  const named = { repository: resolveRepository({ registryWords, segments }, rules), writtenName: segments.join("/"), ...spelling };
  if (uploadsAt !== undefined) return { kind: "upload", ...named };
  if (isList) return { kind: "tags", ...named };
  if (verb === "manifests") return { kind: "manifest", ...named, reference: parseReference(last) };
  return { kind: verb === "blobs" ? "blob" : "referrers", ...named, digest: parseDigest(last) };
}

/** What precedes `/v2` (a registry, or nothing) and what follows it, decoded once; undefined when there is no `/v2` where one may be. */
function findRoot(path: string, rules: NamingRules): { prefix: readonly string[]; rest: readonly string[] } | undefined {
  if (path.startsWith("/v2/") || path === "/v2") return { prefix: [], rest: decodeSegments(path.slice("/v2/".length), path) };
  const slashAt = path.indexOf("/", 1);
  if (slashAt === -1 || path[0] !== "/") return undefined;
  const afterHost = path.slice(slashAt);
  if (afterHost !== "/v2" && !afterHost.startsWith("/v2/")) return undefined;
  const [host = ""] = decodeSegments(path.slice(1, slashAt), path);
  if (!rules.names.looksLikeHost(host)) return undefined;
  return { prefix: [host], rest: decodeSegments(afterHost.slice("/v2/".length), path) };
}

function decodeSegments(encoded: string, path: string): readonly string[] {
  if (encoded === "") return [];
  const segments = encoded.split("/");
  return path.includes("%") ? segments.map(decodeSegment) : segments;
}

/** Decodes once. A slash that was encoded stays one segment, which no grammar accepts. */
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throw new OciError("REQUEST_INVALID", "a URL that is not percent-encoded UTF-8", { cause: error });
  }
}

function refuseForgottenOverridePath(rest: readonly string[], registryWords: readonly string[], rules: NamingRules): void {
  if (rest[1] !== "v2") return;
  const host = hostInPath(rest, agreedHost(registryWords, rules.names), rules);
  if (host) throw forgottenOverridePath(host);
}
