/** Finishing: what a killed process had begun to remove goes, whatever of it nobody has brought, used or pinned again since. */
import type { Digest } from "../../oci/digest.ts";
import { repositoryName } from "../../oci/repository.ts";
import type { BegunRemoval } from "./begun-removals.ts";
import type { CensusImage } from "./census-image.ts";
import type { Chosen } from "./choice.ts";
import { removeChosen, removeUnneeded, type Freed, type RemovingOptions } from "./removing.ts";

/** Removes it; what it was, and what that freed. Throws as `removeChosen`. */
export async function finishBegun(options: RemovingOptions): Promise<{ readonly chosen: readonly Chosen[]; readonly freed: Freed }> {
  const { begun, census, isBusy } = options;
  const removal = await begun.find();
  if (!removal) return { chosen: [], freed: { blobs: 0, bytes: 0 } };
  const { table } = census;
  // What images still need goes with them, afterwards: their removal is written down anew, and this one forgotten.
  const meant = removal.blobs.map((digest) => table.put(digest));
  const isNobodys = (id: number): boolean => census.neededBy(id) === 0 && census.mtimeOf(id) <= removal.begunAtMs;
  const others = await removeUnneeded(() => meant.filter(isNobodys), options);
  const left = census.stock(isBusy).images.filter((image) => isLeft(image, removal, table.digestOf(image.root)));
  const wanted = left.map((image): Chosen => ({ image, tags: [], isWhole: true, reason: { kind: "begun" } }));
  const ofImages = wanted.length > 0 ? await removeChosen(wanted, options) : { chosen: [], blobs: 0, bytes: 0 };
  await begun.end();
  return { chosen: ofImages.chosen, freed: { blobs: ofImages.blobs + others.blobs, bytes: ofImages.bytes + others.bytes } };
}

/** Its tags are gone, its root is not; or its root is, and this was a child of it. */
function isLeft(
  { repository, tags, heldSinceMs, usedAtMs, isPinned, isUncertain }: CensusImage,
  { manifests, begunAtMs }: BegunRemoval,
  digest: Digest,
): boolean {
  const isMeant = manifests.get(repositoryName(repository))?.some((one) => one === digest) ?? false;
  return isMeant && !isPinned && !isUncertain && tags.length === 0 && heldSinceMs <= begunAtMs && usedAtMs <= begunAtMs;
}
