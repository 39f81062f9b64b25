/** Every blob file of a store, whoever needs it: layers, configs and manifests alike. One shard at a time: a store has millions. */
import { join } from "node:path";
import { algorithmOf, findDigest, hexOf, type Digest, type DigestAlgorithm } from "../oci/digest.ts";
import { folders } from "./layout.ts";
import { listFolder } from "./list-folder.ts";
import type { Store } from "./store.ts";

const algorithms: readonly DigestAlgorithm[] = ["sha256", "sha512"];

/** Digests of the files under `blobs/`, in their order. What bears another name is nobody's; a folder that cannot be read is told of, and empty. */
export async function* walkStoredBlobs({ layout, reads }: Pick<Store, "layout" | "reads">): AsyncGenerator<Digest> {
  const list = async (folder: string): Promise<readonly string[]> => (await reads.attempt(folder, () => listFolder(folder))) ?? [];
  for (const algorithm of algorithms) {
    const root = join(layout.root, folders.blobs, algorithm);
    for (const shard of (await list(root)).toSorted()) {
      for (const hex of (await list(join(root, shard))).toSorted()) {
        const digest = findDigest(`${algorithm}:${hex}`);
        if (digest && algorithmOf(digest) === algorithm && hexOf(digest).startsWith(shard) && shard.length === 2) yield digest;
      }
    }
  }
}
