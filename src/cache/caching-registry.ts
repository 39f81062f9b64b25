/**
 * CachingRegistry: a registry in front of another. It answers from the disk, asks upstream only for what it lacks or no longer
 * trusts, and lets what is held stand in while the upstream is away. Who pulls a manifest, or looks at it by HEAD, uses it.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { DownloadView } from "../oci/overview.ts";
import type { Reference } from "../oci/reference.ts";
import type { Answered, BlobAtHand, BlobCall, BlobContent, Call, Referrers, ReferrersCall, Registry, TagsCall, TagsPage } from "../oci/registry.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { FillCounts } from "../oci/views.ts";
import { BlobPulls } from "./blob-pulls.ts";
import type { FillRoom } from "./fill-room.ts";
import { Fills } from "./fills.ts";
import { Freshness, type FreshnessOptions } from "./freshness.ts";
import { Grants } from "./grants.ts";
import { HeldManifests } from "./held-manifests.ts";
import { Listings } from "./listings.ts";
import { ManifestPulls } from "./manifest-pulls.ts";
import { NegativeAnswers } from "./negative-answers.ts";
import type { Store } from "./store.ts";
import type { Uses } from "./uses.ts";

export interface CachingRegistryOptions {
  /** Whom to ask for what is not held. */
  readonly upstream: Registry;
  readonly store: Store;
  readonly freshness: FreshnessOptions;
  /** How long, in ms, a download may stand still, tries included, before it is given up. */
  readonly pullTimeoutMs: number;
  /** How many downloads a registry serves at once. */
  readonly fillsMax: (host: RegistryHost) => number;
  /** Who says whether there is room for what is downloaded; absent: the disk, when it is full. */
  readonly room?: FillRoom | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

export class CachingRegistry implements Registry {
  readonly #manifests: ManifestPulls;
  readonly #blobs: BlobPulls;
  readonly #listings: Listings;
  readonly #fills: Fills;
  readonly #negative: NegativeAnswers;
  readonly #freshness: Freshness;
  readonly #uses: Uses;
  readonly #lifetime = new AbortController();

  constructor({ upstream, store, freshness, pullTimeoutMs, fillsMax, room, clock, log, background }: CachingRegistryOptions) {
    this.#freshness = new Freshness(freshness);
    this.#uses = store.uses;
    this.#negative = new NegativeAnswers(clock);
    this.#fills = new Fills({ upstream, store, clock, log, background, patienceMs: pullTimeoutMs, runningMax: fillsMax, room });
    const grants = new Grants(store);
    const parts = {
      upstream,
      store,
      grants,
      held: new HeldManifests({ store, grants }),
      fills: this.#fills,
      freshness: this.#freshness,
      negative: this.#negative,
      clock,
      lifetime: this.#lifetime.signal,
    };
    this.#manifests = new ManifestPulls(parts);
    this.#blobs = new BlobPulls(parts);
    this.#listings = new Listings(parts);
  }

  async getManifest(repository: Repository, reference: Reference, call: Call): Promise<Manifest & Answered> {
    const answer =
      reference.kind === "tag"
        ? await this.#manifests.byTag(repository, reference.tag, call)
        : await this.#manifests.byDigest(repository, reference.digest, call);
    if (call.purpose === "pull") this.#uses.note(repository, answer.descriptor.digest);
    return answer;
  }

  async headManifest(repository: Repository, reference: Reference, call: Call): Promise<Descriptor & Answered> {
    const { descriptor, outcome, warnings } = await this.getManifest(repository, reference, call);
    return { ...descriptor, outcome, warnings };
  }

  async getBlob(repository: Repository, digest: Digest, call: BlobCall): Promise<BlobContent & Answered> {
    return await this.#blobs.get(repository, digest, call);
  }

  async headBlob(repository: Repository, digest: Digest, call: Call): Promise<Descriptor & Answered> {
    return await this.#blobs.head(repository, digest, call);
  }

  async listTags(repository: Repository, call: TagsCall): Promise<TagsPage & Answered> {
    return await this.#listings.tags(repository, call);
  }

  async listReferrers(repository: Repository, digest: Digest, call: ReferrersCall): Promise<Referrers & Answered> {
    return await this.#listings.referrers(repository, digest, call);
  }

  manifestAtHand(repository: Repository, reference: Reference): (Manifest & Answered) | undefined {
    const answer = this.#manifests.atHand(repository, reference);
    if (answer) this.#uses.note(repository, answer.descriptor.digest);
    return answer;
  }

  blobAtHand(repository: Repository, digest: Digest): BlobAtHand | undefined {
    return this.#blobs.atHand(repository, digest);
  }

  /** Resolves when a download of it that runs is over and its file is part of the store: a reader has all of it a moment before. */
  async kept(host: RegistryHost, digest: Digest): Promise<void> {
    await this.#fills.ended(host, digest);
  }

  /** How many downloads run, wait, and are being read. */
  fillCounts(): FillCounts {
    return this.#fills.counts();
  }

  /** Each of them, the longest under way first. */
  downloads(): readonly DownloadView[] {
    return this.#fills.list();
  }

  /** The rules changed. */
  reconfigure(freshness: FreshnessOptions): void {
    this.#freshness.reconfigure(freshness);
  }

  /** A credential changed: what was refused may be allowed now. */
  forgetDenials(): void {
    this.#negative.forgetDenials();
  }

  /** Stops downloads and keeps what has come of them for the next process. */
  async close(): Promise<void> {
    this.#lifetime.abort(new OciError("OVERLOADED", "the server is shutting down", { retryAfterMs: 1_000 }));
    await this.#fills.close();
  }
}
