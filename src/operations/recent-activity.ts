/**
 * RecentActivity: what gates have decided lately, kept for administrators to look at. A pull is dozens of requests: those that are alike are one
 * entry. Noting one more of them is a look-up in memory; the oldest entries make room.
 */
import type { AccessRecord } from "../oci/access-record.ts";
import type { Activity, ActivityEntry, ActivityFound, ActivityQuery } from "../oci/activity.ts";
import type { Clock } from "../oci/clock.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";

export interface RecentActivityOptions {
  readonly clock: Clock;
  /** Entries of people with a name, and those of nobody known: strangers rub out what they did themselves, and not what others did. */
  readonly namedMax?: number;
  readonly namelessMax?: number;
  readonly pullersMax?: number;
}

/** An entry takes in what is like it for so long. */
const takesInMs = 600_000;
const tagsMax = 4;
/** Texts that others have made up: longer ones are cut. */
const textLengthMax = 256;

/** Who pulled a tag last. */
interface Puller {
  user: string;
}

interface Noted extends ActivityEntry {
  readonly key: string;
  lastAtMs: number;
  count: number;
  readonly tags: Tag[];
  /** Of the tag that was asked for last: whoever asks for it again need not be looked up. */
  pulled: { readonly tag: Tag; readonly puller: Puller } | undefined;
}

/** As many as it has room for; then the oldest makes room. */
class Ring {
  readonly entries: Noted[] = [];
  readonly #max: number;
  #nextAt = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** What made room, if anything had to. */
  push(entry: Noted): Noted | undefined {
    const oldest = this.entries[this.#nextAt];
    this.entries[this.#nextAt] = entry;
    this.#nextAt = (this.#nextAt + 1) % this.#max;
    return oldest;
  }
}

export class RecentActivity implements Activity {
  readonly #clock: Clock;
  readonly #pullersMax: number;
  readonly #named: Ring;
  readonly #nameless: Ring;
  /** The newest entry of each kind. */
  readonly #open = new Map<string, Noted>();
  // Servers ask with the same objects again and again, and one client for one repository many times in a row: its key need not be made anew.
  readonly #lastOf = new WeakMap<Repository, Noted>();
  /** By `host/path:tag`; the first is the one whose first pull is the longest ago. */
  readonly #pullers = new Map<string, Puller>();

  constructor({ clock, namedMax = 3_000, namelessMax = 1_000, pullersMax = 20_000 }: RecentActivityOptions) {
    this.#clock = clock;
    this.#pullersMax = pullersMax;
    this.#named = new Ring(namedMax);
    this.#nameless = new Ring(namelessMax);
  }

  /** What nobody would look for is passed over: people who look at pages, and clients that ask how one logs in. */
  note(record: AccessRecord): void {
    const { action, repository, reference, user, isAllowed } = record;
    if (isAllowed ? action === "page" || (action === "ping" && user === undefined) : isQuestion(record)) return;
    const nowMs = this.#clock.now();
    const entry = this.#entryFor(record, nowMs);
    entry.count += 1;
    entry.lastAtMs = nowMs;
    if (!repository || reference?.kind !== "tag") return;
    const { tag } = reference;
    if (isAllowed && action === "read" && user !== undefined) this.#notePuller(entry, repository, tag, user);
    if (entry.tags.length < tagsMax && !entry.tags.includes(tag)) entry.tags.push(tag);
  }

  latest({ words, sees, limit }: ActivityQuery): ActivityFound {
    const matching = [...this.#named.entries, ...this.#nameless.entries]
      .filter(({ repository }) => !repository || !sees || sees(repository))
      .filter((entry) => holds(entry, words));
    matching.sort((one, other) => other.lastAtMs - one.lastAtMs);
    return { entries: matching.slice(0, limit), total: matching.length };
  }

  lastPuller(repository: Repository, tag: Tag): string | undefined {
    return this.#pullers.get(`${repositoryName(repository)}:${tag}`)?.user;
  }

  #notePuller(entry: Noted, repository: Repository, tag: Tag, written: string): void {
    const user = cut(written);
    if (entry.pulled?.tag === tag) {
      entry.pulled.puller.user = user;
      return;
    }
    const name = `${repositoryName(repository)}:${tag}`;
    const puller = this.#pullers.get(name) ?? this.#newPuller(name, user);
    puller.user = user;
    entry.pulled = { tag, puller };
  }

  #newPuller(name: string, user: string): Puller {
    const [oldest] = this.#pullers.keys();
    if (this.#pullers.size >= this.#pullersMax && oldest !== undefined) this.#pullers.delete(oldest);
    const puller = { user };
    this.#pullers.set(name, puller);
    return puller;
  }

  #entryFor(record: AccessRecord, nowMs: number): Noted {
    const { repository } = record;
    const last = repository && this.#lastOf.get(repository);
    if (last && isLike(last, record) && nowMs - last.firstAtMs < takesInMs && this.#open.get(last.key) === last) return last;
    const key = keyOf(record);
    const known = this.#open.get(key);
    const entry = known && nowMs - known.firstAtMs < takesInMs ? known : this.#add(key, record, nowMs);
    if (repository) this.#lastOf.set(repository, entry);
    return entry;
  }

  #add(key: string, record: AccessRecord, nowMs: number): Noted {
    const { user, by, client, action, repository, isAllowed, rule, reason } = record;
    const entry: Noted = {
      key,
      firstAtMs: nowMs,
      lastAtMs: nowMs,
      count: 0,
      user: cut(user),
      by,
      client,
      action,
      repository,
      tags: [],
      pulled: undefined,
      isAllowed,
      rule: cut(rule),
      reason: cut(reason),
    };
    const oldest = (user === undefined ? this.#nameless : this.#named).push(entry);
    if (oldest && this.#open.get(oldest.key) === oldest) this.#open.delete(oldest.key);
    this.#open.set(key, entry);
    return entry;
  }
}

/** What is alike has the same. */
function keyOf({ user, client, action, repository, isAllowed, rule }: AccessRecord): string {
  const name = repository ? repositoryName(repository) : "";
  return `${String(isAllowed)} ${action} ${client} ${name}\n${cut(rule)}\n${user === undefined ? "" : `=${cut(user)}`}`;
}

/** Of the same repository. */
function isLike(entry: ActivityEntry, { user, client, action, isAllowed, rule }: AccessRecord): boolean {
  return entry.isAllowed === isAllowed && entry.user === user && entry.client === client && entry.action === action && entry.rule === rule;
}

function cut(text: string): string;
function cut(text: string | undefined): string | undefined;
function cut(text: string | undefined): string | undefined {
  return text?.slice(0, textLengthMax);
}

/** The first request of every client is one, and so is a visit to a page by somebody who is not signed in. */
function isQuestion({ action, user, showedCredential }: AccessRecord): boolean {
  return user === undefined && !showedCredential && (action === "ping" || action === "page");
}

function holds({ user = "", client, action, repository, tags }: ActivityEntry, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = [user, client, action, repository ? repositoryName(repository) : "", ...tags].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}
