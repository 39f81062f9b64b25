/** StoredHoldings: the repositories of which something is held, found by walking the store's folders. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../oci/clock.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { repositoryName } from "../oci/repository.ts";
import type { Holdings } from "../oci/views.ts";
import { findHostOfFolder, findRepositoryOfFolder } from "./layout.ts";
import type { Store } from "./store.ts";

/** What is on the disk is looked at again after so long. */
const trustMs = 1_000;

interface Named {
  readonly name: string;
  readonly repository: Repository;
}

/** Folders deeper than a name can be are nobody's. */
const depthMax = 128;

export class StoredHoldings implements Holdings {
  readonly #store: Store;
  readonly #clock: Clock;
  #walked: { readonly atMs: number; readonly sorted: Promise<readonly Named[]> } | undefined;

  constructor({ store, clock }: { store: Store; clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  async listRepositories({
    last,
    limit,
  }: {
    readonly last?: string;
    readonly limit: number;
  }): Promise<{ readonly repositories: readonly Repository[]; readonly next?: string }> {
    const sorted = await this.#sorted();
    const following = last === undefined ? sorted : sorted.filter(({ name }) => name > last);
    const page = following.slice(0, limit);
    const next = page.length < following.length ? page.at(-1)?.name : undefined;
    return { repositories: page.map(({ repository }) => repository), ...(next === undefined ? {} : { next }) };
  }

  /** Every repository, walked for at most once a second, however many ask. */
  #sorted(): Promise<readonly Named[]> {
    const nowMs = this.#clock.elapsed();
    if (!this.#walked || nowMs - this.#walked.atMs >= trustMs) this.#walked = { atMs: nowMs, sorted: this.#collect() };
    return this.#walked.sorted;
  }

  /** Sorted as names, which is not the order of folders: "a-b" comes before "a/b". */
  async #collect(): Promise<readonly Named[]> {
    const named: Named[] = [];
    for await (const repository of this.walk()) named.push({ name: repositoryName(repository), repository });
    return named.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Every repository of which something is held, as the disk gives them. */
  async *walk(): AsyncGenerator<Repository> {
    const { layout } = this.#store;
    for (const folder of await this.#subfolders(layout.upstreams())) {
      const host = findHostOfFolder(folder);
      if (host) yield* this.#walkHost(host, layout.host(host), "", 0);
    }
  }

  async *#walkHost(host: RegistryHost, folder: string, path: string, depth: number): AsyncGenerator<Repository> {
    if (depth > depthMax) return;
    const names = await this.#subfolders(folder);
    const repository = names.includes("_manifests") ? findRepositoryOfFolder(host, path) : undefined;
    if (repository) yield repository;
    const words = names.filter((name) => !name.startsWith("_"));
    for (const name of words) yield* this.#walkHost(host, join(folder, name), path === "" ? name : `${path}/${name}`, depth + 1);
  }

  async #subfolders(folder: string): Promise<readonly string[]> {
    const entries = (await this.#store.reads.attempt(folder, () => readdir(folder, { withFileTypes: true }))) ?? [];
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }
}
