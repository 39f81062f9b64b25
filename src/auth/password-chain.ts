/**
 * PasswordChain: a directory and a password file side by side. Either admits. A directory that is slow or away keeps nobody of the file
 * waiting for longer than a moment; the groups that it last gave stand in for those it does not give now.
 */
import { LRUCache } from "lru-cache";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { delay } from "../oci/clock.ts";
import type { Login, PasswordBackend, PasswordVerdict } from "./authenticator.ts";
import type { Htpasswd } from "./htpasswd.ts";
import type { Principal } from "./principal.ts";

/** How long the verdict of the file waits for the groups of the directory: a tenth of a second for who logs in, with what a timer is late by. */
const groupsWaitMs = 90;
const groupsLifeMs = 15 * 60_000;
const groupsNamesMax = 10_000;

export interface PasswordChainOptions {
  readonly htpasswd: Htpasswd | undefined;
  readonly directory: PasswordBackend | undefined;
  readonly clock: Clock;
  /** Owns what a directory answers too late. */
  readonly background: Background;
}

export interface ChainQuestion {
  readonly login: Login;
  readonly signal: AbortSignal;
  /** Of the password in the queue of those to be hashed: the lower, the sooner. */
  readonly rank: number;
  /** Too much was guessed at it: the file is left out. */
  readonly skipsFile: boolean;
  /** Told when the directory gives its groups after all. */
  readonly onLate: (principal: Principal) => void;
}

export type ChainVerdict =
  | Exclude<PasswordVerdict, { readonly kind: "unavailable" }>
  /** `isGuess`: one of them did answer, and said that it is wrong. */
  | { readonly kind: "unavailable"; readonly reason: string; readonly isGuess: boolean };

export class PasswordChain {
  readonly #options: PasswordChainOptions;
  readonly #groups = new LRUCache<string, { readonly groups: readonly string[]; readonly untilMs: number }>({ max: groupsNamesMax });

  constructor(options: PasswordChainOptions) {
    this.#options = options;
  }

  /** Rejects with the signal's reason. */
  async verify(question: ChainQuestion): Promise<ChainVerdict> {
    const { htpasswd, directory } = this.#options;
    const { login, signal, rank, skipsFile } = question;
    const isFileAsked = htpasswd !== undefined && !skipsFile;
    if (!directory) return isFileAsked ? answered(await htpasswd.verify(login, signal, { rank })) : { kind: "wrong" };
    const ofDirectory = directory.verify(login, signal).then((verdict) => this.#noteGroups(login.user, verdict));
    if (!isFileAsked) return answered(await ofDirectory);
    // The directory may have decided first: then nobody waits for the hash.
    const hashing = new AbortController();
    const ofFile = htpasswd.verify(login, AbortSignal.any([signal, hashing.signal]), { rank });
    try {
      const isFirst = await Promise.race([ofFile.then(() => "file" as const), ofDirectory.then(() => "directory" as const)]);
      return isFirst === "file" ? await this.#afterFile(await ofFile, ofDirectory, question) : await this.#afterDirectory(await ofDirectory, ofFile, login);
    } finally {
      ofFile.catch(() => {}); // Aborted here, or by the caller, who hears of it from the directory's.
      ofDirectory.catch(() => {}); // As above.
      hashing.abort();
    }
  }

  async #afterDirectory(verdict: PasswordVerdict, ofFile: Promise<PasswordVerdict>, login: Login): Promise<ChainVerdict> {
    // Whose name is spelled as the directory does is the same person to both.
    if (verdict.kind === "right" && verdict.principal.name === login.user) return verdict;
    return this.#together(await ofFile, verdict, login);
  }

  async #afterFile(verdict: PasswordVerdict, ofDirectory: Promise<PasswordVerdict>, { login, signal, onLate }: ChainQuestion): Promise<ChainVerdict> {
    if (verdict.kind !== "right") return this.#together(verdict, await ofDirectory, login);
    const over = new AbortController();
    const late = delay(this.#options.clock, groupsWaitMs, AbortSignal.any([signal, over.signal])).then(() => undefined);
    late.catch(() => {}); // The directory was in time.
    const inTime = await Promise.race([ofDirectory, late]).finally(() => over.abort());
    if (inTime) return this.#together(verdict, inTime, login);
    const { principal } = verdict;
    this.#options.background.run(
      "a directory's late answer",
      ofDirectory.then((answer) => {
        if (answer.kind !== "unavailable") onLate({ ...principal, groups: answer.kind === "right" ? answer.principal.groups : [] });
      }),
    );
    return { kind: "right", principal: { ...principal, groups: this.#lastGroups(login.user) } };
  }

  /** Both have answered. */
  #together(ofFile: PasswordVerdict, ofDirectory: PasswordVerdict, { user }: Login): ChainVerdict {
    if (ofFile.kind === "right") {
      const groups = ofDirectory.kind === "unavailable" ? this.#lastGroups(user) : ofDirectory.kind === "right" ? ofDirectory.principal.groups : [];
      return { kind: "right", principal: { ...ofFile.principal, groups } };
    }
    if (ofDirectory.kind === "right") return ofDirectory;
    if (ofDirectory.kind === "unavailable") return { ...ofDirectory, isGuess: ofFile.kind === "wrong" };
    return ofFile.kind === "wrong" ? { kind: "wrong" } : { ...ofFile, isGuess: true };
  }

  #noteGroups(user: string, verdict: PasswordVerdict): PasswordVerdict {
    if (verdict.kind === "right") this.#groups.set(user, { groups: verdict.principal.groups, untilMs: this.#options.clock.elapsed() + groupsLifeMs });
    return verdict;
  }

  #lastGroups(user: string): readonly string[] {
    const last = this.#groups.get(user);
    return last && this.#options.clock.elapsed() < last.untilMs ? last.groups : [];
  }
}

/** The verdict of one who was asked alone. */
export function answered(verdict: PasswordVerdict): ChainVerdict {
  return verdict.kind === "unavailable" ? { ...verdict, isGuess: false } : verdict;
}
