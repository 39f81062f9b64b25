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
  readonly entriesMax?: number;
  readonly pullersMax?: number;
}

/** An entry takes in what is like it for so long. */
const takesInMs = 600_000;
const tagsMax = 4;
/** Texts that others have made up: longer ones are cut. */
const textLengthMax = 256;

interface Noted extends ActivityEntry {
  readonly key: string;
  lastAtMs: number;
  count: number;
  readonly tags: Tag[];
}

export class RecentActivity implements Activity {
  readonly #clock: Clock;
  readonly #entriesMax: number;
  readonly #pullersMax: number;
  /** A ring, once it is full. */
  readonly #entries: Noted[] = [];
  #nextAt = 0;
  /** The newest entry of each kind. */
  readonly #open = new Map<string, Noted>();
  /** By `host/path:tag`; the first is the one whose first pull is the longest ago. */
  readonly #pullers = new Map<string, string>();

  constructor({ clock, entriesMax = 3_000, pullersMax = 20_000 }: RecentActivityOptions) {
    this.#clock = clock;
    this.#entriesMax = entriesMax;
    this.#pullersMax = pullersMax;
  }

  /** What nobody would look for is passed over: people who look at pages, and clients that ask how one logs in. */
  note(record: AccessRecord): void {
    const { action, repository, reference, client, isAllowed } = record;
    const [user, rule] = [cut(record.user), cut(record.rule)];
    if (isAllowed ? action === "page" || (action === "ping" && user === undefined) : isQuestion(record)) return;
    const name = repository && repositoryName(repository);
    const tag = reference?.kind === "tag" ? reference.tag : undefined;
    if (isAllowed && action === "read" && name !== undefined && tag !== undefined && user !== undefined) this.#notePuller(`${name}:${tag}`, user);
    const key = `${String(isAllowed)} ${action} ${name} ${client} ${rule} ${user}`;
    const nowMs = this.#clock.now();
    const known = this.#open.get(key);
    if (!known || nowMs - known.firstAtMs >= takesInMs) return this.#add(key, record, tag, nowMs);
    known.count += 1;
    known.lastAtMs = nowMs;
    if (tag !== undefined && known.tags.length < tagsMax && !known.tags.includes(tag)) known.tags.push(tag);
  }

  latest({ words, sees, limit }: ActivityQuery): ActivityFound {
    const matching = this.#entries.filter(({ repository }) => !repository || !sees || sees(repository)).filter((entry) => holds(entry, words));
    matching.sort((one, other) => other.lastAtMs - one.lastAtMs);
    return { entries: matching.slice(0, limit), total: matching.length };
  }

  lastPuller(repository: Repository, tag: Tag): string | undefined {
    return this.#pullers.get(`${repositoryName(repository)}:${tag}`);
  }

  #notePuller(name: string, user: string): void {
    if (this.#pullers.size >= this.#pullersMax && !this.#pullers.has(name)) {
      const [oldest] = this.#pullers.keys();
      if (oldest !== undefined) this.#pullers.delete(oldest);
    }
    this.#pullers.set(name, user);
  }

  #add(key: string, record: AccessRecord, tag: Tag | undefined, nowMs: number): void {
    const { user, by, client, action, repository, isAllowed, rule, reason } = record;
    const entry: Noted = {
      key,
      firstAtMs: nowMs,
      lastAtMs: nowMs,
      count: 1,
      user: cut(user),
      by,
      client,
      action,
      repository,
      tags: tag === undefined ? [] : [tag],
      isAllowed,
      rule: cut(rule),
      reason: cut(reason),
    };
    const oldest = this.#entries[this.#nextAt];
    if (oldest && this.#open.get(oldest.key) === oldest) this.#open.delete(oldest.key);
    this.#entries[this.#nextAt] = entry;
    this.#nextAt = (this.#nextAt + 1) % this.#entriesMax;
    this.#open.set(key, entry);
  }
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
