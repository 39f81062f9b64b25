/** Listings: tags and referrers. They change under unchanged names, so the upstream is asked; what is known here stands in. */
import { stat } from "node:fs/promises";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isOutage, isUnknown, OciError } from "../oci/errors.ts";
import { readManifestContent } from "../oci/manifest.ts";
import type { Answered, Referrers, ReferrersCall, Registry, TagsCall, TagsPage } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { referrersTagOf } from "../oci/tag.ts";
import type { Freshness } from "./freshness.ts";
import type { NegativeAnswers } from "./negative-answers.ts";
import type { ReferrersAnswer } from "./referrers-store.ts";
import { SingleFlight } from "./single-flight.ts";
import type { Store } from "./store.ts";

/** Referrers change while digests do not: an answer is trusted for a tag's time, and at most for this. */
const referrersTtlMaxMs = 60_000;
/** An answer that takes longer goes on without the client, who gets what is known here. */
const deadlineMs = 1_500;
const emptyAnswersMax = 10_000;

export interface ListingsOptions {
  readonly upstream: Registry;
  readonly store: Store;
  readonly freshness: Freshness;
  readonly negative: NegativeAnswers;
  readonly clock: Clock;
  /** Aborts when the cache closes: the end of what clients share. */
  readonly lifetime: AbortSignal;
}

export class Listings {
  readonly #options: ListingsOptions;
  readonly #tagFlights: SingleFlight<TagsPage>;
  readonly #referrerFlights: SingleFlight<ReferrersAnswer>;
  /** Answers "there are none": too many and too cheap for the disk. */
  readonly #empty = new LRUCache<string, ReferrersAnswer>({ max: emptyAnswersMax });

  constructor(options: ListingsOptions) {
    this.#options = options;
    this.#tagFlights = new SingleFlight(options.clock);
    this.#referrerFlights = new SingleFlight(options.clock);
  }

