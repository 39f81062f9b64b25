/**
 * ManifestPulls: a manifest from what is held, or from upstream when that is due. A tag is answered only when its manifest is
 * held by digest, so that what a HEAD promised can be got.
 */
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { isOutage, isUnknown, OciError } from "../oci/errors.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Answered, Call, Registry } from "../oci/registry.ts";
import type { Reference } from "../oci/reference.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { isReferrersTag, type Tag } from "../oci/tag.ts";
import { startDeadline } from "./deadline.ts";
import type { Fills } from "./fills.ts";
import type { Freshness } from "./freshness.ts";
import type { HeldManifests } from "./held-manifests.ts";
import { HotAnswers } from "./hot-answers.ts";
import type { NegativeAnswers } from "./negative-answers.ts";
import type { TagRecord } from "./repository-records.ts";
import { SingleFlight } from "./single-flight.ts";
import type { Store } from "./store.ts";

/** A revalidation that takes longer goes on without the client, who gets what is held. */
const revalidationDeadlineMs = 1_500;

type Answer = Manifest & Answered;

/** A tag's record and the manifest that it names. */
interface HeldTag {
  readonly record: TagRecord;
  readonly answer: Answer;
}

export interface ManifestPullsOptions {
  readonly upstream: Registry;
  readonly store: Store;
  readonly held: HeldManifests;
  readonly fills: Fills;
  readonly freshness: Freshness;
  readonly negative: NegativeAnswers;
  readonly clock: Clock;
  /** Aborts when the cache closes: the end of what clients share. */
  readonly lifetime: AbortSignal;
}

export class ManifestPulls {
  readonly #options: ManifestPullsOptions;
  readonly #flights: SingleFlight<Answer>;
  readonly #hotTags: HotAnswers<HeldTag>;
  readonly #hotDigests: HotAnswers<Answer>;

  constructor(options: ManifestPullsOptions) {
    this.#options = options;
    this.#flights = new SingleFlight(options.clock);
    this.#hotTags = new HotAnswers(options.clock);
    this.#hotDigests = new HotAnswers(options.clock);
  }

  /** The manifest that a tag means. */
  async byTag(repository: Repository, tag: Tag, call: Call): Promise<Answer> {
    const held = await this.#findTag(repository, tag);
    if (!held) return await this.#fetchedTag(repository, tag, call);
    const isFresh = call.noCache !== true && this.#isFresh(repository, tag, held);
    return isFresh || !call.mayFetch ? held.answer : await this.#revalidated(repository, tag, held, call);
  }

  /** The manifest of this digest, if the repository has it. */
  async byDigest(repository: Repository, digest: Digest, call: Call): Promise<Answer> {
    const here = await this.#options.held.find(repository, digest);
    if (here) {
      const files = this.#options.held.trustedFiles(repository, digest);
      this.#hotDigests.put(repository, digest, { answer: here, sizeBytes: here.bytes.byteLength, files });
    }
    const held = here ?? (await this.#options.held.findGranted(repository, digest));
    if (held) return held;
    if (!call.mayFetch) throw new OciError("MANIFEST_UNKNOWN", `${digest} of ${repositoryName(repository)} is not held here, and may not be fetched`);
    const key = `${repositoryName(repository)}@${digest}`;
    return await this.#options.negative.remember(key, { byDigest: true, call }, () =>
      this.#flights.run(key, () => this.#fetchDigest(repository, digest, this.#shared(call)), call.signal),
    );
  }

  /** What the reference would be answered with at once, from memory. */
  atHand(repository: Repository, reference: Reference): Answer | undefined {
    if (reference.kind === "digest") return this.#hotDigests.find(repository, reference.digest);
    const held = this.#hotTags.find(repository, reference.tag);
    return held && this.#isFresh(repository, reference.tag, held) ? held.answer : undefined;
  }

