/** What is on disk, how much of each limit it takes, and what went so that it takes no more. */
import type { RegistryHost } from "../oci/repository.ts";
import type { MetricPage } from "./metric-page.ts";

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

/** `totals` undefined: while it is not known there are no such samples, rather than zeros. */
export function addStoreMetrics(page: MetricPage, totals: () => StoreTotals | undefined): void {
  const fromTotals = (name: string, help: string, pick: (totals: StoreTotals) => number): void => {
    page.gauge(name, help, [], (gauge) => {
      const now = totals();
      if (now) gauge.set(pick(now));
      else gauge.remove();
    });
  };
  fromTotals("ociregistry_blob_bytes_on_disk_total", "Bytes of blobs held", ({ blobBytes }) => blobBytes);
  fromTotals("ociregistry_manifest_bytes_on_disk_total", "Bytes of manifests held", ({ manifestBytes }) => manifestBytes);
  fromTotals("ociregistry_cached_manifest_count", "Manifests held", ({ manifests }) => manifests);
  fromTotals("ociregistry_cached_blob_count", "Blobs held", ({ blobs }) => blobs);
}

/** One sample for each limit, by the registry that it is of; the whole store's is called `total`. */
export function addEvictionMetrics(page: MetricPage, eviction: () => EvictionFigures): void {
  const budgetOf = (host: RegistryHost | undefined): string => (host === undefined ? "total" : page.labelOf(host));
  page.gauge("ociregistry_budget_bytes", "Bytes on disk that count for a maxSize: of the whole store (total), or of a registry", ["budget"], (gauge) => {
    gauge.reset();
    for (const { host, takenBytes } of eviction().budgets) gauge.set({ budget: budgetOf(host) }, takenBytes);
  });
  page.gauge("ociregistry_budget_limit_bytes", "The maxSize", ["budget"], (gauge) => {
    gauge.reset();
    for (const { host, limitBytes } of eviction().budgets) gauge.set({ budget: budgetOf(host) }, limitBytes);
  });
  page.collected("ociregistry_evicted_images_total", "Images evicted by the maxSize that they were over", ["budget"], (counter) => {
    for (const { host, images } of eviction().evictions) counter.inc({ budget: budgetOf(host) }, images);
  });
  page.collected("ociregistry_evicted_bytes_total", "Bytes freed by evicting images", ["budget"], (counter) => {
    for (const { host, bytes } of eviction().evictions) counter.inc({ budget: budgetOf(host) }, bytes);
  });
}
