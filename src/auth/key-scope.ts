/**
 * Key scopes: what of its owner's rights an API key has: some repositories, by patterns, and some actions. They narrow what policies permit,
 * and never give anything.
 */
import type { RegistryNames } from "../oci/registry-names.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { Action } from "./access-policy.ts";
import { findAction } from "./access-rules.ts";
import { parseGlob, type Glob } from "../oci/glob.ts";
import { objectOf } from "./json-object.ts";
import { canonicalPattern, globMatches } from "./policy-names.ts";
import type { KeyScope } from "./principal.ts";

/** As it is written, kept, and carried by tokens. */
export interface WrittenKeyScope {
  readonly repositories?: readonly string[];
  readonly actions?: readonly string[];
}

/** Patterns of one key, and their characters together: tokens carry them in a header. */
export const scopePatternsMax = 64;
const scopeLengthMax = 2_048;

/**
 * Reads `{"repositories": ["team/**"], "actions": ["read"]}`; either may be left out. Undefined for nothing written, which narrows nothing.
 * With `names` no pattern may begin with another name of a registry. Throws an Error that says what is wrong.
 */
export function readKeyScope(written: unknown, names?: RegistryNames): KeyScope | undefined {
  if (written === undefined || written === null) return undefined;
  const members = objectOf(written);
  if (!members) throw new Error("a scope is to be an object with repositories, actions, or both");
  const unknown = Object.keys(members).find((key) => key !== "repositories" && key !== "actions");
  if (unknown !== undefined) throw new Error(`a scope has no ${JSON.stringify(unknown.slice(0, 64))}, but repositories and actions`);
  const repositories = readWords(members["repositories"], "repositories")?.map((pattern) => readPattern(pattern, names));
  const actions = readWords(members["actions"], "actions")?.map(readAction);
  if (!repositories && !actions) throw new Error("a scope without repositories and actions narrows nothing: leave it out");
  return { repositories, actions: actions && new Set(actions) };
}

/** The inverse of `readKeyScope`. */
export function writeKeyScope({ repositories, actions }: KeyScope): WrittenKeyScope {
  return {
    ...(repositories ? { repositories: repositories.map(({ pattern }) => pattern) } : {}),
    ...(actions ? { actions: [...actions] } : {}),
  };
}

/** Whether the scope leaves its owner `action` on `repository`. Without a scope: all. */
export function scopePermits(scope: KeyScope | undefined, action: Action, repository: Repository, defaultHost: RegistryHost): boolean {
  if (!scope) return true;
  if (scope.actions && !scope.actions.has(action)) return false;
  return scope.repositories?.some((glob) => globMatches(glob, repository, defaultHost)) ?? true;
}

function readWords(value: unknown, key: string): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw new Error(`${key} of a scope is to be a list of texts`);
  if (value.length === 0) throw new Error(`${key} of a scope is empty: leave it out for all`);
  if (value.length > scopePatternsMax) throw new Error(`${key} of a scope are more than ${scopePatternsMax}`);
  const length = value.join("").length;
  if (length > scopeLengthMax) throw new Error(`${key} of a scope are ${length} characters long: at most ${scopeLengthMax}`);
  return value;
}

function readPattern(pattern: string, names: RegistryNames | undefined): Glob {
  const glob = parseGlob(pattern);
  const other = names && glob.alternatives.map(({ text }) => canonicalPattern(text, names)).find((canonical) => canonical !== undefined);
  if (other !== undefined) throw new Error(`the pattern ${JSON.stringify(pattern)} begins with another name of a registry; write ${JSON.stringify(other)}`);
  return glob;
}

function readAction(word: string): Action {
  const action = findAction(word);
  if (!action) throw new Error(`${JSON.stringify(word.slice(0, 64))} is not an action, as read is`);
  return action;
}
