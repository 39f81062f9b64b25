/**
 * ProviderGrants: what a provider says of somebody who signed in by it, for as long as he is known here: one word for all of his sessions and
 * logins. It is asked again once its word is as old as it may be, by what it gave at the last login with a browser, by one process at a time,
 * since that may be good for one use. A provider that is away takes nothing back.
 */
import { hash, randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { Secret } from "../oci/secret.ts";
import { LoginRefused, ProviderUnavailable, type IdentityProvider, type ProviderIdentity } from "./openid/provider.ts";
import { readWord, writeWord, type ProviderWord } from "./provider-words.ts";
import { ProviderLogins } from "./provider-logins.ts";
import { RecordsUnavailable, type RecordPath, type Records } from "./records.ts";
import type { SealingKeys } from "./sealing-keys.ts";

export interface ProviderGrantsOptions {
  readonly providers: readonly Pick<IdentityProvider, "name" | "issuer" | "refresh">[];
  readonly records: Records;
  readonly keys: Pick<SealingKeys, "read">;
  /** How old a provider's word on somebody may be; Infinity: as old as it gets. */
  readonly groupsTtlMs: number;
  /** Told what a provider says of somebody by now. Must not throw. */
  readonly onWord: (identity: ProviderIdentity) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Somebody of ours, as the provider knows him. */
export interface GrantHolder {
  readonly user: string;
  /** The provider's name. */
  readonly by: string;
  readonly subject: string;
}

export type GrantVerdict =
  /** `stamp`: another one once it was over in between. `unheardMs`: how old the word is where it is older than it may be: its provider is away. */
  | { readonly kind: "holds"; readonly groups: readonly string[]; readonly stamp: string; readonly unheardMs: number }
  /** The provider vouches for him no more, or nobody can ask it any more: he signs in again. */
  | { readonly kind: "over" };

/** Longer than anything here goes on without being used. */
const keptMs = 31 * 86_400_000;
/** A provider that did not answer is asked again after so long. */
const retryMs = 30_000;
/** How long another process may take to ask. */
const awaitedMs = 30_000;
/** How long what was read is believed: what another process learns is known here that soon. */
const trustMs = 1_000;
/** How far the clocks of two processes may be apart. */
const clocksApartMs = 60_000;
const notedMax = 10_000;

type Answer =
  | { readonly kind: "identity"; readonly identity: ProviderIdentity; readonly refreshToken: string }
  | { readonly kind: "over" }
  /** `refreshToken`: what is to be asked by the next time. */
  | { readonly kind: "away"; readonly refreshToken: string }
  /** Nobody was asked: another process has. */
  | { readonly kind: "fresh"; readonly word: ProviderWord; readonly refreshToken: string };

const over = { kind: "over" } as const;

export class ProviderGrants {
  readonly #options: ProviderGrantsOptions;
  readonly #words = new LRUCache<string, { readonly word: ProviderWord; readonly atElapsedMs: number }>({ max: notedMax });
  /** By person: who asks now shares the answer. */
  readonly #asking = new Map<string, Promise<GrantVerdict>>();
  /** Until when a person's provider is not asked, and since when nothing is there to ask it by. */
  readonly #retryAtMs = new LRUCache<string, number>({ max: notedMax });
  readonly #missing = new LRUCache<string, { readonly atMs: number; readonly sinceMs: number }>({ max: notedMax });
  readonly #logins: ProviderLogins;

  constructor(options: ProviderGrantsOptions) {
    this.#options = options;
    this.#logins = new ProviderLogins({ ...options, lifeMs: keptMs });
  }

  /** Somebody has signed in just now: the stamp of it; undefined where the provider gave nothing to ask by later. Throws `RecordsUnavailable`. */
  async keep({ provider: by, subject, name: user, groups, refreshToken }: ProviderIdentity): Promise<string | undefined> {
    if (!refreshToken) return undefined;
    const { clock, providers } = this.#options;
    const provider = providers.find(({ name }) => name === by);
    if (!provider) return undefined;
    const person = personKeyOf(provider, subject);
    const known = readWord(await this.#options.records.read(wordPath(person)));
    const stamp = known?.user === user ? known.stamp : randomBytes(16).toString("hex");
    await this.#logins.add(person, refreshToken.reveal());
    await this.#keepWord(person, { by, subject, user, groups, atMs: clock.now(), stamp });
    return stamp;
  }

  /** What the provider says of somebody, asked anew when that is too old. Throws `RecordsUnavailable`. */
  async check(holder: GrantHolder): Promise<GrantVerdict> {
    const { clock, providers } = this.#options;
    const provider = providers.find(({ name }) => name === holder.by);
    if (!provider) return over;
    const person = personKeyOf(provider, holder.subject);
    const word = await this.#wordOf(person);
    if (word?.user !== holder.user) return over;
    if (this.#isFresh(word) || clock.elapsed() < (this.#retryAtMs.get(person) ?? 0)) return this.#holds(word);
    const asking = this.#asking.get(person) ?? this.#ask(provider, person).finally(() => this.#asking.delete(person));
    this.#asking.set(person, asking);
    return await asking;
  }

  #isFresh({ atMs }: ProviderWord): boolean {
    const { groupsTtlMs } = this.#options;
    return groupsTtlMs === Infinity || this.#isYounger(atMs, groupsTtlMs);
  }

  /** What lies in the future was noted before the clock was set back: nobody knows how old it is. */
  #isYounger(atMs: number, thanMs: number): boolean {
    const ageMs = this.#options.clock.now() - atMs;
    return ageMs > -clocksApartMs && ageMs < thanMs;
  }

  async #ask(provider: Pick<IdentityProvider, "refresh">, person: string): Promise<GrantVerdict> {
    const { records } = this.#options;
    // Another process may have learnt it a moment ago, or be about to.
    const word = await this.#read(person);
    if (!word) return { kind: "over" };
    if (this.#isFresh(word) || (await this.#isBeingAsked(person))) return this.#holds(word);
    const logins = await this.#tryToBegin(person);
    // Where nothing can be kept any more, nothing is used up either.
    if (!logins) return this.#later(person, word);
    if (logins.length === 0) return await this.#findMissing(person, word);
    this.#missing.delete(person);
    for (const login of logins) {
      const taken = await this.#logins.take(person, login);
      if (!taken) return this.#holds(word);
      const { refreshToken } = taken;
      // What nobody can read any more is as good as refused.
      const answer = refreshToken === undefined ? over : await this.#answerOf(provider, person, refreshToken, word);
      if (answer.kind === "over") continue;
      this.#logins.hold(person, login, answer.refreshToken);
      // Whoever finds what to ask by finds what came of it, too.
      const verdict = await this.#learn(answer, person, word);
      if (verdict.kind === "holds") await this.#logins.putBack(person);
      else this.#logins.drop(person);
      if (answer.kind !== "away") await records.remove(askPath(person));
      return verdict;
    }
    return await this.#end(person, word, "the provider says so");
  }

  /** Whoever has what is to be asked by is the only one who asks: what another has learnt before that is known by now. */
  async #answerOf(provider: Pick<IdentityProvider, "refresh">, person: string, refreshToken: string, word: ProviderWord): Promise<Answer> {
    const { by, subject, user } = word;
    try {
      const newest = await this.#read(person);
      if (newest && this.#isFresh(newest)) return { kind: "fresh", word: newest, refreshToken };
      const identity = await provider.refresh({ refreshToken: new Secret(refreshToken) });
      // A name that is another now is another person to every policy.
      if (identity === "ended" || identity.subject !== subject || identity.name !== user) return over;
      return { kind: "identity", identity, refreshToken: identity.refreshToken?.reveal() ?? refreshToken };
    } catch (error) {
      if (error instanceof LoginRefused) return over;
      const problem = error instanceof Error ? error.message : String(error);
      this.#options.log.warn({ provider: by, user, problem }, "openid: somebody's groups could not be asked for: they stay as they were");
      return { kind: "away", refreshToken: (error instanceof ProviderUnavailable ? error.refreshToken?.reveal() : undefined) ?? refreshToken };
    }
  }

  async #learn(answer: Exclude<Answer, { kind: "over" }>, person: string, before: ProviderWord): Promise<GrantVerdict> {
    if (answer.kind === "fresh") return this.#holds(answer.word);
    if (answer.kind === "away") return this.#later(person, before);
    const { clock, onWord } = this.#options;
    const { identity } = answer;
    this.#retryAtMs.delete(person);
    // It may have ended meanwhile, and have begun anew: what is over stays so.
    const newest = await this.#read(person);
    if (newest?.user !== before.user) return over;
    const word: ProviderWord = { ...newest, groups: identity.groups, atMs: clock.now() };
    await this.#keepWord(person, word);
    onWord(identity);
    return this.#holds(word);
  }

  #holds(word: ProviderWord): GrantVerdict {
    const { groups, stamp, atMs } = word;
    return { kind: "holds", groups, stamp, unheardMs: this.#isFresh(word) ? 0 : this.#options.clock.now() - atMs };
  }

  #later(person: string, word: ProviderWord): GrantVerdict {
    this.#retryAtMs.set(person, this.#options.clock.elapsed() + retryMs);
    return this.#holds(word);
  }

  /** Another process has taken what the provider gave, and asks; or had, and has died of it. */
  async #findMissing(person: string, word: ProviderWord): Promise<GrantVerdict> {
    const nowMs = this.#options.clock.elapsed();
    const known = this.#missing.get(person);
    // What was missing before the provider's last word has been found since; and who asks now has it.
    const isNew = known?.atMs !== word.atMs || (await this.#isBeingAsked(person));
    const sinceMs = isNew ? nowMs : known.sinceMs;
    this.#missing.set(person, { atMs: word.atMs, sinceMs });
    return nowMs - sinceMs < awaitedMs ? this.#holds(word) : await this.#end(person, word, "what the provider gave is lost");
  }

  /** Ends what `ended` says. Somebody may have signed in since: that holds. */
  async #end(person: string, ended: ProviderWord, reason: string): Promise<GrantVerdict> {
    const { records, log } = this.#options;
    this.#words.delete(person);
    this.#retryAtMs.delete(person);
    this.#missing.delete(person);
    const newest = await this.#takeOut(person, ended);
    await records.remove(askPath(person));
    if (newest) return this.#holds(newest);
    const { user, by } = ended;
    log.info({ user, by, reason }, "openid: somebody is to sign in again");
    return over;
  }

  /** Removes `ended`; what has come in its place is put back. */
  async #takeOut(person: string, ended: ProviderWord): Promise<ProviderWord | undefined> {
    const before = await this.#read(person);
    if (before && before.atMs !== ended.atMs) return before;
    const taken = readWord(await this.#options.records.take(wordPath(person)));
    if (!taken || taken.atMs === ended.atMs) return undefined;
    await this.#keepWord(person, taken);
    return taken;
  }

  async #wordOf(person: string): Promise<ProviderWord | undefined> {
    const known = this.#words.get(person);
    return known && this.#options.clock.elapsed() - known.atElapsedMs < trustMs ? known.word : await this.#read(person);
  }

  async #read(person: string): Promise<ProviderWord | undefined> {
    const { records, clock } = this.#options;
    const word = readWord(await records.read(wordPath(person)));
    if (word) this.#words.set(person, { word, atElapsedMs: clock.elapsed() });
    else this.#words.delete(person);
    return word;
  }

  async #keepWord(person: string, word: ProviderWord): Promise<void> {
    const { records, clock } = this.#options;
    await records.write(wordPath(person), writeWord(word), { lifeMs: keptMs });
    this.#words.set(person, { word, atElapsedMs: clock.elapsed() });
  }

  async #isBeingAsked(person: string): Promise<boolean> {
    const sinceMs = await this.#options.records.read(askPath(person));
    return sinceMs !== undefined && this.#isYounger(Number(sinceMs), awaitedMs);
  }

  /**
   * What there is to ask by, newest first: once it is put down that somebody asks, before anything is used up. Who has nothing to ask by stands in nobody's
   * way. Undefined: nothing can be kept just now.
   */
  async #tryToBegin(person: string): Promise<readonly string[] | undefined> {
    const { records, clock } = this.#options;
    try {
      await this.#logins.putBack(person);
      const logins = await this.#logins.list(person);
      if (logins.length > 0) await records.write(askPath(person), String(clock.now()), { lifeMs: 2 * awaitedMs });
      return logins;
    } catch (error) {
      if (error instanceof RecordsUnavailable) return undefined;
      throw error;
    }
  }
}

function wordPath(person: string): RecordPath {
  return ["provider-words", person];
}

function askPath(person: string): RecordPath {
  return ["provider-questions", person];
}

/** Subjects hold anything; records do not. Under one name there may come to be another provider, whose subjects are others. */
function personKeyOf({ name, issuer }: Pick<IdentityProvider, "name" | "issuer">, subject: string): string {
  return hash("sha256", JSON.stringify([name, issuer, subject]), "hex").slice(0, 32);
}
