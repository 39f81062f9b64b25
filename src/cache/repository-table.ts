/**
 * RepositoryTable: the names of the repositories of which something is held, in memory, to be searched a page at a time. A search steps
 * aside every few milliseconds: other requests do not wait for it.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { RepositoriesQuery, RepositorySummary, Sees } from "../oci/browsing.ts";
import type { Clock } from "../oci/clock.ts";
import { repositoryName, type RegistryHost } from "../oci/repository.ts";
import type { SurveyedRepository } from "./repository-survey.ts";

/** Some hundred bytes each. */
export const repositoriesMax = 200_000;
/** After so long, other work has its turn. */
const sliceMs = 5;
/** Entries between two looks at the clock. */
const stepEntries = 128;
/** How long matches are counted beyond the page that is shown, and how long a page is looked for at all. */
const countMsMax = 200;
const lookMsMax = 2_000;
/** Of each registry so many are looked at to find one that may be seen. */
const looksPerRegistry = 200;
/** Positions fit below this beside a time in seconds, as one number. */
const positionsMax = 2 ** 18;

export interface TablePage {
  readonly repositories: readonly RepositorySummary[];
  readonly hasMore: boolean;
  readonly total: number | undefined;
}

export class RepositoryTable {
  readonly #entries: RepositorySummary[] = [];
  #byUse: readonly number[] | undefined;
  #isCut = false;

  get size(): number {
    return this.#entries.length;
  }

  /** True when there was no room for all. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** In the order of their names. */
  add(surveyed: readonly SurveyedRepository[]): void {
    for (const { repository, ...counts } of surveyed) {
      if (this.#entries.length >= repositoriesMax) {
        this.#isCut = true;
        return;
      }
      this.#entries.push({ repository, name: repositoryName(repository), ...counts });
    }
    this.#byUse = undefined;
  }

  /** Rejects with the signal's reason. */
  async find({ words, registry, sort, after, limit, sees, signal }: RepositoriesQuery, clock: Clock): Promise<TablePage> {
    const order = sort === "used" ? this.#orderByUse() : undefined;
    const startMs = clock.elapsed();
    const isAfter = (entry: RepositorySummary): boolean => after === undefined || (order ? comesLater(entry, after) : entry.name > after.name);
    const isCounting = !sees || after === undefined;
    const found: RepositorySummary[] = [];
    let total = 0;
    let sliceStartMs = startMs;
    for (let place = 0; place < this.#entries.length; place++) {
      if (place % stepEntries === 0) {
        const nowMs = clock.elapsed();
        if (nowMs - startMs > (found.length > limit ? countMsMax : lookMsMax)) return page(found, { limit, total: undefined, isOver: false });
        if (nowMs - sliceStartMs > sliceMs) {
          await turn();
          signal.throwIfAborted();
          sliceStartMs = clock.elapsed();
        }
      }
      if (!isCounting && found.length > limit) break;
      const entry = this.#entries[order?.[place] ?? place];
      if (!entry || !matches(entry, words, registry)) continue;
      const isOnPage = isAfter(entry) && found.length <= limit;
      // Beside a page in the middle nothing is counted that costs a decision.
      if (sees && ((!isCounting && !isOnPage) || !sees(entry.repository))) continue;
      total += 1;
      if (isOnPage) found.push(entry);
    }
    return page(found, { limit, total: isCounting ? total : undefined, isOver: true });
  }

  /** In the order of their names. Of a registry with very many repositories that may not be seen, those few that may be can be missed. */
  registries(sees: Sees | undefined): readonly RegistryHost[] {
    const looks = new Map<RegistryHost, number>();
    const seen = new Set<RegistryHost>();
    for (const { repository } of this.#entries) {
      const { host } = repository;
      if (seen.has(host)) continue;
      const looked = looks.get(host) ?? 0;
      if (looked >= looksPerRegistry) continue;
      looks.set(host, looked + 1);
      if (!sees || sees(repository)) seen.add(host);
    }
    return [...seen];
  }

  /** Positions, the latest use first. One number holds time and position: sorting numbers is ten times as fast as comparing entries. */
  #orderByUse(): readonly number[] {
    if (this.#byUse) return this.#byUse;
    const keys = Float64Array.from(this.#entries, ({ usedAtMs }, position) => Math.floor(usedAtMs / 1_000) * positionsMax + (positionsMax - 1 - position));
    const order = Array.from(keys.sort(), (key) => positionsMax - 1 - (key % positionsMax));
    this.#byUse = order.reverse();
    return this.#byUse;
  }
}

/** Whether an entry comes after another, by use: in whole seconds, as they are sorted. */
function comesLater(entry: RepositorySummary, after: NonNullable<RepositoriesQuery["after"]>): boolean {
  const [seconds, afterSeconds] = [Math.floor(entry.usedAtMs / 1_000), Math.floor(after.usedAtMs / 1_000)];
  return seconds < afterSeconds || (seconds === afterSeconds && entry.name > after.name);
}

function matches({ name, repository }: RepositorySummary, words: readonly string[], registry: RegistryHost | undefined): boolean {
  return (registry === undefined || repository.host === registry) && words.every((word) => name.includes(word));
}

function page(
  found: readonly RepositorySummary[],
  { limit, total, isOver }: { readonly limit: number; readonly total: number | undefined; readonly isOver: boolean },
): TablePage {
  return { repositories: found.slice(0, limit), hasMore: found.length > limit || (!isOver && found.length > 0), total };
}
