/**
 * readImageLists: which images somebody wants, out of what they have at hand: text lists, Kubernetes YAML, compose files, rendered
 * charts, Hauler and Zarf lists. What is in a file is told by its content, not by its name. A bad line is reported and the rest goes on.
 */
import type { RegistryNames } from "../oci/registry-names.ts";
import { findListFiles } from "./list-files.ts";
import { readListText } from "./list-text.ts";
import type { ListedReference, ListProblem } from "./listed-reference.ts";

export type { ListedReference, ListProblem };

export interface ImageLists {
  /** Each image once, in the order of the lists. */
  readonly references: readonly ListedReference[];
  /** Files and folders that hold images themselves (an archive, an OCI layout): for whoever takes such, else a problem. */
  readonly archives: readonly string[];
  /** What comes by stdin, where that is an archive: `-` is among `archives` then. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  readonly problems: readonly ListProblem[];
}

export interface ImageListOptions {
  /** Says what a registry's name means, and which registry a short name belongs to. */
  readonly names: RegistryNames;
  /** What `-` stands for. Asked at most once. */
  readonly standardInput?: () => AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

/**
 * Reads `sources`: files, folders (their files, not deeper), globs, several of them with commas between, `-`. Never throws for what is
 * in them, or not there: that is in `problems`.
 */
export async function readImageLists(sources: readonly string[], { names, standardInput, signal }: ImageListOptions): Promise<ImageLists> {
  const found = await findListFiles(sources, { standardInput, signal });
  const references = new Map<string, ListedReference>();
  const problems: ListProblem[] = [...found.problems];
  for (const { file, text } of found.texts) {
    const read = readListText(text, { file, names });
    const known = new Set<string>();
    for (const problem of read.problems) {
      // The same bad name stands in every pod of a workload.
      if (!known.has(problem.message)) problems.push(problem);
      known.add(problem.message);
    }
    for (const listed of read.references) {
      const key = keyOf(listed);
      if (!references.has(key)) references.set(key, listed);
    }
  }
  return { references: [...references.values()], archives: found.archives, input: found.input, problems };
}

function keyOf({ repository, tag, digest }: ListedReference): string {
  return `${repository.host}/${repository.path}:${tag ?? ""}@${digest ?? ""}`;
}
