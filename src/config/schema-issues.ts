/** The schema's complaints, in the words of this configuration. */
import type { z } from "zod";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { findProvider, noSuchOption } from "./provider-options.ts";
import type { Vocabulary } from "./vocabulary.ts";
import type { RawMap, RawValue } from "./yaml-source.ts";

type Issue = z.core.$ZodIssue;

/** What the schema found in `tree`; unknown keys come with the nearest known one. */
export function findingsOf(issues: readonly Issue[], tree: RawMap, vocabulary: Vocabulary): readonly Finding[] {
  return issues.flatMap((issue) => findingsOfIssue(issue, [], tree, vocabulary));
}

function findingsOfIssue(issue: Issue, above: KeyPath, tree: RawMap, vocabulary: Vocabulary): readonly Finding[] {
  const path = [...above, ...issue.path.map((key) => (typeof key === "number" ? key : String(key)))];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownKey([...path, key], tree, vocabulary));
  }
  const branch = issue.code === "invalid_union" ? branchMeant(issue.errors) : undefined;
  if (branch) return branch.flatMap((inner) => findingsOfIssue(inner, path, tree, vocabulary));
  return [{ path, message: `${formatKeyPath(path)} ${wordsFor(issue, valueAt(tree, path))}` }];
}

function unknownKey(path: KeyPath, tree: RawMap, vocabulary: Vocabulary): Finding {
  const above = path.slice(0, -1);
  const provider = above.at(-1) === "providerOpts" ? findProvider(valueAt(tree, [...above.slice(0, -1), "provider"])) : undefined;
  if (provider !== undefined) return { path, message: noSuchOption(formatKeyPath(above), String(path.at(-1)), provider) };
  return { path, message: `unknown key ${formatKeyPath(path)}, did you mean ${vocabulary.nearest(path)}?`, namesLine: true };
}

/** The one branch of a union that the value has the shape of: of what remains, its complaints are the ones that help. */
function branchMeant(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const fitting = branches.filter(
    (issues) => !issues.some((issue) => issue.path.length === 0 && (issue.code === "invalid_type" || issue.code === "invalid_union")),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

function wordsFor(issue: Issue, value: RawValue | undefined): string {
  if (value === undefined) return "is missing";
  if (issue.code === "invalid_type" && issue.expected === "array") return "must be a list";
  if (issue.code === "invalid_type" && issue.expected === "object") return "must hold keys and values";
  const [first = ""] = issue.message;
  return first === '"' ? `is ${issue.message.replace(/ is /, ", which is ")}` : issue.message;
}

/** Undefined: nothing is written there. What is inside a text is that text. */
function valueAt(tree: RawMap, path: KeyPath): RawValue | undefined {
  return path.reduce<RawValue | undefined>((value, key) => {
    if (typeof value !== "object") return value;
    return Object.entries(value).find(([name]) => name === String(key))?.[1];
  }, tree);
}
