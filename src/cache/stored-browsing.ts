/** StoredBrowsing: the store as people look through it. The disk is read by a thread of its own; names are searched in memory. */
import type { Browsing, ImageView, ListFound, ListQuery, ManifestView, RepositoriesFound, RepositoriesQuery, TagView } from "../oci/browsing.ts";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { OciError } from "../oci/errors.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { atMost } from "../oci/waiting.ts";
import type { BrowsingOrder, BrowsingReport } from "./browsing-thread.ts";
import { RepositoryIndex } from "./repository-index.ts";
import type { SurveyedRepository } from "./repository-survey.ts";
import type { Store } from "./store.ts";
import { DiskSilent, StoreThread } from "./store-thread.ts";

export interface StoredBrowsingOptions {
  readonly store: Pick<Store, "layout" | "uses">;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

const usesMsMax = 50;
/** People look at pages, and do not wait longer. */
const reportMsMax = 10_000;
const retryMs = 10_000;

export class StoredBrowsing implements Browsing {
  readonly #options: StoredBrowsingOptions;
  readonly #thread: StoreThread<BrowsingOrder, BrowsingReport>;
  readonly #index: RepositoryIndex;
  #surveys = 0;

  constructor(options: StoredBrowsingOptions) {
    this.#options = options;
    this.#thread = new StoreThread({ script: new URL("./browsing-thread.ts", import.meta.url), name: "browsing", clock: options.clock, reportMsMax });
    this.#index = new RepositoryIndex({ ...options, survey: (signal) => this.#survey(signal) });
  }

  async findRepositories(query: RepositoriesQuery): Promise<RepositoriesFound> {
    return await this.#index.find(query);
  }

  async findTags(repository: Repository, { signal, ...query }: ListQuery): Promise<ListFound<TagView> | undefined> {
    await this.#writeUses();
    const report = await this.#ask({ kind: "tags", ...this.#about(repository), query }, signal);
    return report.kind === "tags" ? report.found : strange(report);
  }

  async findManifests(repository: Repository, { signal, ...query }: ListQuery): Promise<ListFound<ManifestView> | undefined> {
    await this.#writeUses();
    const report = await this.#ask({ kind: "manifests", ...this.#about(repository), query }, signal);
    return report.kind === "manifests" ? report.found : strange(report);
  }

  async findImage(repository: Repository, reference: Reference, signal: AbortSignal): Promise<ImageView | undefined> {
    await this.#writeUses();
    const report = await this.#ask({ kind: "image", ...this.#about(repository), reference }, signal);
    return report.kind === "image" ? report.image : strange(report);
  }

  /** Ends what runs in the background. */
  close(): void {
    this.#index.close();
  }

  /** Uses are noted in memory before they are written: what was pulled a moment ago shows, where that takes no long while. */
  async #writeUses(): Promise<void> {
    const { store, clock, background } = this.#options;
    const writing = store.uses.write();
    background.run("note uses", writing);
    await atMost(clock, usesMsMax, writing);
  }

  async *#survey(signal: AbortSignal): AsyncGenerator<readonly SurveyedRepository[]> {
    const survey = ++this.#surveys;
    const letGo = this.#thread.hold();
    try {
      for (let isEnd = false; !isEnd;) {
        const report = await this.#ask({ kind: "survey", root: this.#options.store.layout.root, survey }, signal);
        if (report.kind !== "survey") strange(report);
        isEnd = report.isEnd;
        yield report.repositories;
      }
    } finally {
      letGo();
    }
  }

  /** Rejects with `OVERLOADED` when the disk gives nothing, else as the thread does. */
  async #ask(order: BrowsingOrder, signal: AbortSignal): Promise<BrowsingReport> {
    try {
      return await this.#thread.ask(order, signal);
    } catch (error) {
      if (error instanceof DiskSilent) throw new OciError("OVERLOADED", "the disk does not answer just now", { cause: error, retryAfterMs: retryMs });
      throw error;
    }
  }

  #about(repository: Repository): { readonly root: string; readonly repository: Repository; readonly nowMs: number } {
    return { root: this.#options.store.layout.root, repository, nowMs: this.#options.clock.now() };
  }
}

function strange({ kind }: BrowsingReport): never {
  throw new Error(`the thread that browses the store answers "${kind}"`);
}
