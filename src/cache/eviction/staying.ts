/** Staying: the images that rules would take and that stay all the same, and why: who asks for something by name wants to know. */
import type { Digest } from "../../oci/digest.ts";
import { repositoryName, type Repository } from "../../oci/repository.ts";
import type { Tag } from "../../oci/tag.ts";
import type { Pin, Pins } from "../pins.ts";
import type { CensusImage } from "./census-image.ts";
import { stayingByRules, type Stock } from "./choice.ts";
import { keptText, pinText, tornText } from "./reasons.ts";
import type { PruneRules } from "./rules.ts";

/** An image that was meant, and is pinned or kept. */
export interface StayingImage {
  readonly kind: "stays";
  readonly repository: Repository;
  /** The tags that were meant. */
  readonly tags: readonly Tag[];
  readonly digest: Digest;
  /** In a few words. */
  readonly why: string;
}

/** Pins are read now: those of a repository once. */
export async function* tellStaying(stock: Stock, { rules, pins }: { readonly rules: PruneRules; readonly pins: Pins }): AsyncGenerator<StayingImage> {
  let listed: { readonly name: string; readonly pins: readonly Pin[] } | undefined;
  for (const { image, tags } of stayingByRules(stock, rules)) {
    const { repository } = image;
    const name = repositoryName(repository);
    if (image.isPinned && listed?.name !== name) listed = { name, pins: await pins.list(repository) };
    const pin = image.isPinned ? listed?.pins.find((one) => pinsImage(one, image, stock)) : undefined;
    const why = image.isPinned ? pinText(pin) : image.isUncertain ? tornText : keptText;
    yield { kind: "stays", repository, tags, digest: stock.table.digestOf(image.root), why };
  }
}

function pinsImage({ reference }: Pin, { tags, manifests }: CensusImage, { table }: Stock): boolean {
  return reference.kind === "tag" ? tags.includes(reference.tag) : manifests.some((id) => table.digestOf(id) === reference.digest);
}
