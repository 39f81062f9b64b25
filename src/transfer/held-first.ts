/**
 * HeldFirst: manifests by digest from what is held, all else from the registry itself, without keeping it. A tag costs one HEAD when what
 * it means is held. Whoever loads an image looks at it through this, so that nothing of it is seen by others before all of it is here.
 */
import type { CachingRegistry } from "../cache/caching-registry.ts";
import type { Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Reference } from "../oci/reference.ts";
import type { Answered, Call, Registry } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";

export interface HeldFirstOptions {
  readonly held: CachingRegistry;
  /** Whom `held` asks. */
  readonly upstream: Registry;
  /** Around each question. */
  readonly attempt: <T>(ask: () => Promise<T>) => Promise<T>;
}

type Got = Manifest & Answered;

export class HeldFirst implements Registry {
  readonly #held: CachingRegistry;
  readonly #upstream: Registry;
  readonly #attempt: HeldFirstOptions["attempt"];
  /** True when there was nobody to ask: that something is not known says nothing then. */
  wasOffline = false;

  constructor({ held, upstream, attempt }: HeldFirstOptions) {
    this.#held = held;
    this.#upstream = upstream;
    this.#attempt = attempt;
  }

  async getManifest(repository: Repository, reference: Reference, call: Call): Promise<Got> {
    if (reference.kind === "digest") return await this.#byDigest(repository, reference.digest, call);
    const digest = await this.digestOfTag(repository, reference.tag, call);
    try {
      if (digest !== undefined) return await this.#byDigest(repository, digest, call);
    } catch (error) {
      if (!isUnknown(error)) throw error; // An upstream that does not know the digest that it named.
    }
    return await this.#attempt(() => this.#upstream.getManifest(repository, reference, call));
  }

  /** What a tag means now, by one HEAD; undefined when that does not tell. */
  async digestOfTag(repository: Repository, tag: Tag, call: Call): Promise<Digest | undefined> {
    try {
      return (await this.#attempt(() => this.#upstream.headManifest(repository, { kind: "tag", tag }, call))).digest;
    } catch (error) {
      if (error instanceof OciError && error.code === "UNSUPPORTED") return undefined;
      if (!this.#isOffline(error)) throw error;
      return (await this.#held.headManifest(repository, { kind: "tag", tag }, { ...call, mayFetch: false })).digest;
    }
  }

  /** Nobody is asked in air-gapped mode: then a tag means what it meant. */
  #isOffline(error: unknown): boolean {
    this.wasOffline ||= isUnknown(error) && error.source === "local";
    return this.wasOffline;
  }

  headManifest: Registry["headManifest"] = (repository, reference, call) => this.#attempt(() => this.#upstream.headManifest(repository, reference, call));

  getBlob: Registry["getBlob"] = (repository, digest, call) => this.#held.getBlob(repository, digest, call);

  headBlob: Registry["headBlob"] = (repository, digest, call) => this.#held.headBlob(repository, digest, call);

  listTags: Registry["listTags"] = (repository, call) => this.#attempt(() => this.#upstream.listTags(repository, call));

  listReferrers: Registry["listReferrers"] = (repository, digest, call) => this.#attempt(() => this.#upstream.listReferrers(repository, digest, call));

  async #byDigest(repository: Repository, digest: Digest, call: Call): Promise<Got> {
    const reference = { kind: "digest", digest } as const;
    try {
      return await this.#held.getManifest(repository, reference, { ...call, mayFetch: false });
    } catch (error) {
      if (!isUnknown(error)) throw error;
    }
    return await this.#attempt(() => this.#upstream.getManifest(repository, reference, call));
  }
}
