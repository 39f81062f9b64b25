/**
 * gatherImages: everything that the wanted images are made of, in this store. What is complete here is taken as it is, without a question
 * to anybody; what is not is loaded first, or named where nobody may be asked.
 */
import { isThere } from "../cache/atomic-write.ts";
import { DepositRefused, StoreUnwritable } from "../cache/deposit-failures.ts";
import type { Store } from "../cache/store.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { platformName, type Platform } from "../oci/platform.ts";
import { referenceName, type Reference } from "../oci/reference.ts";
import type { Registry } from "../oci/registry.ts";
import { repositoryName, type RegistryHost, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { walkImage } from "./image-walk.ts";
import { inOrder } from "./in-order.ts";
import type { WalkedGap, WalkedManifest } from "./walked.ts";

/** An image that is to be carried: by a digest, or by what a tag means. */
export interface WantedImage {
  readonly repository: Repository;
  readonly reference: Reference;
  /** Tags that go with it where they mean the same. */
  readonly tags: readonly Tag[];
}

/** Something that an image needs, and why it cannot be had. */
export interface Lacking {
  /** `host/path:tag` */
  readonly image: string;
  /** What of it; undefined: the image itself. */
  readonly digest: Digest | undefined;
  readonly reason: string;
}

export interface GatheredRepository {
  readonly repository: Repository;
  readonly manifests: Map<Digest, { readonly mediaType: string; readonly sizeBytes: number }>;
  /** What the images' names mean; an image without a name is a root all the same. */
  readonly roots: Set<Digest>;
  readonly tags: Map<Tag, { readonly digest: Digest; readonly checkedAtMs: number }>;
}

export interface Gathered {
  /** By name. */
  readonly repositories: ReadonlyMap<string, GatheredRepository>;
  /** Manifests too, and the registries whose images need them. */
  readonly blobs: ReadonlyMap<Digest, { readonly sizeBytes: number; readonly hosts: Set<RegistryHost> }>;
  readonly lacking: readonly Lacking[];
  /** What people should know, in words: platforms that an image does not have. */
  readonly notices: readonly string[];
}

export interface GatheringOptions {
  readonly store: Store;
  /** What is held, as it is served. */
  readonly registry: Registry;
  readonly signal: AbortSignal;
  /** "held": those of which something is here already. */
  readonly platforms: readonly Platform[] | "all" | "held";
  /** For an index of which no platform is here. */
  readonly platformsOtherwise: readonly Platform[] | "all";
  readonly referrers: boolean;
  /** Brings an image here, whole for these platforms; throws why it cannot. Undefined: what is missing here is lacking. */
  readonly load: ((image: WantedImage, platforms: readonly Platform[] | "all") => Promise<void>) | undefined;
  /** After each image. */
  readonly onImage?: (name: string) => void;
}

const imagesAtOnce = 8;

/** Never throws for an image's sake. Throws the signal's reason. */
export async function gatherImages(wanted: readonly WantedImage[], options: GatheringOptions): Promise<Gathered> {
  const gathering = new ImageGathering(options);
  for await (const { item, result } of inOrder(wanted, { atOnce: imagesAtOnce, run: (image) => gathering.add(image) })) {
    gathering.lacking.push(...result);
    options.onImage?.(nameOf(item));
  }
  return gathering;
}

/** What a walk found of one image. */
interface Look {
  readonly manifests: WalkedManifest[];
  readonly blobs: { readonly digest: Digest; readonly sizeBytes: number }[];
  readonly lacking: Lacking[];
  readonly notices: string[];
}

class ImageGathering implements Gathered {
  readonly repositories = new Map<string, GatheredRepository>();
  readonly blobs = new Map<Digest, { readonly sizeBytes: number; readonly hosts: Set<RegistryHost> }>();
  readonly lacking: Lacking[] = [];
  readonly notices: string[] = [];
  readonly #options: GatheringOptions;

  constructor(options: GatheringOptions) {
    this.#options = options;
  }

  /** What it lacks; then nothing of it is gathered. */
  async add(wanted: WantedImage): Promise<readonly Lacking[]> {
    const { platforms, platformsOtherwise, load } = this.#options;
    const held = await this.#look(wanted, platforms);
    if (held.lacking.length === 0) return await this.#keep(wanted, held);
    if (!load) return held.lacking;
    const heldPlatforms = held.manifests.flatMap(({ role, platform }) => (role === "child" && platform ? [platform] : []));
    const chosen = platforms === "held" ? (heldPlatforms.length > 0 ? heldPlatforms : platformsOtherwise) : platforms;
    try {
      await load(wanted, chosen);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (!(error instanceof OciError || error instanceof DepositRefused || error instanceof StoreUnwritable)) throw error;
      return [{ image: nameOf(wanted), digest: undefined, reason: error.message }];
    }
    const loaded = await this.#look(wanted, chosen);
    return loaded.lacking.length === 0 ? await this.#keep(wanted, loaded) : loaded.lacking;
  }

  /** What of an image is here. */
  async #look(wanted: WantedImage, platforms: GatheringOptions["platforms"]): Promise<Look> {
    const { registry, referrers, signal } = this.#options;
    const { repository, reference } = wanted;
    const image = nameOf(wanted);
    const look: Look = { manifests: [], blobs: [], lacking: [], notices: [] };
    const childGaps: Lacking[] = [];
    const bare = new Map<Digest, Lacking[]>();
    const asked = { platforms: platforms === "held" ? ("all" as const) : platforms, mayFetch: false, referrers, signal };
    try {
      for await (const part of walkImage(registry, repository, reference, asked)) {
        if (part.kind === "gap") (part.role === "child" ? childGaps : look.lacking).push({ image, digest: part.descriptor.digest, reason: gapReason(part) });
        else if (part.kind === "lack") look.notices.push(`${image} has nothing for ${platformName(part.platform)}`);
        else if (part.kind === "manifest") {
          look.manifests.push(part);
          if (part.role === "child" && part.content.kind === "image") bare.set(part.manifest.descriptor.digest, []);
        } else if (part.kind === "blob") {
          const { digest } = part.descriptor;
          const sizeBytes = await this.#heldBytes(repository, digest);
          const lacking = { image, digest, reason: `is not held, and ${part.parent} names it` };
          if (sizeBytes !== undefined) {
            look.blobs.push({ digest, sizeBytes });
            look.lacking.push(...(bare.get(part.parent) ?? []));
            bare.delete(part.parent);
          } else if (!part.isForeign) (bare.get(part.parent) ?? look.lacking).push(lacking);
        }
      }
    } catch (error) {
      if (!(error instanceof OciError) || signal.aborted) throw error;
      look.lacking.push({ image, digest: undefined, reason: error.message });
    }
    // Of an index that was pulled for one platform, that one is what is wanted; of others perhaps the manifest was looked at.
    const isBare = ({ role, manifest }: WalkedManifest): boolean => role === "child" && bare.has(manifest.descriptor.digest);
    const isLeftAside = platforms === "held" && look.manifests.some((manifest) => manifest.role === "child" && !isBare(manifest));
    if (isLeftAside) return { ...look, manifests: look.manifests.filter((manifest) => !isBare(manifest)) };
    return { ...look, lacking: [...look.lacking, ...[...bare.values()].flat(), ...childGaps] };
  }

  async #keep({ repository, tags }: WantedImage, { manifests, blobs, notices }: Look): Promise<readonly Lacking[]> {
    const [root] = manifests;
    if (!root) return [];
    const gathered = this.#repository(repository);
    for (const { manifest, tags: found = [] } of manifests) {
      const { digest, mediaType, sizeBytes } = manifest.descriptor;
      gathered.manifests.set(digest, { mediaType, sizeBytes });
      this.#addBlob(repository, digest, sizeBytes);
      await this.#addTags(gathered, found, digest);
    }
    for (const { digest, sizeBytes } of blobs) this.#addBlob(repository, digest, sizeBytes);
    gathered.roots.add(root.manifest.descriptor.digest);
    await this.#addTags(gathered, tags, root.manifest.descriptor.digest);
    this.notices.push(...notices);
    return [];
  }

  /** The blob's size, if it is here and this registry's clients may have it. */
  async #heldBytes(repository: Repository, digest: Digest): Promise<number | undefined> {
    const { registry, signal } = this.#options;
    if (this.blobs.get(digest)?.hosts.has(repository.host)) return this.blobs.get(digest)?.sizeBytes;
    try {
      return (await registry.headBlob(repository, digest, { signal, requestId: "export", purpose: "load", mayFetch: false })).sizeBytes;
    } catch (error) {
      if (error instanceof OciError && !signal.aborted) return undefined;
      throw error;
    }
  }

  #addBlob({ host }: Repository, digest: Digest, sizeBytes: number): void {
    const blob = this.blobs.get(digest) ?? { sizeBytes, hosts: new Set() };
    blob.hosts.add(host);
    this.blobs.set(digest, blob);
  }

  /** What the store knows of the tags, where they mean `digest`. */
  async #addTags({ repository, tags }: GatheredRepository, wanted: readonly Tag[], digest: Digest): Promise<void> {
    for (const tag of wanted) {
      const record = await this.#options.store.repositories.findTag(repository, tag);
      if (record?.digest === digest) tags.set(tag, { digest, checkedAtMs: Math.floor(record.checkedAtMs) });
    }
  }

  #repository(repository: Repository): GatheredRepository {
    const name = repositoryName(repository);
    const gathered = this.repositories.get(name) ?? { repository, manifests: new Map(), roots: new Set(), tags: new Map() };
    this.repositories.set(name, gathered);
    return gathered;
  }
}

/** Whether anybody could have had these bytes. */
export async function isPublic({ layout, reads }: Store, digest: Digest): Promise<boolean> {
  const path = layout.publicMark(digest);
  return (await reads.attempt(path, () => isThere(path))) ?? false;
}

function nameOf({ repository, reference, tags: [tag] }: WantedImage): string {
  const name = repositoryName(repository);
  if (tag !== undefined) return `${name}:${tag}`;
  return `${name}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
}

function gapReason({ role, platform, error }: WalkedGap): string {
  const what = role === "referrer" ? "refers to it" : `is ${platform ? `its manifest for ${platformName(platform)}` : "a manifest of it"}`;
  return `${what}: ${error.message}`;
}
