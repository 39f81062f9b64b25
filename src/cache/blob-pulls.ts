/**
 * BlobPulls: a blob from the disk, from a fill that is running, or from one that begins now. Whose bytes may be shown where is
 * asked first: the repository must have a right to the digest, and its registry must have delivered it.
 */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { resolveRanges, type RangeSpec } from "../oci/ranges.ts";
import type { Answered, BlobAtHand, BlobCall, BlobContent, Call } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { atMost, untilAborted } from "../oci/waiting.ts";
import { BlobRights, type BlobRightsOptions } from "./blob-rights.ts";
import { smallBytesMax } from "./blob-store.ts";
import type { Fill } from "./fill.ts";
import type { FillReader } from "./fill-reader.ts";
import { answerDeadlineMs } from "./deadline.ts";
import { heldBlob } from "./held-blob.ts";
import { HotAnswers } from "./hot-answers.ts";
import type { NegativeAnswers } from "./negative-answers.ts";
import type { OpenBlob } from "./open-blob.ts";
import { heldBackBytes } from "./reception.ts";
import { UnbrokenBlob } from "./unbroken-blob.ts";

/** How often a reader looks for another fill when the one it joined could not begin. */
const joinsMax = 3;

/** A reader's place, taken on behalf of a repository. */
interface Joined {
  readonly fill: Fill;
  readonly reader: FillReader;
  readonly repository: Repository;
}

export interface BlobPullsOptions extends BlobRightsOptions {
  readonly negative: NegativeAnswers;
}

export class BlobPulls {
  readonly #options: BlobPullsOptions;
  readonly #rights: BlobRights;
  /** Blobs that lie in memory, whole. */
  readonly #hot: HotAnswers<BlobAtHand>;

  constructor(options: BlobPullsOptions) {
    this.#options = options;
    this.#rights = new BlobRights(options);
    this.#hot = new HotAnswers(options.clock);
  }

  /** The blob, when it lies in memory and this repository may show it. */
  atHand(repository: Repository, digest: Digest): BlobAtHand | undefined {
    return this.#hot.find(repository, digest);
  }

  async get(repository: Repository, digest: Digest, call: BlobCall): Promise<BlobContent & Answered> {
    call.signal.throwIfAborted();
    const { fills, clock } = this.#options;
    const untilMs = clock.elapsed() + answerDeadlineMs;
    for (let joins = 0; ;) {
      const { endedCount } = fills;
      const held = await this.#findHeld(repository, digest, call);
      if (held) return this.#held(repository, digest, held, call);
      this.#checkMayFetch(repository, digest, call);
      const joined = await this.#remembered(repository, digest, call, () => this.#join(repository, digest, call, endedCount));
      if (!joined) continue;
      joins += 1;
      const filled = await this.#remembered(repository, digest, call, () => this.#filled(joined, call, { untilMs, isLast: joins >= joinsMax }));
      if (filled) return this.#unbroken(repository, digest, filled, call);
    }
  }

  async head(repository: Repository, digest: Digest, call: Call): Promise<Descriptor & Answered> {
    const held = await this.#findHeld(repository, digest, call);
    if (held) {
      const sizeBytes = Buffer.isBuffer(held) ? held.byteLength : held.sizeBytes;
      if (!Buffer.isBuffer(held)) held.release();
      return described(digest, sizeBytes, "hit");
    }
    this.#checkMayFetch(repository, digest, call);
    // What a manifest names may be missing upstream all the same: who was just told so by GET must not hear otherwise by HEAD.
    this.#options.negative.check(negativeKey(repository, digest), call);
    const grant = this.#options.freshness.airGapped ? undefined : await this.#options.grants.find(repository, digest);
    if (grant) return described(digest, grant.sizeBytes, "miss");
    const head = await this.#remembered(repository, digest, call, () => this.#rights.ask(repository, digest, call));
    return described(digest, head.sizeBytes, "passed");
  }

