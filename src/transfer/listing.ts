/**
 * listHeld: the images that are held, for people and their scripts. In the order of names they come as they are found; any other order,
 * and what an image shares with others, takes a look at all of them first.
 */
import type { HeldImage, HeldImages, ImageContents, WalkOptions } from "../cache/held-images.ts";
import type { Digest } from "../oci/digest.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { summarize, type ImageSummary } from "./image-summary.ts";

export interface ListingOptions {
  readonly images: HeldImages;
  /** Which, by any of their names; undefined: all. */
  readonly pattern?: ((name: string) => boolean) | undefined;
  readonly registry?: RegistryHost | undefined;
  /** Only those that can be pulled from here whole, or only the others. */
  readonly isComplete?: boolean | undefined;
  /** "used": the latest first. "size": the largest first. */
  readonly sort?: "name" | "used" | "size" | undefined;
  /** Say of each image what it has to itself. */
  readonly tellsOwn?: boolean | undefined;
  /** How many images were looked at so far, before the first comes. */
  readonly onProgress?: ((looked: number) => void) | undefined;
  /** Told of what cannot be read, once of each path and walk: what lies there is not listed. */
  readonly onUnread?: WalkOptions["onUnread"];
  readonly signal?: AbortSignal | undefined;
}

/** Images whose parts are looked up ahead of those that were given. */
const aheadMax = 16;

/** Gives each image once, whatever tags it has. Rejects with the signal's reason. */
export async function* listHeld(options: ListingOptions): AsyncGenerator<ImageSummary> {
  const { images, pattern, registry, isComplete, sort = "name", tellsOwn = false, onUnread, signal } = options;
  const isShared = tellsOwn ? await countParts(options) : undefined;
  const walk = images.walk({ pattern, registry, onUnread, signal });
  for await (const { image, contents } of withContents(sort === "name" ? walk : await sorted(walk, sort, options), options)) {
    const summary = summarize(image, contents, isShared);
    if (isComplete === undefined || summary.isComplete === isComplete) yield summary;
  }
}

/** All of them, in this order. Their parts are not kept: there may be a hundred thousand, and each is looked at again when its turn comes. */
async function sorted(walk: AsyncIterable<HeldImage>, sort: "used" | "size", options: ListingOptions): Promise<readonly HeldImage[]> {
  const all: { readonly image: HeldImage; readonly key: number }[] = [];
  const keyed = sort === "used" ? walk : withContents(walk, options);
  for await (const found of keyed) {
    all.push("contents" in found ? { image: found.image, key: summarize(found.image, found.contents).sizeBytes } : { image: found, key: found.usedAtMs });
    if (options.tellsOwn !== true) options.onProgress?.(all.length);
  }
  return all.sort((one, other) => other.key - one.key).map(({ image }) => image);
}

/** Which parts more than one image of the whole store needs. */
async function countParts(options: ListingOptions): Promise<(digest: Digest) => boolean> {
  const once = new Set<number>();
  const more = new Set<number>();
  let looked = 0;
  for await (const { contents } of withContents(options.images.walk({ signal: options.signal }), options)) {
    for (const { digest, isHeld } of [...contents.manifests, ...contents.blobs]) {
      if (!isHeld) continue;
      const part = short(digest);
      if (once.has(part)) more.add(part);
      else once.add(part);
    }
    options.onProgress?.(++looked);
  }
  return (digest) => more.has(short(digest));
}

interface Looked {
  readonly image: HeldImage;
  readonly contents: ImageContents;
}

/** In their order, some looked up ahead. */
export async function* withContents(
  walk: AsyncIterable<HeldImage> | Iterable<HeldImage>,
  { images, signal }: Pick<ListingOptions, "images" | "signal">,
): AsyncGenerator<Looked> {
  const ahead: Promise<Looked>[] = [];
  const look = async (image: HeldImage): Promise<Looked> => ({ image, contents: await images.contents(image, { signal }) });
  for await (const image of walk) {
    const looking = look(image);
    // One that fails is met when its turn comes; nobody misses those that are left over when whoever asked has gone.
    looking.catch(() => {});
    ahead.push(looking);
    const first = ahead.length < aheadMax ? undefined : ahead.shift();
    if (first) yield await first;
  }
  for (const left of ahead) yield await left;
}

/** The first 48 bits: a hundred thousand images' parts in a few megabytes, and a pair that agrees in them not in a lifetime. */
function short(digest: Digest): number {
  const hexAt = digest.indexOf(":") + 1;
  return Number.parseInt(digest.slice(hexAt, hexAt + 12), 16);
}