  async tags(repository: Repository, call: TagsCall): Promise<TagsPage & Answered> {
    if (!call.mayFetch) return await this.#knownTags(repository, call, undefined);
    const key = JSON.stringify([repositoryName(repository), call.last, call.limit]);
    const ask = (): Promise<TagsPage> => this.#options.upstream.listTags(repository, { ...call, signal: this.#options.lifetime });
    try {
      const page = (await this.#options.store.repositories.hasTags(repository))
        ? await this.#tagFlights.runTimely(key, ask, { deadlineMs, signal: call.signal })
        : await this.#options.negative.remember(`${repositoryName(repository)}@tags`, { byDigest: false, call }, () =>
            this.#tagFlights.run(key, ask, call.signal),
          );
      if (page !== "late") return { tags: page.tags, ...(page.next === undefined ? {} : { next: page.next }), outcome: "passed", warnings: [] };
      return await this.#knownTags(
        repository,
        call,
        new OciError("UPSTREAM_TIMEOUT", `${repository.host} does not list its tags in time`, { source: "upstream" }),
      );
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      return await this.#knownTags(repository, call, error);
    }
  }

  async referrers(repository: Repository, subject: Digest, call: ReferrersCall): Promise<Referrers & Answered> {
    const key = `${repositoryName(repository)}@${subject}`;
    const known = (await this.#options.store.referrers.findAnswer(repository, subject)) ?? this.#empty.get(key);
    if (known && (!call.mayFetch || (call.noCache !== true && this.#isFresh(repository, subject, known))))
      return filtered(known.manifests, call, { outcome: "hit", warnings: [] });
    const held = await this.#heldReferrers(repository, subject);
    if (!call.mayFetch) return filtered(held, call, { outcome: "hit", warnings: [] });
    const ask = (): Promise<ReferrersAnswer> => this.#askReferrers(repository, subject, key, call);
    try {
      const isKnown = known !== undefined || held.length > 0;
      const answer = isKnown
        ? await this.#referrerFlights.runTimely(key, ask, { deadlineMs, signal: call.signal })
        : await this.#options.negative.remember(`${repositoryName(repository)}@referrers:${subject}`, { byDigest: true, call }, () =>
            this.#referrerFlights.run(key, ask, call.signal),
          );
      if (answer !== "late") return filtered(answer.manifests, call, { outcome: "miss", warnings: [] });
      return this.#standIn(repository, known, held, call, undefined);
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      return this.#standIn(repository, known, held, call, error);
    }
  }

  async #askReferrers(repository: Repository, subject: Digest, key: string, call: ReferrersCall): Promise<ReferrersAnswer> {
    const { upstream, store, clock } = this.#options;
    const checkedAtMs = clock.now();
    const { artifactType: _, ...unfiltered } = call;
    const { manifests } = await upstream.listReferrers(repository, subject, { ...unfiltered, signal: this.#options.lifetime });
    const answer = { manifests, checkedAtMs };
    const before = await store.referrers.findAnswer(repository, subject);
    if (manifests.length > 0 || before) await store.whereWritable(() => store.referrers.putAnswer(repository, subject, answer));
    else this.#empty.set(key, answer);
    return answer;
  }

  /** Never an error that would fail a pull: what is known here, at worst nothing, with a warning. */
  #standIn(
    repository: Repository,
    known: ReferrersAnswer | undefined,
    held: readonly Descriptor[],
    call: ReferrersCall,
    error: OciError | undefined,
  ): Referrers & Answered {
    const { clock, freshness } = this.#options;
    const manifests = [...new Map([...(known?.manifests ?? []), ...held].map((descriptor) => [descriptor.digest, descriptor])).values()];
    const isLocal = error?.source === "local" && isUnknown(error);
    if (isLocal || freshness.airGapped) return filtered(manifests, call, { outcome: "hit", warnings: [] });
    if (error && !isOutage(error) && !isUnknown(error) && manifests.length === 0) throw error;
    const failure = error ?? new OciError("UPSTREAM_TIMEOUT", "no answer in time", { source: "upstream" });
    const warning =
      (known && freshness.standIn(repository, failure, { checkedAtMs: known.checkedAtMs, nowMs: clock.now() })) ??
      `upstream ${repository.host} cannot be asked; what refers to this may be more than is known here`;
    return filtered(manifests, call, { outcome: "stale", warnings: [warning] });
  }

  #isFresh(repository: Repository, subject: Digest, { checkedAtMs }: ReferrersAnswer): boolean {
    const { freshness, clock } = this.#options;
    if (freshness.airGapped) return false; // What is held may know more than the last answer.
    const ageMs = clock.now() - checkedAtMs;
    return ageMs >= 0 && ageMs < Math.min(freshness.tagTtlMs(repository, referrersTagOf(subject)), referrersTtlMaxMs);
  }

  /** Descriptors of held manifests with this subject, as a registry would list them. */
  async #heldReferrers(repository: Repository, subject: Digest): Promise<readonly Descriptor[]> {
    const { referrers, repositories, blobs } = this.#options.store;
    const descriptors: Descriptor[] = [];
    for (const digest of await referrers.listHeld(repository, subject)) {
      const record = await repositories.findManifest(repository, digest);
      const bytes = record && (await blobs.findBytes(digest));
      if (!bytes) continue;
      const { artifactType, annotations, subject: named } = readManifestContent(bytes);
      if (named?.digest !== subject) continue;
      descriptors.push({
        mediaType: record.mediaType,
        digest,
        sizeBytes: bytes.byteLength,
        ...(artifactType ? { artifactType } : {}),
        ...(annotations ? { annotations } : {}),
      });
    }
    return descriptors;
  }

  /** Tags that are known here, in place of the upstream's answer. Throws `error`, or `NAME_UNKNOWN`, when there are none, or they may not stand in. */
  async #knownTags(repository: Repository, call: TagsCall, error: OciError | undefined): Promise<TagsPage & Answered> {
    const { store, freshness, clock } = this.#options;
    const tags = await store.repositories.listTags(repository);
    const isLocal = error === undefined || (error.source === "local" && isUnknown(error));
    const warning =
      error && !isLocal ? freshness.standIn(repository, error, { checkedAtMs: await this.#listedAtMs(repository), nowMs: clock.now() }) : undefined;
    if (tags.length === 0 || (!isLocal && warning === undefined))
      throw error ?? new OciError("NAME_UNKNOWN", `nothing of ${repositoryName(repository)} is held here`);
    const { last, limit } = call;
    const after = last === undefined ? tags : tags.filter((tag) => tag > last);
    const page = limit === undefined ? after : after.slice(0, limit);
    const next = page.length < after.length ? page.at(-1) : undefined;
    return { tags: page, ...(next === undefined ? {} : { next }), outcome: isLocal ? "hit" : "stale", warnings: warning === undefined ? [] : [warning] };
  }

  async #listedAtMs(repository: Repository): Promise<number> {
    const { store, clock } = this.#options;
    const folder = store.layout.tags(repository);
    return (await store.reads.attempt(folder, () => stat(folder)))?.mtimeMs ?? clock.now();
  }
}

function filtered(manifests: readonly Descriptor[], { artifactType }: ReferrersCall, answered: Answered): Referrers & Answered {
  return { manifests: artifactType === undefined ? manifests : manifests.filter((descriptor) => descriptor.artifactType === artifactType), ...answered };
}
