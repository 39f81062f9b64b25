/** What a token permits: the `access` claim of Docker's token authentication ("Token Authentication Implementation", JWT claims). */
import type { RegistryNames } from "../oci/registry-names.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Action } from "./access-policy.ts";
import { objectOf, textOf } from "./json-object.ts";
import type { TokenAccess } from "./principal.ts";
import { repositoryOfTokenName } from "./token-names.ts";

/** Entries of one claim. */
export const accessEntriesMax = 1_000;

/** Our actions in the words of tokens. A first fetch is no more than a pull. */
const tokenActions: Readonly<Record<Action, "pull" | "push" | "delete">> = {
  read: "pull",
  fetch: "pull",
  create: "push",
  update: "push",
  delete: "delete",
  detectManifestCollision: "delete",
};

/** Whether a token with this access permits `action` on `repository`. Names are compared by what they mean; `*` is any action. */
export function tokenAllows(access: readonly TokenAccess[], repository: Repository, action: Action, names: RegistryNames): boolean {
  const full = repositoryName(repository);
  return access.some(({ type, name, actions }) => {
    if (type !== "repository" || !permits(actions, tokenActions[action])) return false;
    const meant = repositoryOfTokenName(name, names);
    return meant !== undefined && repositoryName(meant) === full;
  });
}

/** Whether a token with this access permits to list the repositories: `registry:catalog:*`. */
export function tokenAllowsCatalog(access: readonly TokenAccess[]): boolean {
  return access.some(({ type, name, actions }) => type === "registry" && name === "catalog" && actions.includes("*"));
}

/**
 * The entries of an `access` claim at `nowMs`; those that are none, and those that are over (zot's `exp`), permit nothing and are left
 * out. Undefined for a claim with too many.
 */
export function readAccess(claim: unknown, nowMs: number): readonly TokenAccess[] | undefined {
  if (!Array.isArray(claim)) return [];
  if (claim.length > accessEntriesMax) return undefined;
  return claim.flatMap((entry) => readEntry(objectOf(entry) ?? {}, nowMs) ?? []);
}

/** Whether some entry has an end of its own. */
export function endsEarly(claim: unknown): boolean {
  return Array.isArray(claim) && claim.some((entry) => (objectOf(entry)?.["exp"] ?? null) !== null);
}

function readEntry(entry: Readonly<Record<string, unknown>>, nowMs: number): TokenAccess | undefined {
  const [type, name] = [textOf(entry["type"]), textOf(entry["name"])];
  if (type === undefined || name === undefined || !Array.isArray(entry["actions"])) return undefined;
  const expires = entry["exp"];
  if (expires !== undefined && expires !== null && !isAhead(expires, nowMs)) return undefined;
  return { type, name, actions: entry["actions"].filter((action) => typeof action === "string") };
}

/** zot writes the time as RFC 3339 text; seconds since 1970, as elsewhere in a token, are taken too. */
function isAhead(expires: unknown, nowMs: number): boolean {
  if (typeof expires === "number") return expires * 1_000 > nowMs;
  return typeof expires === "string" && Date.parse(expires) > nowMs;
}

function permits(actions: readonly string[], wanted: string): boolean {
  return actions.includes(wanted) || actions.includes("*");
}
