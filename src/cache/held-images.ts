/**
 * HeldImages: the images that are here, as an operator counts them: what a tag means, or a manifest that nothing else held names.
 * The disk is read as it is walked, in a thread of its own that steps back behind whoever serves; nothing of it is kept.
 */
import { systemClock, type Clock } from "../oci/clock.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { HeldImageMemory } from "./held-image-memory.ts";
import { imageNames, type HeldImage, type ImageContents } from "./held-image.ts";
import type { HoldingsOrder, HoldingsReport } from "./holdings-thread.ts";
import type { Store } from "./store.ts";
import type { UnreadPath } from "./store-reader.ts";
import { StoreThread } from "./store-thread.ts";

export type { UnreadPath } from "./store-reader.ts";
export { imageNames, pulledAt, type HeldImage, type HeldPart, type ImageContents } from "./held-image.ts";

export interface WalkOptions {
  /** Which images, by any of their names (`imageNames`); absent: all. */
  readonly pattern?: ((name: string) => boolean) | undefined;
  /** Only this registry's. */
  readonly registry?: RegistryHost | undefined;
  /** Only this repository's. */
  readonly repository?: Repository | undefined;
  /** What the disk cannot give is thrown, not passed over: for who removes what is not named. */
  readonly isStrict?: boolean;
  /** Told once of each path that was passed over because the disk cannot give it: what lies there is not among the images. */
  readonly onUnread?: ((unread: UnreadPath) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HeldImagesOptions {
  readonly store: Store;
  readonly clock?: Clock;
}

export class HeldImages {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #thread: StoreThread<HoldingsOrder, HoldingsReport>;
  #walks = 0;

  constructor({ store, clock = systemClock }: HeldImagesOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#thread = new StoreThread({ script: new URL("./holdings-thread.ts", import.meta.url), name: "holdings", clock });
  }

  /**
   * Every held image: repositories in the order of their names, in each the tagged ones first, by their first tags. What cannot be read
   * is passed over, or thrown when `isStrict`. Rejects with the signal's reason. Leave it by `return` or `break`, or walk it to its end.
   */
  async *walk({ pattern, registry, repository, isStrict = false, onUnread, signal }: WalkOptions = {}): AsyncGenerator<HeldImage> {
    // What this process has noted belongs to it.
    await this.#store.uses.write();
    const walk = ++this.#walks;
    const letGo = this.#thread.hold();
    const memory = new HeldImageMemory();
    try {
      await this.#thread.ask({ kind: "walk", walk, root: this.#store.layout.root, registry, repository, isStrict, nowMs: this.#clock.now() }, signal);
      for (let isEnd = false; !isEnd;) {
        const report = await this.#thread.ask({ kind: "next", walk }, signal);
        if (report.kind !== "images") throw new Error(`the store's walk answers "${report.kind}"`);
        for (const one of report.unread) onUnread?.(one);
        for (const image of report.images) {
          signal?.throwIfAborted();
          if (!pattern || imageNames(image).some((name) => pattern(name))) yield memory.compact(image);
        }
        isEnd = report.isEnd;
      }
    } finally {
      this.#thread.tell({ kind: "end", walk });
      letGo();
    }
  }

  /** What an image is made of, and what of it is here. What cannot be read counts as not held, or is thrown when `isStrict`. */
  async contents(
    image: Pick<HeldImage, "repository" | "digest">,
    { isStrict = false, signal }: Pick<WalkOptions, "isStrict" | "signal"> = {},
  ): Promise<ImageContents> {
    const { repository, digest } = image;
    const report = await this.#thread.ask({ kind: "contents", root: this.#store.layout.root, repository, digest, isStrict }, signal);
    if (report.kind !== "contents") throw new Error(`the store's walk answers "${report.kind}"`);
    return report.contents;
  }
}
