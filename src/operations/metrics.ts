/**
 * Metrics: counted where requests and upstream calls pass, read from the parts on every scrape, shown in Prometheus's text
 * format. The first ten names are the Go ociregistry's, with what its dashboards expect of them.
 */
import type { Clock } from "../oci/clock.ts";
import type { ServedFigures } from "../oci/overview.ts";
import type { Answered } from "../oci/registry.ts";
import type { RegistryHost } from "../oci/repository.ts";
import type { RequestRecord } from "../oci/request-record.ts";
import type { Status } from "../oci/views.ts";
import { MetricPage, type MetricsPage } from "./metric-page.ts";
import { RequestTallies, type RequestTally } from "./request-tallies.ts";
import { addStatusMetrics } from "./status-metrics.ts";
import { addEvictionMetrics, addStoreMetrics, type EvictionFigures, type StoreTotals } from "./store-metrics.ts";
import type { TalliedDurations } from "./tallied-histogram.ts";
import { VerificationMetrics, type VerificationFigures } from "./verification-metrics.ts";

export interface MetricsOptions {
  readonly version: string;
  readonly clock: Clock;
  /** Read on every scrape; undefined while the parts are being made. */
  readonly status?: () => Status | undefined;
  /** Read on every scrape. */
  readonly totals?: () => StoreTotals | undefined;
  /** Read on every scrape: how much of each limit is taken, and what was evicted for its sake. */
  readonly eviction?: () => EvictionFigures;
  /** Registries that get a label of their own; all beyond share `other`. */
  readonly hostsMax?: number;
}

export type UpstreamCallKind = "getManifest" | "headManifest" | "getBlob" | "headBlob" | "listTags" | "listReferrers";

export interface UpstreamCallRecord {
  readonly host: RegistryHost;
  readonly kind: UpstreamCallKind;
  /** "ok", or the code of the `OciError`. */
  readonly result: string;
  readonly durationMs: number;
  readonly outcome: Answered["outcome"] | undefined;
}

const requestSeconds = [0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60, 600];
const upstreamSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20];

export class Metrics {
  readonly #page: MetricPage;
  readonly #requests = new RequestTallies(requestSeconds.map((seconds) => seconds * 1_000));
  readonly #pulls = new Map<string, { cached: number; fromUpstream: number }>();
  readonly #upstreamCalls;
  readonly #upstreamSeconds;
  readonly #verification: VerificationMetrics;
  readonly #startedAtMs: number;

  constructor({ version, clock, status, totals, eviction, hostsMax = 100 }: MetricsOptions) {
    const page = new MetricPage({ hostsMax });
    this.#page = page;
    this.#startedAtMs = clock.now();
    page.gauge("ociregistry_build_info", "Always 1", ["version"], (gauge) => gauge.set({ version }, 1));
    this.#addPullCounters();
    this.#addRequestCounters();
    const labels = ["upstream", "kind"] as const;
    this.#upstreamCalls = page.counter("ociregistry_upstream_calls_total", "Calls to upstream registries by how they ended", [...labels, "result"]);
    const spent = "Calls to upstream registries; a blob's until its headers";
    this.#upstreamSeconds = page.histogram("ociregistry_upstream_call_duration_seconds", spent, labels, upstreamSeconds);
    addStoreMetrics(page, () => totals?.());
    addStatusMetrics(page, () => status?.(), clock);
    this.#verification = new VerificationMetrics(page, clock);
    addEvictionMetrics(page, () => eviction?.() ?? { budgets: [], evictions: [] });
  }

  /** Counts one answered request. */
  observeRequest(record: RequestRecord): void {
    this.#requests.count(record);
    if (!isPull("manifest", record) || !record.repository) return;
    const ns = this.#page.labelOf(record.repository.host);
    const pulls = this.#pulls.get(ns) ?? { cached: 0, fromUpstream: 0 };
    if (record.outcome === "hit" || record.outcome === "stale") pulls.cached += 1;
    else pulls.fromUpstream += 1;
    this.#pulls.set(ns, pulls);
  }

  /** Counts one call to an upstream. */
  observeUpstream({ host, kind, result, durationMs }: UpstreamCallRecord): void {
    const upstream = this.#page.labelOf(host);
    this.#upstreamCalls.inc({ upstream, kind, result });
    this.#upstreamSeconds.observe({ upstream, kind }, durationMs / 1_000);
  }

