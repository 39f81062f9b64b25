/**
 * RepositoryIndex: the names of what is held, ready to be searched. It is made when somebody looks, renewed in the background while somebody
 * does, and forgotten when nobody has for a while.
 */
import type { RepositoriesFound, RepositoriesQuery } from "../oci/browsing.ts";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { atMost } from "../oci/waiting.ts";
import type { SurveyedRepository } from "./repository-survey.ts";
import { RepositoryTable } from "./repository-table.ts";

export interface RepositoryIndexOptions {
  /** Looks through the store anew. */
  readonly survey: (signal: AbortSignal) => AsyncGenerator<readonly SurveyedRepository[]>;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** What is known is renewed after a second, and after so many times what looking took: a large store is not looked through all the time. */
const trustMsMin = 1_000;
const trustFactor = 20;
/** A survey that takes longer is not waited for where something is known already; where nothing is, a little longer. */
const renewalWaitMs = 50;
const firstWaitMs = 1_000;
const forgetAfterMs = 10 * 60_000;

export class RepositoryIndex {
  readonly #options: RepositoryIndexOptions;
  readonly #closed = new AbortController();
  #known: { readonly table: RepositoryTable; readonly atMs: number; readonly tookMs: number } | undefined;
  #running: { readonly table: RepositoryTable; readonly done: Promise<void> } | undefined;
  #cancelForgetting: (() => void) | undefined;

  constructor(options: RepositoryIndexOptions) {
    this.#options = options;
  }

  /** A page of what is known. Rejects with the signal's reason. */
  async find(query: RepositoriesQuery): Promise<RepositoriesFound> {
    const { clock } = this.#options;
    this.#cancelForgetting?.();
    this.#cancelForgetting = clock.after(forgetAfterMs, () => (this.#known = undefined));
    await this.#renew(query.signal);
    const table = this.#known?.table ?? this.#running?.table ?? new RepositoryTable();
    const page = await table.find(query, clock);
    return {
      ...page,
      registries: table.registries(query.sees),
      foundSoFar: this.#known ? undefined : query.sees ? page.repositories.length : table.size,
      isCut: table.isCut,
    };
  }

  /** Ends a survey that runs. */
  close(): void {
    this.#closed.abort(new Error("the server is shutting down"));
    this.#cancelForgetting?.();
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { clock, background } = this.#options;
    const known = this.#known;
    if (known && clock.elapsed() - known.atMs < Math.max(trustMsMin, known.tookMs * trustFactor)) return;
    if (!this.#running && !this.#closed.signal.aborted) {
      const table = new RepositoryTable();
      const done = this.#survey(table);
      this.#running = { table, done };
      background.run("looking through the repositories", done);
    }
    if (known && known.tookMs > renewalWaitMs) return;
    if (this.#running) await atMost(clock, known ? renewalWaitMs : firstWaitMs, this.#running.done);
    signal.throwIfAborted();
  }

  async #survey(table: RepositoryTable): Promise<void> {
    const { survey, clock, log } = this.#options;
    const startMs = clock.elapsed();
    try {
      for await (const repositories of survey(this.#closed.signal)) table.add(repositories);
      this.#known = { table, atMs: clock.elapsed(), tookMs: clock.elapsed() - startMs };
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      log.warn({ error }, "the repositories cannot be looked through");
    } finally {
      this.#running = undefined;
    }
  }
}
