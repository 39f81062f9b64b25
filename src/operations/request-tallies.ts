/**
 * RequestTallies: requests counted by what they asked and how they ended. One look-up and a few additions a request, since
 * every request pays for them; the metrics page works out the rest when somebody looks.
 */
import type { RequestKind, RequestRecord } from "../oci/request-record.ts";

/** All requests of one kind that ended alike. */
export interface RequestTally {
  readonly kind: RequestKind;
  /** `GET`, `HEAD` or `other`. */
  readonly method: string;
  readonly status: number;
  /** As in the record; `none` for none. */
  readonly outcome: string;
  count: number;
  sentBytes: number;
  /** The sum of all durations. */
  durationMs: number;
  /** How many durations fell between one bound and the next; the last are those above all bounds. */
  readonly durations: number[];
}

export class RequestTallies {
  readonly #boundsMs: readonly number[];
  readonly #tallies = new Map<string, RequestTally>();

  /** `boundsMs`: upper bounds of the durations to tell apart, ascending. */
  constructor(boundsMs: readonly number[]) {
    this.#boundsMs = boundsMs;
  }

  /** Counts one answered request. */
  count(record: RequestRecord): void {
    const tally = this.#tallyOf(record);
    tally.count += 1;
    tally.sentBytes += record.sentBytes;
    tally.durationMs += record.durationMs;
    let slot = 0;
    while (slot < this.#boundsMs.length && record.durationMs > (this.#boundsMs[slot] ?? Infinity)) slot += 1;
    tally.durations[slot] = (tally.durations[slot] ?? 0) + 1;
  }

  /** Every tally there is, in the order of their first request. */
  all(): Iterable<RequestTally> {
    return this.#tallies.values();
  }

  #tallyOf({ kind, method, status, outcome: told }: RequestRecord): RequestTally {
    const known = method === "GET" || method === "HEAD" ? method : "other";
    const outcome = told ?? "none";
    const key = `${kind} ${known} ${status} ${outcome}`;
    const tally = this.#tallies.get(key);
    if (tally) return tally;
    const durations = Array.from({ length: this.#boundsMs.length + 1 }, () => 0);
    const first: RequestTally = { kind, method: known, status, outcome, count: 0, sentBytes: 0, durationMs: 0, durations };
    this.#tallies.set(key, first);
    return first;
  }
}
