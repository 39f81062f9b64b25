/** StoredHoldings: the repositories of which something is held, found by walking the store's folders. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { repositoryName } from "../oci/repository.ts";
import type { Holdings } from "../oci/views.ts";
import { isErrno } from "./atomic-write.ts";
import { findHostOfFolder, findRepositoryOfFolder } from "./layout.ts";
import type { Store } from "./store.ts";

/** Folders deeper than a name can be are nobody's. */
const depthMax = 128;

export class StoredHoldings implements Holdings {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async listRepositories({
    last,
    limit,
  }: {
    readonly last?: string;
    readonly limit: number;
  }): Promise<{ readonly repositories: readonly Repository[]; readonly next?: string }> {
    const named = new Map<string, Repository>();
    for await (const repository of this.#walk()) {
      const name = repositoryName(repository);
      if (last === undefined || name > last) named.set(name, repository);
    }
    // Sorted as names, which is not the order of folders: "a-b" comes before "a/b".
    const sorted = [...named].sort(([a], [b]) => (a < b ? -1 : 1));
    const page = sorted.slice(0, limit);
    const next = page.length < sorted.length ? page.at(-1)?.[0] : undefined;
    return { repositories: page.map(([, repository]) => repository), ...(next === undefined ? {} : { next }) };
  }

  async *#walk(): AsyncGenerator<Repository> {
    const { layout } = this.#store;
    for (const folder of await subfolders(layout.upstreams())) {
      const host = findHostOfFolder(folder);
      if (host) yield* this.#walkHost(host, layout.host(host), "", 0);
    }
  }

  async *#walkHost(host: RegistryHost, folder: string, path: string, depth: number): AsyncGenerator<Repository> {
    if (depth > depthMax) return;
    const names = await subfolders(folder);
    const repository = names.includes("_manifests") ? findRepositoryOfFolder(host, path) : undefined;
    if (repository) yield repository;
    const words = names.filter((name) => !name.startsWith("_"));
    for (const name of words) yield* this.#walkHost(host, join(folder, name), path === "" ? name : `${path}/${name}`, depth + 1);
  }
}

async function subfolders(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
