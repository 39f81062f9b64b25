/** Repair: fetches what is missing again, through the registry that serves: one fetch, hashed on its way, kept when it is right. */
import { randomUUID } from "node:crypto";
import type { CachingRegistry } from "../cache/caching-registry.ts";
import { OciError } from "../oci/errors.ts";
import type { Call } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import type { MissingPart } from "./image-gap.ts";

/** Read at once of what is only fetched to be kept. */
const readBytes = 256 * 1024;

export class Repair {
  readonly #registry: CachingRegistry;
  readonly #signal: AbortSignal;
  readonly #buffer = Buffer.allocUnsafeSlow(readBytes);

  constructor({ registry, signal }: { readonly registry: CachingRegistry; readonly signal: AbortSignal }) {
    this.#registry = registry;
    this.#signal = signal;
  }

  /** Why it could not be had, in one line; undefined when it is here now. Rejects with the signal's reason. */
  async fetch(repository: Repository, { what, digest }: Pick<MissingPart, "what" | "digest">): Promise<string | undefined> {
    const call: Call = { signal: this.#signal, requestId: randomUUID(), purpose: "verify", mayFetch: true };
    try {
      if (what === "manifest" || what === "referrer") await this.#registry.getManifest(repository, { kind: "digest", digest }, call);
      else await this.#drain(repository, digest, call);
      return undefined;
    } catch (error) {
      if (error instanceof OciError && !this.#signal.aborted) return error.message;
      throw error;
    }
  }

  /** A file that cannot be read in the middle is replaced while it is read: that is what reading it to its end is for. */
  async #drain(repository: Repository, digest: MissingPart["digest"], call: Call): Promise<void> {
    await using blob = await this.#registry.getBlob(repository, digest, call);
    for (let positionBytes = 0; ;) {
      const bytes = await blob.read(this.#buffer, positionBytes);
      if (bytes === 0) break;
      positionBytes += bytes;
    }
    await this.#registry.kept(repository.host, digest);
  }
}