  /** Counts one run of verifying the store. */
  observeVerification(figures: VerificationFigures): void {
    this.#verification.observe(figures);
  }

  /** What was served since the start, and how much of it out of what is held. */
  served(): ServedFigures {
    const figures = { sinceMs: this.#startedAtMs, heldPulls: 0, upstreamPulls: 0, heldBytes: 0, upstreamBytes: 0 };
    for (const { cached, fromUpstream } of this.#pulls.values()) {
      figures.heldPulls += cached;
      figures.upstreamPulls += fromUpstream;
    }
    for (const { kind, outcome, sentBytes } of this.#requests.all()) {
      if (kind !== "manifest" && kind !== "blob") continue;
      figures[outcome === "hit" || outcome === "stale" ? "heldBytes" : "upstreamBytes"] += sentBytes;
    }
    return figures;
  }

  async page(): Promise<MetricsPage> {
    return await this.#page.text();
  }

  #addPullCounters(): void {
    this.#page.collected("ociregistry_cached_pulls_by_ns_total", "Manifest pulls answered from what is held", ["ns"], (counter) => {
      for (const [ns, { cached }] of this.#pulls) if (cached > 0) counter.inc({ ns }, cached);
    });
    this.#page.collected("ociregistry_upstream_pulls_by_ns", "Manifest pulls for which an upstream was asked", ["ns"], (counter) => {
      for (const [ns, { fromUpstream }] of this.#pulls) if (fromUpstream > 0) counter.inc({ ns }, fromUpstream);
    });
    const sum = (name: string, help: string, matches: (tally: RequestTally) => boolean): void => {
      this.#page.collected(name, help, [], (counter) => {
        for (const tally of this.#requests.all()) if (matches(tally)) counter.inc(tally.count);
      });
    };
    sum("ociregistry_manifest_pulls_total", "Manifests answered to GET", (tally) => isPull("manifest", tally));
    sum("ociregistry_blob_pulls_total", "Blobs answered to GET", (tally) => isPull("blob", tally));
    sum("ociregistry_v2_api_endpoint_hits_total", "Requests of the registry API", isOfApi);
    sum("ociregistry_api_errors_total", "Requests of the registry API answered with a status of 400 or more", (tally) => isOfApi(tally) && tally.status >= 400);
  }

  #addRequestCounters(): void {
    const labels = ["kind", "method", "status", "outcome"] as const;
    this.#page.collected("ociregistry_requests_total", "Requests by what was asked and how it ended", labels, (counter) => {
      for (const { kind, method, status, outcome, count } of this.#requests.all()) counter.inc({ kind, method, status, outcome }, count);
    });
    this.#page.collected("ociregistry_sent_bytes_total", "Bytes of bodies sent", ["kind", "outcome"], (counter) => {
      for (const { kind, outcome, sentBytes } of this.#requests.all()) if (sentBytes > 0) counter.inc({ kind, outcome }, sentBytes);
    });
    this.#page.tallied({
      name: "ociregistry_request_duration_seconds",
      help: "From a request's headers to the last byte of its answer",
      labelNames: ["kind"],
      buckets: requestSeconds,
      durations: () => durationsByKind(this.#requests.all()),
    });
  }
}

type Ending = Pick<RequestTally, "kind" | "method" | "status">;

function isOfApi({ kind }: Ending): boolean {
  return kind !== "probe" && kind !== "page" && kind !== "other";
}

/** Whether content of this kind was asked for, and sent. */
function isPull(wanted: "manifest" | "blob", { kind, method, status }: Ending): boolean {
  return kind === wanted && method === "GET" && status < 300;
}

function durationsByKind(tallies: Iterable<RequestTally>): Iterable<TalliedDurations> {
  const kinds = new Map<string, { labels: { kind: string }; count: number; sum: number; slots: number[] }>();
  for (const { kind, count, durationMs, durations } of tallies) {
    const all = kinds.get(kind) ?? { labels: { kind }, count: 0, sum: 0, slots: durations.map(() => 0) };
    all.count += count;
    all.sum += durationMs / 1_000;
    for (const [slot, observed] of durations.entries()) all.slots[slot] = (all.slots[slot] ?? 0) + observed;
    kinds.set(kind, all);
  }
  return kinds.values();
}
