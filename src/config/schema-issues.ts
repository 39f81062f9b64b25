/** The schema's complaints, in the words of this configuration. */
import type { z } from "zod";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
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
    return issue.keys.map((key) => {
      const unknown = [...path, key];
      return { path: unknown, message: `unknown key ${formatKeyPath(unknown)}, did you mean ${vocabulary.nearest(unknown)}?`, namesLine: true };
    });
  }
  const branch = issue.code === "invalid_union" ? branchMeant(issue.errors) : undefined;
  if (branch) return branch.flatMap((inner) => findingsOfIssue(inner, path, tree, vocabulary));
  return [{ path, message: `${formatKeyPath(path)} ${wordsFor(issue, valueAt(tree, path))}` }];
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

function valueAt(tree: RawMap, path: KeyPath): RawValue | undefined {
  return path.reduce<RawValue | undefined>((value, key) => {
    if (typeof value !== "object") return undefined;
    return Object.entries(value).find(([name]) => name === String(key))?.[1];
  }, tree);
}
