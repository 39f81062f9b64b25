/**
 * Metrics: counted where requests and upstream calls pass, read from the parts on every scrape, shown in Prometheus's text
 * format. The first ten names are the Go ociregistry's, with what its dashboards expect of them.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry as Page } from "prom-client";
import type { ServedFigures } from "../oci/overview.ts";
import type { Answered } from "../oci/registry.ts";
import type { RegistryHost } from "../oci/repository.ts";
import type { RequestRecord } from "../oci/request-record.ts";
import type { Status } from "../oci/views.ts";
import { BoundedLabels } from "./bounded-labels.ts";
import { RequestTallies, type RequestTally } from "./request-tallies.ts";
import { TalliedHistogram, type TalliedDurations } from "./tallied-histogram.ts";

/** What is on disk, as last counted. */
export interface StoreTotals {
  readonly manifests: number;
  readonly manifestBytes: number;
  readonly blobs: number;
  readonly blobBytes: number;
}

/** What a store may take, and what went so that it does not take more. */
export interface EvictionFigures {
  /** `host` undefined: of everything. */
  readonly budgets: readonly { readonly host: RegistryHost | undefined; readonly takenBytes: number; readonly limitBytes: number }[];
  readonly evictions: readonly { readonly host: RegistryHost | undefined; readonly images: number; readonly bytes: number }[];
}

/** What a run of verifying came to. */
export interface VerificationFigures {
  readonly blobs: number;
  readonly bytes: number;
  readonly damaged: number;
  readonly unreadable: number;
  readonly incomplete: number;
  readonly repaired: number;
  readonly isGood: boolean;
}

export interface MetricsOptions {
  readonly version: string;
  /** Read on every scrape; undefined while the parts are being made. */
  readonly status?: () => Status | undefined;
  /** Read on every scrape; while it is not known there are no such samples, rather than zeros. */
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

export interface MetricsPage {
  readonly contentType: string;
  readonly text: string;
}

const requestSeconds = [0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60, 600];
const upstreamSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20];
const upstreamStates = ["ready", "failing", "throttled"] as const;

