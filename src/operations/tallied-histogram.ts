/** TalliedHistogram: a histogram that prom-client shows and somebody else counts. */
import { Histogram } from "prom-client";

/** What is known of one set of labels. */
export interface TalliedDurations {
  readonly labels: Readonly<Record<string, string>>;
  readonly count: number;
  /** The sum of what was observed. */
  readonly sum: number;
  /** How many fell between one bound and the next; the last are those above all bounds. */
  readonly slots: readonly number[];
}

type Page = Awaited<ReturnType<Histogram["get"]>>;

export interface TalliedHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
  /** Read on every scrape. */
  readonly durations: () => Iterable<TalliedDurations>;
}

export class TalliedHistogram extends Histogram {
  readonly #options: TalliedHistogramOptions;
  /** What prom-client says of a histogram like this that observed nothing. */
  readonly #empty: Histogram;

  constructor(options: TalliedHistogramOptions) {
    const shape = { name: options.name, help: options.help, labelNames: [...options.labelNames], buckets: [...options.buckets], registers: [] };
    super(shape);
    this.#options = options;
    this.#empty = new Histogram(shape);
  }

  override async get(): Promise<Page> {
    return { ...(await this.#empty.get()), values: [...this.#options.durations()].flatMap((tallied) => this.#samplesOf(tallied)) };
  }

  /** What prom-client asks for when it writes text. */
  async getForPromString(): Promise<Page> {
    return await this.get();
  }

  #samplesOf({ labels, count, sum, slots }: TalliedDurations): Page["values"] {
    const { name, buckets } = this.#options;
    let below = 0;
    const bounded = buckets.map((bound, slot) => {
      below += slots[slot] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: below };
    });
    return [
      ...bounded,
      { metricName: `${name}_bucket`, labels: { le: "+Inf", ...labels }, value: count },
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}
