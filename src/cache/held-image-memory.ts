/**
 * HeldImageMemory: lets images that come from another thread share what is the same in all of them: who keeps a hundred thousand of them
 * keeps a third of the bytes.
 */
import type { Repository } from "../oci/repository.ts";
import type { HeldImage } from "./held-image.ts";

/** Media types that differ more are somebody's game. */
const mediaTypesMax = 64;

export class HeldImageMemory {
  #repository: Repository | undefined;
  #folderTimes = "";
  readonly #mediaTypes = new Map<string, string>();

  /** The same image, of parts that others have. */
  compact(image: HeldImage): HeldImage {
    const { digest } = image;
    return {
      ...image,
      repository: this.#sameRepository(image.repository),
      folderTimes: this.#sameTimes(image.folderTimes),
      mediaType: this.#sameMediaType(image.mediaType),
      tags: image.tags.map(({ tag, record }) => ({ tag, record: { ...record, digest, mediaType: this.#sameMediaType(record.mediaType) } })),
    };
  }

  #sameRepository(repository: Repository): Repository {
    const isSame = this.#repository?.host === repository.host && this.#repository.path === repository.path;
    if (!isSame || !this.#repository) this.#repository = repository;
    return this.#repository;
  }

  #sameTimes(times: string): string {
    if (this.#folderTimes !== times) this.#folderTimes = times;
    return this.#folderTimes;
  }

  #sameMediaType(mediaType: string): string {
    const known = this.#mediaTypes.get(mediaType);
    if (known === undefined && this.#mediaTypes.size < mediaTypesMax) this.#mediaTypes.set(mediaType, mediaType);
    return known ?? mediaType;
  }
}
