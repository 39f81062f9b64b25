/** Every blob file of a store, whoever needs it: layers, configs and manifests alike. One shard at a time: a store has millions. */
import { join } from "node:path";
import { type Digest, algorithmOf, digestAlgorithms, findDigest, hexOf } from "../oci/digest.ts";
import { isStorageFailure } from "./atomic-write.ts";
import { folders } from "./layout.ts";
import { listFolder } from "./list-folder.ts";
import type { Store } from "./store.ts";
import type { UnreadPath } from "./store-reader.ts";

/** Digests of the files under `blobs/`, in their order. What bears another name is nobody's; a folder that cannot be read is told of, and passed over. Without `onUnread` it is thrown. */
export async function* walkStoredBlobs(
  { layout }: Pick<Store, "layout">,
  { onUnread }: { readonly onUnread?: (unread: UnreadPath) => void } = {},
): AsyncGenerator<Digest> {
  const list = async (folder: string): Promise<readonly string[]> => {
    try {
      return await listFolder(folder);
    } catch (error) {
      if (!onUnread || !isStorageFailure(error)) throw error;
      onUnread({ path: folder, code: error.code ?? error.message });
      return [];
    }
  };
  for (const algorithm of digestAlgorithms) {
    const root = join(layout.root, folders.blobs, algorithm);
    for (const shard of (await list(root)).toSorted()) {
      for (const hex of (await list(join(root, shard))).toSorted()) {
        const digest = findDigest(`${algorithm}:${hex}`);
        if (digest && algorithmOf(digest) === algorithm && hexOf(digest).startsWith(shard) && shard.length === 2) yield digest;
      }
    }
  }
}
