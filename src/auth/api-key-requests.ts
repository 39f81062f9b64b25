/** API key requests: what one asks a new key to be, as zot's pages and scripts write it: `{label, scopes, expirationDate}`; and our own `scope`. */
import type { RegistryNames } from "../oci/registry-names.ts";
import { objectOf } from "./json-object.ts";
import { readKeyScope } from "./key-scope.ts";
import type { KeyScope } from "./principal.ts";

export interface WantedKey {
  readonly label: string;
  /** Undefined: good until it is revoked. */
  readonly expiresAtMs: number | undefined;
  /** Undefined: all that its owner may do. */
  readonly scope: KeyScope | undefined;
}

const labelLengthMax = 256;
/** What is no name of ours is refused: a misspelt scope would be none. */
const keys = ["label", "scopes", "expirationDate", "scope"];

/** Reads a request's JSON. Throws an Error that says what is wrong with it. */
export function readWantedKey(text: string, { names, nowMs }: { readonly names: RegistryNames; readonly nowMs: number }): WantedKey {
  const read = objectOf(parseJson(text));
  if (!read) throw new Error("the body is to be JSON, an object with label, and perhaps expirationDate and scope");
  const unknown = Object.keys(read).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw new Error(`${JSON.stringify(unknown.slice(0, 64))} means nothing here: ${keys.join(", ")} do`);
  return {
    label: readLabel(read["label"] ?? ""),
    expiresAtMs: readExpiry(read["expirationDate"], nowMs),
    scope: readScope(read["scope"], read["scopes"], names),
  };
}

/** Throws an Error for a label that cannot be shown on one line. */
export function readLabel(value: unknown): string {
  if (typeof value !== "string" || value.length > labelLengthMax || /\p{Cc}/u.test(value)) {
    throw new Error(`label is to be text in one line, of ${labelLengthMax} characters at most`);
  }
  return value;
}

function readExpiry(value: unknown, nowMs: number): number | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const atMs = typeof value === "string" && rfc3339.test(value) ? Date.parse(value) : NaN;
  if (Number.isNaN(atMs)) throw new Error("expirationDate is to be a time as 2027-01-31T12:00:00Z (RFC 3339)");
  if (atMs <= nowMs) throw new Error("expirationDate lies in the past");
  return atMs;
}

const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** zot keeps `scopes` and goes by none of them; here they are patterns of repositories, and hold. */
function readScope(scope: unknown, scopes: unknown, names: RegistryNames): KeyScope | undefined {
  const patterns = Array.isArray(scopes) && scopes.length === 0 ? undefined : (scopes ?? undefined);
  if (patterns !== undefined && scope !== undefined) throw new Error("scope and scopes say the same thing: one is enough");
  return patterns === undefined ? readKeyScope(scope, names) : readKeyScope({ repositories: patterns }, names);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Told by who asked.
  }
}
