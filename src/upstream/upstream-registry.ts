/**
 * UpstreamRegistry: one registry out there, behind its mirrors: each is asked in turn, within one budget of time, until one of them
 * knows.
 */
import { delay, type Clock } from "../oci/clock.ts";
import { isOutage, isUnknown, OciError } from "../oci/errors.ts";
import { resolveRanges, type RangeSpec } from "../oci/ranges.ts";
import type { Answered, Call, Referrers, Registry } from "../oci/registry.ts";
import { repositoryName, type RegistryHost, type Repository } from "../oci/repository.ts";
import type { UpstreamStatus } from "../oci/views.ts";
import { askBlob, askBlobDescriptor } from "./blob-questions.ts";
import type { Delivered, Endpoint } from "./endpoint.ts";
import { askManifest, askManifestDescriptor } from "./manifest-questions.ts";
import type { NetworkBlob } from "./network-blob.ts";
import { RangedBlob } from "./ranged-blob.ts";
import { askReferrers } from "./referrers-questions.ts";
import { askTags } from "./tags-questions.ts";
import { startBudget } from "../oci/waiting.ts";

export interface UpstreamRegistryParts {
  readonly host: RegistryHost;
  /** In the order in which they are asked. */
  readonly endpoints: readonly Endpoint[];
  /** The registry itself, when it is one of them: what it says of absence counts, whatever became of the mirrors. */
  readonly origin: Endpoint | undefined;
  readonly clock: Clock;
  readonly totalMs: number;
  readonly pullTimeoutMs: number;
}

export class UpstreamRegistry implements Registry {
  readonly #parts: UpstreamRegistryParts;
  readonly #closing = new AbortController();

  constructor(parts: UpstreamRegistryParts) {
    this.#parts = parts;
  }

  getManifest: Registry["getManifest"] = (repository, reference, call) =>
    this.#ask(repository, call, (endpoint, signal) => askManifest(endpoint, repository, reference, signal, this.#parts.clock));

  headManifest: Registry["headManifest"] = (repository, reference, call) =>
    this.#ask(repository, call, (endpoint, signal) => askManifestDescriptor(endpoint, repository, reference, signal, this.#parts.clock));

  headBlob: Registry["headBlob"] = (repository, digest, call) =>
    this.#ask(repository, call, (endpoint, signal) => askBlobDescriptor(endpoint, repository, digest, { signal, clock: this.#parts.clock }));

  listTags: Registry["listTags"] = (repository, call) =>
    this.#ask(repository, call, (endpoint, signal) => askTags(endpoint, repository, { last: call.last, limit: call.limit, signal, clock: this.#parts.clock }));

