/** OutageNotice: tells the log once that something is away, and once that it is back, however many ask for it meanwhile. */
import type { Log, LogFields } from "../oci/log.ts";

export interface OutageNoticeOptions {
  readonly log: Log;
  /** What is away. */
  readonly fields: LogFields;
  readonly away: string;
  readonly back: string;
}

export class OutageNotice {
  readonly #options: OutageNoticeOptions;
  #problem: string | undefined;

  constructor(options: OutageNoticeOptions) {
    this.#options = options;
  }

  /** It is away, for this reason. Another reason is told too. */
  begin(problem: string): void {
    if (problem === this.#problem) return;
    const { log, fields, away } = this.#options;
    log.warn({ ...fields, problem }, away);
    this.#problem = problem;
  }

  /** It is there. */
  end(): void {
    if (this.#problem === undefined) return;
    const { log, fields, back } = this.#options;
    log.info(fields, back);
    this.#problem = undefined;
  }
}
