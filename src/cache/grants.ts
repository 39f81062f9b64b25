/**
 * Grants: which digests a repository may show. A digest is shown only where a manifest held there names it, or where the upstream
 * has said, for that very repository, that it is there.
 */
import type { Digest } from "../oci/digest.ts";
import { namedDescriptors, readManifestContent } from "../oci/manifest.ts";
import type { Repository } from "../oci/repository.ts";
import type { Store } from "./store.ts";

/** Manifests that one look-up may read while the upstream can be asked instead. */
const searchedWhileOnlineMax = 256;
/** Links that one manifest causes; what a larger one names beyond is found by asking upstream, or by searching. */
const linksMax = 1_024;
/** After so many manifests a search lets others run. */
const searchedAtOnce = 16;

export class Grants {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The size of `digest` if the repository may show it; one look at the disk. */
  async find(repository: Repository, digest: Digest): Promise<{ readonly sizeBytes: number } | undefined> {
    const { repositories } = this.#store;
    return (await repositories.findLink(repository, digest)) ?? (await repositories.findManifest(repository, digest));
  }

  /** The upstream said so, or a held manifest does: from now on one look is enough. */
  async put(repository: Repository, digest: Digest, sizeBytes: number): Promise<void> {
    await this.#store.whereWritable(() => this.#store.repositories.putLink(repository, digest, sizeBytes));
  }

  /** Reads the repository's manifests for one that names `digest`: for a folder without links, or when there is nobody to ask. */
  async search(repository: Repository, digest: Digest, { all }: { all: boolean }): Promise<{ readonly sizeBytes: number } | undefined> {
    const { repositories, blobs } = this.#store;
    if (!all && (await repositories.hasLinks(repository))) return undefined;
    let searched = 0;
    for await (const held of repositories.manifestDigests(repository)) {
      if (!all && searched >= searchedWhileOnlineMax) return undefined;
      searched += 1;
      if (searched % searchedAtOnce === 0) await new Promise(setImmediate);
      const bytes = await blobs.readBytes(held);
      const named = bytes && namedDescriptors(readManifestContent(bytes)).find((descriptor) => descriptor.digest === digest);
      if (named?.sizeBytes === undefined) continue;
      await this.put(repository, digest, named.sizeBytes);
      return { sizeBytes: named.sizeBytes };
    }
    return undefined;
  }

  /** Writes a link for what a manifest names. */
  async putNamed(repository: Repository, bytes: Uint8Array): Promise<void> {
    for (const { digest, sizeBytes } of namedDescriptors(readManifestContent(bytes)).slice(0, linksMax)) {
      if (sizeBytes !== undefined && !(await this.#store.repositories.findLink(repository, digest)))
        await this.#store.repositories.putLink(repository, digest, sizeBytes);
    }
  }
}
