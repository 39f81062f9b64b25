/**
 * BlobRights: whether a repository may show a digest whose bytes came by way of another. What is held says so, or the upstream does,
 * by a HEAD in that very repository; while it cannot be asked, everything that is held is searched.
 */
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isOutage, isUnknown } from "../oci/errors.ts";
import type { Call, Registry } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Fills } from "./fills.ts";
import type { Freshness } from "./freshness.ts";
import type { Grants } from "./grants.ts";
import { SingleFlight } from "./single-flight.ts";
import type { Store } from "./store.ts";

export interface BlobRightsOptions {
  readonly upstream: Registry;
  readonly store: Store;
  readonly grants: Grants;
  readonly fills: Fills;
  readonly freshness: Freshness;
  readonly clock: Clock;
  /** Aborts when the cache closes: the end of what clients share. */
  readonly lifetime: AbortSignal;
}

export class BlobRights {
  readonly #options: BlobRightsOptions;
  readonly #heads: SingleFlight<Descriptor>;

  constructor(options: BlobRightsOptions) {
    this.#options = options;
    this.#heads = new SingleFlight(options.clock);
  }

  /** The blob's size, when `repository` may show it; undefined when it may not, or its bytes are not here. Throws what the upstream answered. */
  async find(repository: Repository, digest: Digest, call: Call): Promise<{ readonly sizeBytes: number } | undefined> {
    const { grants } = this.#options;
    return (await grants.find(repository, digest)) ?? (await this.#findUnwritten(repository, digest, call));
  }

  /** Asks upstream, by HEAD in this repository, whether it may show the digest; a yes is written down. Throws as `Registry.headBlob`. */
  async ask(repository: Repository, digest: Digest, call: Call): Promise<Descriptor> {
    const { upstream, grants, lifetime } = this.#options;
    const ask = async (): Promise<Descriptor> => {
      const head = await upstream.headBlob(repository, digest, { ...call, signal: lifetime });
      if (head.sizeBytes !== undefined) await grants.put(repository, digest, head.sizeBytes);
      return head;
    };
    return await this.#heads.run(`${repositoryName(repository)}@${digest}`, ask, call.signal);
  }

  async #findUnwritten(repository: Repository, digest: Digest, call: Call): Promise<{ readonly sizeBytes: number } | undefined> {
    const { grants, freshness, fills, store } = this.#options;
    // Nothing to have a right to yet, or a right that the fill is about to write down.
    if (fills.find(repository.host, digest)?.isFor(repository) || !(await store.blobs.has(digest))) return undefined;
    // A fill that ended since we looked has written it down by now.
    const written = await grants.find(repository, digest);
    if (written) return written;
    const found = await grants.search(repository, digest, { all: freshness.airGapped || !call.mayFetch });
    if (found || !call.mayFetch) return found;
    try {
      const { sizeBytes } = await this.ask(repository, digest, call);
      return sizeBytes === undefined ? undefined : { sizeBytes };
    } catch (error) {
      const cannotBeAsked = isOutage(error) || (isUnknown(error) && error.source === "local");
      const named = cannotBeAsked ? await grants.search(repository, digest, { all: true }) : undefined;
      if (named) return named;
      throw error;
    }
  }
}