  /** A mirror that knows of none is no last word: few of them keep what refers to the images they keep. */
  listReferrers: Registry["listReferrers"] = async (repository, digest, call) => {
    const { clock, endpoints } = this.#parts;
    const none: Referrers & Answered = { manifests: [], outcome: "passed", warnings: [] };
    const ask = async (endpoint: Endpoint, signal: AbortSignal): Promise<Delivered<Referrers>> => {
      const referrers = await askReferrers(endpoint, repository, digest, signal, clock);
      if (referrers.manifests.length > 0 || endpoint === endpoints.at(-1)) return referrers;
      throw new OciError("MANIFEST_UNKNOWN", `no referrers of ${digest} at ${endpoint.source}`, { source: "upstream" });
    };
    const answer = await this.#ask(repository, call, ask).catch((error: unknown) => {
      if (isUnknown(error)) return none;
      throw error;
    });
    const { artifactType } = call;
    return artifactType === undefined ? answer : { ...answer, manifests: answer.manifests.filter((manifest) => manifest.artifactType === artifactType) };
  };

  /** Several ranges are several requests, one after another; when the first is not honoured, the whole blob comes. */
  getBlob: Registry["getBlob"] = async (repository, digest, call) => {
    const { clock, pullTimeoutMs } = this.#parts;
    const open = (range: RangeSpec | undefined): Promise<{ blob: NetworkBlob; isPublic: boolean } & Answered> =>
      this.#ask(repository, call, (endpoint, signal) => askBlob(endpoint, repository, digest, { range, signal, clock, pullTimeoutMs }));
    const specs = call.ranges ?? [];
    const { blob: first, ...answered } = await open(specs[0]);
    const sizeBytes = first.descriptor.sizeBytes;
    const ranges = specs.length > 1 && first.kind === "partial" && sizeBytes !== undefined ? resolveRanges(specs, sizeBytes) : undefined;
    if (!ranges) return Object.assign(first, answered);
    return Object.assign(new RangedBlob({ ranges, first, open: async (range) => (await open(range)).blob }), answered);
  };

  /** The best of its endpoints: a mirror that is away matters to nobody while the registry answers. */
  status(): UpstreamStatus {
    const { host, endpoints } = this.#parts;
    const all = endpoints.map((endpoint) => endpoint.status());
    const worst = all.find(({ state }) => state === "throttled") ?? all.at(-1);
    const credential = endpoints.map((endpoint) => endpoint.credentialStatus()).find((status) => status !== undefined);
    const lastFailure = endpoints.flatMap((endpoint) => endpoint.lastFailure ?? []).toSorted((one, other) => other.atMs - one.atMs)[0];
    const quota = endpoints.map((endpoint) => endpoint.quota).find((told) => told !== undefined);
    const common = { host, ...(lastFailure ? { lastFailure } : {}), ...(credential ? { credential } : {}), ...(quota ? { quota } : {}) };
    if (!worst || worst.state === "ready" || all.some(({ state }) => state === "ready")) return { ...common, state: "ready" };
    return { ...common, ...worst };
  }

  /** Stops probing; calls that have begun have their time to end, and bodies all the time they need. */
  async leave(): Promise<void> {
    const { endpoints, clock, totalMs } = this.#parts;
    for (const endpoint of endpoints) endpoint.stopProbing();
    await delay(clock, totalMs, this.#closing.signal).catch(() => {});
    if (this.#closing.signal.aborted) return; // Which ends everything else too.
    await Promise.all(endpoints.map((endpoint) => endpoint.leave()));
  }

  /** Ends every connection and probe. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#parts.endpoints.map((endpoint) => endpoint.close()));
  }

  async #ask<T>(repository: Repository, call: Call, ask: (endpoint: Endpoint, signal: AbortSignal) => Promise<T>): Promise<T & Answered> {
    const { clock, totalMs, host, origin } = this.#parts;
    const endpoints = this.#parts.endpoints.filter(({ source }) => !call.avoid?.includes(source));
    if (endpoints.length === 0)
      throw new OciError("UPSTREAM_UNAVAILABLE", `no other endpoint of ${host} to ask for ${repositoryName(repository)}`, { source: "local" });
    const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `no answer from ${host} within ${totalMs} ms`, { source: "upstream" });
    using budget = startBudget({ clock, limitMs: totalMs, signal: call.signal, late });
    let failure: OciError | undefined;
    for (const [at, endpoint] of endpoints.entries()) {
      // A mirror that hangs leaves the others their share of the time.
      using share = startBudget({ clock, limitMs: budget.remainingMs() / (endpoints.length - at), signal: budget.signal, late });
      try {
        const answer = await ask(endpoint, share.signal);
        return { ...answer, outcome: "passed", warnings: [], source: endpoint.source };
      } catch (error) {
        if (!(error instanceof OciError) || call.signal.aborted || error.code === "UNSUPPORTED" || error.code === "RANGE_INVALID") throw error;
        failure = endpoint === origin || !failure ? error : weightier(failure, error);
      }
    }
    throw failure ?? late();
  }
}

/** Of the errors of two mirrors: one that is away may know what the other does not. */
function weightier(one: OciError, other: OciError): OciError {
  return isOutage(one) && !isOutage(other) ? one : other;
}
