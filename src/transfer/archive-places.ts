/**
 * placeImages: where each image of an archive goes. One with names goes there; one without a name that refers to another (a
 * signature, a bill of material) goes wherever that one does; what is left has no place.
 */
import type { Digest } from "../oci/digest.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import type { ArchivedImage } from "./archived-image.ts";
import type { ArchivedTree } from "./archived-tree.ts";
import type { NamedImage } from "./archive-names.ts";

export interface ReadImage {
  readonly image: ArchivedImage;
  readonly tree: ArchivedTree;
}

/** An image on its way into one repository. */
export interface PlacedImage {
  readonly repository: Repository;
  readonly tags: readonly Tag[];
  readonly tree: ArchivedTree;
}

/** Throws `ArchiveRefused` for a name whose digest is another one, and for one name of two different images; and what `nameThem` throws. */
export function placeImages(
  read: readonly ReadImage[],
  nameThem: (images: readonly ArchivedImage[]) => readonly NamedImage[],
): { readonly placed: readonly PlacedImage[]; readonly nameless: readonly { readonly digest: Digest; readonly reason: string }[] } {
  const here = new Set(read.flatMap(({ tree }) => tree.manifests.map(({ digest }) => digest)));
  const isReferrer = ({ image, tree }: ReadImage): boolean => image.names.length === 0 && subjectOf(tree, here) !== undefined;
  const places = new Places();
  const nameless: ReadImage[] = [];
  const treeOf = new Map(read.map(({ image, tree }) => [image, tree]));
  for (const { image, names } of nameThem(read.filter((one) => !isReferrer(one)).map((one) => one.image))) {
    const tree = treeOf.get(image);
    if (!tree) continue;
    if (names.length === 0) nameless.push({ image, tree });
    for (const { repository, tag, digest } of names) {
      if (digest !== undefined && digest !== tree.root) throw new ArchiveRefused(`an image that is called ${digest} and is ${tree.root}`);
      places.put(repository, tree, tag);
    }
  }
  places.addReferrers(read.filter(isReferrer).map(({ tree }) => ({ tree, subject: subjectOf(tree, here) })));
  return {
    placed: places.list(),
    nameless: nameless.map(({ tree }) => ({ digest: tree.root, reason: "it has no name: say with --resolve-ref what it is called" })),
  };
}

class Places {
  readonly #placed = new Map<string, { repository: Repository; tags: Set<Tag>; tree: ArchivedTree }>();
  readonly #tagged = new Map<string, Digest>();

  put(repository: Repository, tree: ArchivedTree, tag: Tag | undefined): void {
    const name = repositoryName(repository);
    const key = `${name}@${tree.root}`;
    const place = this.#placed.get(key) ?? { repository, tags: new Set(), tree };
    this.#placed.set(key, place);
    if (tag === undefined) return;
    const known = this.#tagged.get(`${name}:${tag}`) ?? tree.root;
    if (known !== tree.root) throw new ArchiveRefused(`${name}:${tag} is two images: ${known} and ${tree.root}`);
    this.#tagged.set(`${name}:${tag}`, tree.root);
    place.tags.add(tag);
  }

  /** A referrer may have one of its own: until no more find their subject. */
  addReferrers(referrers: readonly { readonly tree: ArchivedTree; readonly subject: Digest | undefined }[]): void {
    for (let before = -1; before < this.#placed.size;) {
      before = this.#placed.size;
      for (const { tree, subject } of referrers) {
        const subjects = this.list().filter((placed) => placed.tree.manifests.some(({ digest }) => digest === subject));
        for (const { repository } of subjects) this.put(repository, tree, undefined);
      }
    }
  }

  list(): readonly PlacedImage[] {
    return [...this.#placed.values()].map(({ repository, tags, tree }) => ({ repository, tags: [...tags], tree }));
  }
}

/** The manifest of the archive that a tree's root refers to. */
function subjectOf({ root, manifests }: ArchivedTree, here: ReadonlySet<Digest>): Digest | undefined {
  const subject = manifests.find(({ digest }) => digest === root)?.subject;
  return subject !== undefined && here.has(subject) ? subject : undefined;
}
