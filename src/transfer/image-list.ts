/**
 * readImageLists: which images somebody wants, out of what they have at hand: text lists, Kubernetes YAML, compose files, rendered
 * charts, Hauler and Zarf lists. What is in a file is told by its content, not by its name. A bad line is reported and the rest goes on.
 */
import type { Digest } from "../oci/digest.ts";
import type { Reference } from "../oci/reference.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { findListFiles } from "./list-files.ts";
import { readListText } from "./list-text.ts";

/** An image that a list asks for. */
export interface ListedReference {
  readonly repository: Repository;
  /** What decides: the digest where one is written, else the tag; `latest` where there is neither. */
  readonly reference: Reference;
  readonly tag?: Tag;
  readonly digest?: Digest;
  /** As it was written: for what is told to people. */
  readonly written: string;
  /** Where it was first found; `-` is what came by stdin. */
  readonly file: string;
  readonly line: number;
}

/** What could not be read, in words. Line 0: the file as a whole. */
export interface ListProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface ImageLists {
  /** Each image once, in the order of the lists. */
  readonly references: readonly ListedReference[];
  /** Files and folders that hold images themselves (an archive, an OCI layout): for whoever takes such, else a problem. */
  readonly archives: readonly string[];
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
    problems.push(...read.problems);
    for (const listed of read.references) {
      const key = keyOf(listed);
      if (!references.has(key)) references.set(key, listed);
    }
  }
  return { references: [...references.values()], archives: found.archives, problems };
}

function keyOf({ repository, tag, digest }: ListedReference): string {
  return `${repository.host}/${repository.path}:${tag ?? ""}@${digest ?? ""}`;
}
