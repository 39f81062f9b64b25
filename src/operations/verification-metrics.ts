/** VerificationMetrics: what the runs of verifying the store came to. */
import type { Clock } from "../oci/clock.ts";
import type { MetricPage } from "./metric-page.ts";

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

export class VerificationMetrics {
  readonly #clock: Clock;
  readonly #bytes;
  readonly #findings;
  #last: { readonly atSeconds: number; readonly isGood: boolean } | undefined;

  /** No samples of the last run before the first. */
  constructor(page: MetricPage, clock: Clock) {
    this.#clock = clock;
    this.#bytes = page.counter("ociregistry_verified_bytes_total", "Bytes that were hashed to verify the store");
    this.#findings = page.counter("ociregistry_verify_findings_total", "What verifying the store has found, and mended", ["kind"]);
    page.gauge("ociregistry_verify_timestamp_seconds", "When the store was last verified to the end", [], (gauge) => {
      if (this.#last) gauge.set(this.#last.atSeconds);
      else gauge.remove();
    });
    page.gauge("ociregistry_verify_good", "1 when that run left nothing damaged", [], (gauge) => {
      if (this.#last) gauge.set(this.#last.isGood ? 1 : 0);
      else gauge.remove();
    });
  }

  /** Counts one run. */
  observe({ bytes, damaged, unreadable, incomplete, repaired, isGood }: VerificationFigures): void {
    this.#bytes.inc(bytes);
    for (const [kind, count] of Object.entries({ damaged, unreadable, incomplete, repaired })) this.#findings.inc({ kind }, count);
    this.#last = { atSeconds: this.#clock.now() / 1_000, isGood };
  }
}
