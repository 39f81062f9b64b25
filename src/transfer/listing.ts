/**
 * listHeld: the images that are held, for people and their scripts. In the order of names they come as they are found; any other order,
 * and what an image shares with others, takes a look at all of them first.
 */
import type { HeldImage, HeldImages, ImageContents } from "../cache/held-images.ts";
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
  readonly signal?: AbortSignal | undefined;
}

/** Images whose parts are looked up ahead of those that were given. */
const aheadMax = 16;

/** Gives each image once, whatever tags it has. Rejects with the signal's reason. */
export async function* listHeld(options: ListingOptions): AsyncGenerator<ImageSummary> {
  const { isComplete, sort = "name", tellsOwn = false, onProgress } = options;
  const isShared = tellsOwn ? await countParts(options) : undefined;
  const found = wanted();
  if (sort === "name") return yield* found;
  const all: ImageSummary[] = [];
  for await (const summary of found) {
    all.push(summary);
    if (!tellsOwn) onProgress?.(all.length);
  }
  yield* all.sort(sort === "used" ? (one, other) => other.image.usedAtMs - one.image.usedAtMs : (one, other) => other.sizeBytes - one.sizeBytes);

  async function* wanted(): AsyncGenerator<ImageSummary> {
    for await (const { image, contents } of withContents(options)) {
      const summary = summarize(image, contents, isShared);
      if (isComplete === undefined || summary.isComplete === isComplete) yield summary;
    }
  }
}

/** Which parts more than one image of the whole store needs. */
async function countParts({ images, onProgress, signal }: ListingOptions): Promise<(digest: Digest) => boolean> {
  const once = new Set<number>();
  const more = new Set<number>();
  let looked = 0;
  for await (const { contents } of withContents({ images, signal })) {
    for (const { digest, isHeld } of [...contents.manifests, ...contents.blobs]) {
      if (!isHeld) continue;
      const part = short(digest);
      if (once.has(part)) more.add(part);
      else once.add(part);
    }
    onProgress?.(++looked);
  }
  return (digest) => more.has(short(digest));
}

interface Looked {
  readonly image: HeldImage;
  readonly contents: ImageContents;
}

/** In the walk's order, some looked up ahead. */
async function* withContents({ images, pattern, registry, signal }: ListingOptions): AsyncGenerator<Looked> {
  const ahead: Promise<Looked>[] = [];
  const look = async (image: HeldImage): Promise<Looked> => ({ image, contents: await images.contents(image, { signal }) });
  for await (const image of images.walk({ pattern, registry, signal })) {
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
