/**
 * MetricPage: samples in Prometheus's text format. What is counted elsewhere is worked out on every scrape; label values that upstreams
 * could make up are bounded.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { RegistryHost } from "../oci/repository.ts";
import { BoundedLabels } from "./bounded-labels.ts";
import { TalliedHistogram, type TalliedHistogramOptions } from "./tallied-histogram.ts";

/** What `/metrics` answers. */
export interface MetricsPage {
  readonly contentType: string;
  readonly text: string;
}

export class MetricPage {
  readonly #registry = new Registry();
  readonly #hosts: BoundedLabels;

  /** `hostsMax` registries get a label of their own; all beyond share `other`. */
  constructor({ hostsMax }: { readonly hostsMax: number }) {
    this.#hosts = new BoundedLabels(hostsMax);
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The label of a registry. */
  labelOf(host: RegistryHost): string {
    return this.#hosts.of(host);
  }

  async text(): Promise<MetricsPage> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  counter<Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  /** A counter that is worked out on every scrape. */
  collected<Label extends string>(name: string, help: string, labelNames: readonly Label[], collect: (counter: Counter<Label>) => void): void {
    const counter: Counter<Label> = new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      collect() {
        counter.reset();
        collect(counter);
      },
    });
  }

  histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[], buckets: readonly number[]): Histogram<Label> {
    return new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [this.#registry] });
  }

  /** A histogram whose observations somebody else has counted. */
  tallied(options: TalliedHistogramOptions): void {
    this.#registry.registerMetric(new TalliedHistogram(options));
  }

  /** A gauge that is set on every scrape; what `collect` removes has no sample. */
  gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[], collect: (gauge: Gauge<Label>) => void): void {
    const gauge: Gauge<Label> = new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry], collect: () => collect(gauge) });
  }
}
