/** plantNames: very many repositories, each with one manifest record that all share: what a list of names is made of, and nothing that could be pulled. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Layout } from "../../src/cache/layout.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { repositoryNamed } from "./deposited-images.ts";
import { plantStore } from "./planted-store.ts";

export interface PlantNamesOptions {
  /** `host[:port]` of the registry. */
  readonly host: string;
  /** `team-0/app-1`, `team-1/app-1`, ... */
  readonly repositories: number;
  /** Of `library/lots`, which is there too. */
  readonly tags: number;
}

/** Writes them into `root`, synced by nobody. */
export function plantNames(root: string, { host, repositories, tags }: PlantNamesOptions): void {
  const { first } = plantStore(root, { host, repositories: { "library/lots": 1 } });
  const layout = new Layout(root);
  const lots = repositoryNamed(`${host}/library/lots`);
  const record = readFileSync(layout.tag(lots, parseTag(first.tag)));
  for (let number = 1; number < tags; number++) writeFileSync(layout.tag(lots, parseTag(`t${number}`)), record);
  for (let number = 1; number < repositories; number++) {
    const manifest = layout.manifest(repositoryNamed(`${host}/team-${number % 10}/app-${number}`), first.digest);
    mkdirSync(dirname(manifest), { recursive: true });
    writeFileSync(manifest, record);
  }
}