  /** The blob's open file or bytes, when they are here and this repository may show them. Release a file. */
  async #findHeld(repository: Repository, digest: Digest, call: Call): Promise<OpenBlob | Buffer | undefined> {
    const { store } = this.#options;
    if (!(await store.provenance.covers(repository.host, digest))) return undefined;
    const grant = await this.#rights.find(repository, digest, call);
    if (!grant) return undefined;
    if (grant.sizeBytes > smallBytesMax) return await store.blobs.open(digest, grant.sizeBytes);
    const bytes = await store.blobs.findBytes(digest);
    return bytes?.byteLength === grant.sizeBytes ? bytes : undefined;
  }

  #held(repository: Repository, digest: Digest, source: OpenBlob | Buffer, call: BlobCall): BlobContent & Answered {
    const content = heldBlob(digest, source, call.ranges);
    if (Buffer.isBuffer(source)) {
      this.#keepAtHand(repository, digest, source);
      return content;
    }
    return this.#unbroken(repository, digest, content, call, (error) => this.#options.store.blobs.distrust(digest, source, error));
  }

  #keepAtHand(repository: Repository, digest: Digest, bytes: Buffer): void {
    const { repositories, blobs, provenance } = this.#options.store;
    const grant = repositories.findTrustedLink(repository, digest) ?? repositories.findTrustedManifest(repository, digest);
    const files = [provenance.findTrusted(repository.host, digest), grant, blobs.findTrusted(digest)];
    const descriptor = { mediaType: mediaTypes.octetStream, digest, sizeBytes: bytes.byteLength };
    this.#hot.put(repository, digest, { answer: { descriptor, bytes, outcome: "hit", warnings: [] }, sizeBytes: bytes.byteLength, files });
  }

  /** What the disk fails to give of `content` is pulled again, once `onFailure` has been told. */
  #unbroken(
    repository: Repository,
    digest: Digest,
    content: BlobContent & Answered,
    call: BlobCall,
    onFailure?: (error: unknown) => void,
  ): BlobContent & Answered {
    return new UnbrokenBlob({
      content,
      pullAgain: async (error, ranges) => {
        onFailure?.(error);
        const { ranges: _, ...whole } = call;
        return await this.get(repository, digest, ranges ? { ...whole, ranges } : whole);
      },
    });
  }

  #checkMayFetch(repository: Repository, digest: Digest, call: Call): void {
    if (call.mayFetch) return;
    throw new OciError("BLOB_UNKNOWN", `${digest} of ${repositoryName(repository)} is not held here, and may not be fetched`);
  }

  /** What a fill answers; undefined when it could not, for a reason that is not ours: then look again. */
  async #filled(
    { fill, reader, repository }: Joined,
    call: BlobCall,
    { untilMs, isLast }: { untilMs: number; isLast: boolean },
  ): Promise<(BlobContent & Answered) | undefined> {
    try {
      await this.#untilAnswerable(fill, call, untilMs);
      return this.#answer(fill, reader, call.ranges);
    } catch (error) {
      await reader[Symbol.asyncDispose]();
      // Refused in another repository's name, or stopped before we came: not our answer yet.
      const isRefusedToOthers = fill.repository.path !== repository.path && ((error instanceof OciError && error.code === "DENIED") || isUnknown(error));
      if (!(isRefusedToOthers || fill.wasPaused) || isLast || call.signal.aborted) throw error;
      await untilAborted(fill.ended, call.signal);
      return undefined;
    }
  }

  /** A place among the readers of a running fill, or of a new one. Undefined when one ended since `endedCount`: what was not on the disk may be now. */
  async #join(repository: Repository, digest: Digest, call: BlobCall, endedCount: number): Promise<Joined | undefined> {
    const { fills, grants } = this.#options;
    const positionBytes = lowestStart(call.ranges);
    const grant = await grants.find(repository, digest);
    const running = fills.find(repository.host, digest, positionBytes);
    if (running && running.repository.path !== repository.path && !grant) await this.#rights.ask(repository, digest, call);
    const { requestId } = call;
    const found = fills.find(repository.host, digest, positionBytes);
    if (!found && fills.endedCount !== endedCount) return undefined;
    const fill = found ?? fills.start(repository, digest, { requestId, grantedBytes: grant?.sizeBytes });
    return { fill, reader: fill.join(repository), repository };
  }

  /** Waits until the answer's status is certain: the upstream has answered, and small blobs are right. */
  async #untilAnswerable(fill: Fill, call: BlobCall, untilMs: number): Promise<void> {
    const certain = fill.until((state, receivedBytes) => {
      if (state.kind === "beginning") return false;
      if (state.kind !== "arriving") return true;
      return state.sizeBytes === undefined ? receivedBytes > heldBackBytes : state.sizeBytes > heldBackBytes;
    });
    const { clock } = this.#options;
    const state = await atMost(clock, untilMs - clock.elapsed(), untilAborted(certain, call.signal));
    if (state === "late") {
      if (fill.isQueued) throw new OciError("OVERLOADED", `${fill.repository.host} serves other downloads first: try again soon`, { retryAfterMs: 5_000 });
      throw new OciError("UPSTREAM_TIMEOUT", `${fill.repository.host} did not send ${fill.digest} in time`, { source: "upstream" });
    }
    if (state.kind === "failed") throw state.error;
  }

  #answer(fill: Fill, reader: FillReader, specs: readonly RangeSpec[] | undefined): BlobContent & Answered {
    const { sizeBytes } = fill;
    const ranges = specs && sizeBytes !== undefined ? resolveRanges(specs, sizeBytes) : undefined;
    reader.answer(sizeBytes, ranges);
    return Object.assign(reader, { outcome: fill.isKept ? ("miss" as const) : ("passed" as const), warnings: [] });
  }

  #remembered<T>(repository: Repository, digest: Digest, call: Call, ask: () => Promise<T>): Promise<T> {
    return this.#options.negative.remember(negativeKey(repository, digest), { byDigest: true, call }, ask);
  }
}

function negativeKey(repository: Repository, digest: Digest): string {
  return `${repositoryName(repository)}@blob:${digest}`;
}

function described(digest: Digest, sizeBytes: number | undefined, outcome: Answered["outcome"]): Descriptor & Answered {
  return { mediaType: mediaTypes.octetStream, digest, sizeBytes, outcome, warnings: [] };
}

/** The first byte that a reader of these ranges needs, as far as that can be told without the size. */
function lowestStart(ranges: readonly RangeSpec[] | undefined): number {
  if (!ranges || ranges.length === 0) return 0;
  return Math.min(...ranges.map((range) => ("startBytes" in range ? range.startBytes : 0)));
}