export class Metrics {
  readonly #page = new Page();
  readonly #hosts: BoundedLabels;
  readonly #options: MetricsOptions;
  readonly #requests = new RequestTallies(requestSeconds.map((seconds) => seconds * 1_000));
  readonly #pulls = new Map<string, { cached: number; fromUpstream: number }>();
  readonly #upstreamCalls = this.#counter("ociregistry_upstream_calls_total", "Calls to upstream registries by how they ended", ["upstream", "kind", "result"]);
  readonly #upstreamSeconds = this.#histogram(
    "ociregistry_upstream_call_duration_seconds",
    "Calls to upstream registries; a blob's until its headers",
    ["upstream", "kind"],
    upstreamSeconds,
  );

  readonly #verified = this.#counter("ociregistry_verified_bytes_total", "Bytes that were hashed to verify the store");
  readonly #verifyFindings = this.#counter("ociregistry_verify_findings_total", "What verifying the store has found, and mended", ["kind"]);
  readonly #startedAtMs = Date.now();
  #verifiedAtSeconds: number | undefined;
  #isVerifiedGood = true;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#hosts = new BoundedLabels(options.hostsMax ?? 100);
    collectDefaultMetrics({ register: this.#page });
    this.#gauge("ociregistry_build_info", "Always 1", ["version"], (gauge) => gauge.set({ version: options.version }, 1));
    this.#addPullCounters();
    this.#addRequestCounters();
    this.#addStoreGauges();
    this.#addStatusGauges();
    this.#addVerification();
    this.#addEviction();
  }

  /** Counts one answered request. */
  observeRequest(record: RequestRecord): void {
    this.#requests.count(record);
    if (!isPull("manifest", record) || !record.repository) return;
    const ns = this.#hosts.of(record.repository.host);
    const pulls = this.#pulls.get(ns) ?? { cached: 0, fromUpstream: 0 };
    if (record.outcome === "hit" || record.outcome === "stale") pulls.cached += 1;
    else pulls.fromUpstream += 1;
    this.#pulls.set(ns, pulls);
  }

  /** Counts one call to an upstream. */
  observeUpstream({ host, kind, result, durationMs }: UpstreamCallRecord): void {
    const upstream = this.#hosts.of(host);
    this.#upstreamCalls.inc({ upstream, kind, result });
    this.#upstreamSeconds.observe({ upstream, kind }, durationMs / 1_000);
  }

  /** Counts one run of verifying the store. */
  observeVerification({ bytes, damaged, unreadable, incomplete, repaired, isGood }: VerificationFigures): void {
    this.#verified.inc(bytes);
    for (const [kind, count] of Object.entries({ damaged, unreadable, incomplete, repaired })) this.#verifyFindings.inc({ kind }, count);
    this.#verifiedAtSeconds = Date.now() / 1_000;
    this.#isVerifiedGood = isGood;
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
    return { contentType: this.#page.contentType, text: await this.#page.metrics() };
  }

  #addPullCounters(): void {
    this.#collected("ociregistry_cached_pulls_by_ns_total", "Manifest pulls answered from what is held", ["ns"], (counter) => {
      for (const [ns, { cached }] of this.#pulls) if (cached > 0) counter.inc({ ns }, cached);
    });
    this.#collected("ociregistry_upstream_pulls_by_ns", "Manifest pulls for which an upstream was asked", ["ns"], (counter) => {
      for (const [ns, { fromUpstream }] of this.#pulls) if (fromUpstream > 0) counter.inc({ ns }, fromUpstream);
    });
    const sum = (name: string, help: string, matches: (tally: RequestTally) => boolean): void => {
      this.#collected(name, help, [], (counter) => {
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
    this.#collected("ociregistry_requests_total", "Requests by what was asked and how it ended", labels, (counter) => {
      for (const { kind, method, status, outcome, count } of this.#requests.all()) counter.inc({ kind, method, status, outcome }, count);
    });
    this.#collected("ociregistry_sent_bytes_total", "Bytes of bodies sent", ["kind", "outcome"], (counter) => {
      for (const { kind, outcome, sentBytes } of this.#requests.all()) if (sentBytes > 0) counter.inc({ kind, outcome }, sentBytes);
    });
    const histogram = new TalliedHistogram({
      name: "ociregistry_request_duration_seconds",
      help: "From a request's headers to the last byte of its answer",
      labelNames: ["kind"],
      buckets: requestSeconds,
      durations: () => durationsByKind(this.#requests.all()),
    });
    this.#page.registerMetric(histogram);
  }

  #addStoreGauges(): void {
    const { totals } = this.#options;
    const fromTotals = (name: string, help: string, pick: (totals: StoreTotals) => number): void => {
      this.#gauge(name, help, [], (gauge) => {
        const now = totals?.();
        if (now) gauge.set(pick(now));
        else gauge.remove();
      });
    };
    fromTotals("ociregistry_blob_bytes_on_disk_total", "Bytes of blobs held", ({ blobBytes }) => blobBytes);
    fromTotals("ociregistry_manifest_bytes_on_disk_total", "Bytes of manifests held", ({ manifestBytes }) => manifestBytes);
    fromTotals("ociregistry_cached_manifest_count", "Manifests held", ({ manifests }) => manifests);
    fromTotals("ociregistry_cached_blob_count", "Blobs held", ({ blobs }) => blobs);
  }

  #addStatusGauges(): void {
    const { status } = this.#options;
    this.#gauge("ociregistry_fills", "Blobs waiting to be fetched, being fetched, and being put in their place", ["state"], (gauge) => {
      const fills = status?.()?.fills();
      if (!fills) return;
      gauge.set({ state: "running" }, fills.running);
      gauge.set({ state: "waiting" }, fills.waiting);
      gauge.set({ state: "publishing" }, fills.publishing);
    });
    this.#gauge("ociregistry_fill_readers", "Clients that read blobs as they arrive", [], (gauge) => {
      gauge.set(status?.()?.fills().readers ?? 0);
    });
    this.#gauge("ociregistry_upstream_state", "1 for the state that an upstream is in: failing is an open breaker", ["upstream", "state"], (gauge) => {
      gauge.reset();
      for (const { host, state } of status?.()?.upstreams() ?? []) {
        for (const name of upstreamStates) gauge.set({ upstream: this.#hosts.of(host), state: name }, name === state ? 1 : 0);
      }
    });
    this.#gauge(
      "ociregistry_upstream_token_expiry_seconds",
      "Seconds until the credential for an upstream ends; below 0 when there is none",
      ["upstream"],
      (gauge) => {
        gauge.reset();
        for (const { host, credential } of status?.()?.upstreams() ?? []) {
          if (!credential) continue;
          const { state, expiresAtMs } = credential;
          if (expiresAtMs !== undefined) gauge.set({ upstream: this.#hosts.of(host) }, (expiresAtMs - Date.now()) / 1_000);
          else if (state === "none" || state === "fetching" || state === "failing") gauge.set({ upstream: this.#hosts.of(host) }, -1);
        }
      },
    );
    this.#gauge("ociregistry_store_writable", "1 while what is fetched can be kept", [], (gauge) => {
      gauge.set(status?.()?.store().writable === false ? 0 : 1);
    });
  }

  #addEviction(): void {
    const { eviction } = this.#options;
    const budgetOf = (host: RegistryHost | undefined): string => (host === undefined ? "total" : this.#hosts.of(host));
    this.#gauge("ociregistry_budget_bytes", "Bytes on disk that count for a maxSize: of the whole store (total), or of a registry", ["budget"], (gauge) => {
      gauge.reset();
      for (const { host, takenBytes } of eviction?.().budgets ?? []) gauge.set({ budget: budgetOf(host) }, takenBytes);
    });
    this.#gauge("ociregistry_budget_limit_bytes", "The maxSize", ["budget"], (gauge) => {
      gauge.reset();
      for (const { host, limitBytes } of eviction?.().budgets ?? []) gauge.set({ budget: budgetOf(host) }, limitBytes);
    });
    this.#collected("ociregistry_evicted_images_total", "Images evicted by the maxSize that they were over", ["budget"], (counter) => {
      for (const { host, images } of eviction?.().evictions ?? []) counter.inc({ budget: budgetOf(host) }, images);
    });
    this.#collected("ociregistry_evicted_bytes_total", "Bytes freed by evicting images", ["budget"], (counter) => {
      for (const { host, bytes } of eviction?.().evictions ?? []) counter.inc({ budget: budgetOf(host) }, bytes);
    });
  }

  /** No samples before the first run. */
  #addVerification(): void {
    const afterTheFirst = (name: string, help: string, value: (atSeconds: number) => number): void => {
      this.#gauge(name, help, [], (gauge) => {
        if (this.#verifiedAtSeconds === undefined) gauge.remove();
        else gauge.set(value(this.#verifiedAtSeconds));
      });
    };
    afterTheFirst("ociregistry_verify_timestamp_seconds", "When the store was last verified to the end", (atSeconds) => atSeconds);
    afterTheFirst("ociregistry_verify_good", "1 when that run left nothing damaged", () => (this.#isVerifiedGood ? 1 : 0));
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#page] });
  }

  /** A counter that is worked out on every scrape. */
  #collected<Label extends string>(name: string, help: string, labelNames: readonly Label[], collect: (counter: Counter<Label>) => void): void {
    const counter: Counter<Label> = new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#page],
      collect() {
        counter.reset();
        collect(counter);
      },
    });
  }

  #histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[], buckets: readonly number[]): Histogram<Label> {
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [this.#page] });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[], collect: (gauge: Gauge<Label>) => void): void {
    const gauge: Gauge<Label> = new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#page], collect: () => collect(gauge) });
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
