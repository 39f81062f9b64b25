/** CensusImage: what eviction has to know of an image, kept small: there may be a hundred thousand. */
import type { Repository } from "../../oci/repository.ts";
import type { Tag } from "../../oci/tag.ts";

export interface CensusImage {
  readonly repository: Repository;
  /** The root's number in the census's table. */
  readonly root: number;
  readonly tags: readonly Tag[];
  /** Held manifests of it: the root, children, referrers. A parent before its children. */
  readonly manifests: readonly number[];
  /** Everything it is made of, manifests too, each once, held or not. */
  readonly needs: readonly number[];
  readonly heldSinceMs: number;
  readonly usedAtMs: number;
  readonly isPinned: boolean;
  /** A manifest of its repository is torn: what that one needs is not known, and nothing of the repository goes until it has healed. */
  readonly isUncertain: boolean;
  /**
   * The digest that the image's only tags are made of (`sha256-<hex>`, `sha256-<hex>.sig`): what it says about that image, it says about
   * nothing else, and goes with it.
   */
  readonly about: number | undefined;
}
