/** A registry whose calls are timed and counted: put it around upstreams, and metrics are woven into nobody's logic. */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Answered, Registry } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import type { UpstreamCallKind, UpstreamCallRecord } from "./metrics.ts";

export interface MeteredOptions {
  readonly observe: (record: UpstreamCallRecord) => void;
  readonly clock: Clock;
}

/** Answers exactly as `registry`, and tells `observe` of every call when it settled; of a blob, when its headers are there. */
export function meteredRegistry(registry: Registry, { observe, clock }: MeteredOptions): Registry {
  async function metered<T extends Answered>(kind: UpstreamCallKind, { host }: Repository, answering: Promise<T>): Promise<T> {
    const startedMs = clock.elapsed();
    try {
      const answer = await answering;
      observe({ host, kind, result: "ok", durationMs: clock.elapsed() - startedMs, outcome: answer.outcome });
      return answer;
    } catch (error) {
      observe({ host, kind, result: resultOf(error), durationMs: clock.elapsed() - startedMs, outcome: undefined });
      throw error;
    }
  }
  return {
    getManifest: (repository, reference, call) => metered("getManifest", repository, registry.getManifest(repository, reference, call)),
    headManifest: (repository, reference, call) => metered("headManifest", repository, registry.headManifest(repository, reference, call)),
    getBlob: (repository, digest, call) => metered("getBlob", repository, registry.getBlob(repository, digest, call)),
    headBlob: (repository, digest, call) => metered("headBlob", repository, registry.headBlob(repository, digest, call)),
    listTags: (repository, call) => metered("listTags", repository, registry.listTags(repository, call)),
    listReferrers: (repository, digest, call) => metered("listReferrers", repository, registry.listReferrers(repository, digest, call)),
  };
}

function resultOf(error: unknown): string {
  if (error instanceof OciError) return error.code;
  return error instanceof Error && error.name === "AbortError" ? "ABORTED" : "UNKNOWN";
}