  /** What is held under the tag, whether or not it may be answered without asking. */
  async #findTag(repository: Repository, tag: Tag): Promise<HeldTag | undefined> {
    const { store, held } = this.#options;
    const record = await store.repositories.findTag(repository, tag);
    const answer = record && (await held.find(repository, record.digest));
    if (!record || !answer) return undefined;
    const found = { record, answer };
    const files = [store.repositories.findTrustedTag(repository, tag, record.digest), ...held.trustedFiles(repository, record.digest)];
    this.#hotTags.put(repository, tag, { answer: found, sizeBytes: answer.bytes.byteLength, files });
    return found;
  }

  #isFresh(repository: Repository, tag: Tag, { record: { checkedAtMs } }: HeldTag): boolean {
    const { freshness, clock } = this.#options;
    return freshness.isFresh(repository, tag, { checkedAtMs, nowMs: clock.now() });
  }

  async #revalidated(repository: Repository, tag: Tag, held: HeldTag, call: Call): Promise<Answer> {
    const { clock, freshness } = this.#options;
    const key = `${repositoryName(repository)}:${tag}`;
    const ask = (): Promise<Answer> => this.#fetchTag(repository, tag, { ...this.#shared(call), purpose: "revalidate" }, held);
    const times = { checkedAtMs: held.record.checkedAtMs, nowMs: clock.now() };
    try {
      const answer = await this.#flights.runTimely(key, ask, { deadlineMs: revalidationDeadlineMs, signal: call.signal });
      if (answer !== "late") return answer;
      const late = new OciError("UPSTREAM_TIMEOUT", `${repository.host} takes longer than ${revalidationDeadlineMs} ms to confirm ${tag}`, {
        source: "upstream",
      });
      const warning = freshness.standIn(repository, late, times);
      return warning === undefined ? await this.#flights.run(key, ask, call.signal) : stale(held.answer, warning);
    } catch (error) {
      const warning = error instanceof OciError ? freshness.standIn(repository, error, times) : undefined;
      if (warning === undefined) throw error;
      return stale(held.answer, warning);
    }
  }

  async #fetchedTag(repository: Repository, tag: Tag, call: Call): Promise<Answer> {
    if (!call.mayFetch) throw await this.#notHeld(repository, tag);
    const key = `${repositoryName(repository)}:${tag}`;
    try {
      return await this.#options.negative.remember(key, { byDigest: false, call }, () =>
        this.#flights.run(key, () => this.#fetchTag(repository, tag, this.#shared(call), undefined), call.signal),
      );
    } catch (error) {
      // Clients ask for a referrers tag to learn that there is none, and give up a whole pull when they learn nothing.
      if (!isReferrersTag(tag) || !isOutage(error)) throw error;
      throw new OciError("MANIFEST_UNKNOWN", `no tag ${tag} of ${repositoryName(repository)} is held here, and its registry cannot be asked`, { cause: error });
    }
  }

  async #notHeld(repository: Repository, tag: Tag): Promise<OciError> {
    const record = await this.#options.store.repositories.findTag(repository, tag);
    const name = repositoryName(repository);
    const what = record ? `tag ${tag} of ${name} means ${record.digest}, which is missing or damaged here` : `no tag ${tag} of ${name} is held here`;
    return new OciError("MANIFEST_UNKNOWN", `${what}, and it may not be fetched`);
  }

  /** Asks upstream what the tag means now, and makes sure that we hold it. */
  async #fetchTag(repository: Repository, tag: Tag, unlimited: Call, held: HeldTag | undefined): Promise<Answer> {
    const { store, clock } = this.#options;
    using deadline = startDeadline({ clock, signal: unlimited.signal, what: `${repositoryName(repository)}:${tag}` });
    const call = { ...unlimited, signal: deadline.signal };
    const checkedAtMs = clock.now();
    const head = await this.#headTag(repository, tag, call);
    if (held && head === held.record.digest) {
      store.repositories.noteChecked(repository, tag, checkedAtMs);
      return held.answer;
    }
    const answer =
      (head && (await this.#fetchPromised(repository, head, call))) ?? (await this.#options.held.keep(repository, await this.#getByTag(repository, tag, call)));
    const { digest, mediaType, sizeBytes } = answer.descriptor;
    if (digest === held?.record.digest) store.repositories.noteChecked(repository, tag, checkedAtMs);
    else await store.whereWritable(() => store.repositories.putTag(repository, tag, { digest, mediaType, sizeBytes, checkedAtMs }));
    return answer;
  }

  /** The digest that a HEAD gives, or undefined when it takes a GET to tell. */
  async #headTag(repository: Repository, tag: Tag, call: Call): Promise<Digest | undefined> {
    try {
      return (await this.#options.upstream.headManifest(repository, { kind: "tag", tag }, call)).digest;
    } catch (error) {
      if (error instanceof OciError && error.code === "UNSUPPORTED") return undefined;
      throw error;
    }
  }

  /** The manifest that a HEAD named, or undefined when the upstream does not know its own digest. */
  async #fetchPromised(repository: Repository, digest: Digest, call: Call): Promise<Answer | undefined> {
    try {
      return await this.#flights.run(`${repositoryName(repository)}@${digest}`, () => this.#fetchDigest(repository, digest, call), call.signal);
    } catch (error) {
      if (isUnknown(error)) return undefined;
      throw error;
    }
  }

  async #getByTag(repository: Repository, tag: Tag, call: Call): Promise<Answer> {
    this.#options.fills.check(repository.host);
    return await this.#options.upstream.getManifest(repository, { kind: "tag", tag }, call);
  }

  async #fetchDigest(repository: Repository, digest: Digest, call: Call): Promise<Answer> {
    const { upstream, fills } = this.#options;
    const held = (await this.#options.held.find(repository, digest)) ?? (await this.#options.held.findGranted(repository, digest));
    if (held) return held;
    fills.check(repository.host);
    try {
      return await this.#options.held.keep(repository, await upstream.getManifest(repository, { kind: "digest", digest }, call));
    } catch (error) {
      if (!isOutage(error) && !(isUnknown(error) && error.source === "local")) throw error;
      const granted = await this.#options.held.findGranted(repository, digest, { all: true });
      if (granted) return granted;
      throw error;
    }
  }

  /** A call whose work is shared: it ends with its own deadlines, not with one client. */
  #shared(call: Call): Call {
    return { ...call, signal: this.#options.lifetime };
  }
}

function stale(answer: Answer, warning: string): Answer {
  return { ...answer, outcome: "stale", warnings: [warning] };
}
