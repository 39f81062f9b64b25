/** walkRepositories: the repositories whose folders are in the store, in the order of their names. Runs in the thread that walks the store. */
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { findHostOfFolder, findRepositoryOfFolder, type Layout } from "./layout.ts";
import type { StoreReader } from "./store-reader.ts";

/** Folders deeper than a name can be are nobody's. */
const depthMax = 128;

/** All of them, or those of one registry. */
export function* walkRepositories(layout: Layout, reader: StoreReader, registry: RegistryHost | undefined): Generator<Repository> {
  const hosts = registry === undefined ? reader.folders(layout.upstreams()).flatMap((folder) => findHostOfFolder(folder) ?? []) : [registry];
  for (const host of hosts.toSorted((one, other) => compare(`${one}/`, `${other}/`))) yield* below(host, layout.host(host), "", 0);

  /** A folder is met twice: as a repository, and, later, for what lies in it: "a-b" comes between "a" and "a/b". */
  function* below(host: RegistryHost, folder: string, path: string, depth: number): Generator<Repository> {
    if (depth > depthMax) return;
    const words = reader.folders(folder).filter((name) => !name.startsWith("_"));
    for (const key of words.flatMap((word) => [word, `${word}/`]).toSorted(compare)) {
      const word = key.replace("/", "");
      const inner = path === "" ? word : `${path}/${word}`;
      if (key !== word) yield* below(host, `${folder}/${word}`, inner, depth + 1);
      else if (reader.stat(`${folder}/${word}/_manifests`)) yield* found(findRepositoryOfFolder(host, inner));
    }
  }
}

function* found(repository: Repository | undefined): Generator<Repository> {
  if (repository) yield repository;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
