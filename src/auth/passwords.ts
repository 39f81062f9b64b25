/**
 * Passwords: Basic authentication against a password file and a directory, with a memory in front, so that a request costs no hash, and
 * budgets, so that guessing ends. What is written as an API key is a question for those alone.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Authenticator, Evidence, Login, PasswordBackend, TellingPasswords, Verdict } from "./authenticator.ts";
import { basicHeader, readBasic } from "./basic.ts";
import type { Htpasswd } from "./htpasswd.ts";
import { KeyedDigest } from "./keyed-digest.ts";
import { budgetAddress, LoginBudgets, type Attempt } from "./login-budgets.ts";
import { answered, PasswordChain, type ChainQuestion, type ChainVerdict } from "./password-chain.ts";
import type { Principal } from "./principal.ts";
import { RememberedLogins, rememberedMs } from "./remembered-logins.ts";
import { untilAborted } from "../oci/waiting.ts";

const flightsMax = 4_096;

export interface PasswordsOptions {
  readonly htpasswd: Htpasswd | undefined;
  readonly directory: PasswordBackend | undefined;
  /** Those that know their own passwords: of them the first that does is asked, and nobody else. */
  readonly telling?: readonly TellingPasswords[];
  /** Told of whoever was right by the file or the directory, when somebody looked. Must not throw. */
  readonly onLogin?: (principal: Principal) => void;
  /** `auth.failBudget`. */
  readonly budget: { readonly perUser: number; readonly perAddress: number };
  readonly clock: Clock;
  readonly background: Background;
}

export type LoginVerdict =
  | { readonly kind: "admitted"; readonly principal: Principal }
  | { readonly kind: "refused"; readonly reason: string }
  /** The password was not looked at. */
  | { readonly kind: "throttled"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: "unavailable"; readonly reason: string };

export class Passwords implements Authenticator {
  readonly method: Principal["method"];
  readonly #options: PasswordsOptions;
  readonly #budgets: LoginBudgets;
  /** What the file said is wrong while the directory was away: that counts nobody out, but it must end too. */
  readonly #guesses: LoginBudgets;
  readonly #chain: PasswordChain;
  readonly #remembered: RememberedLogins;
  readonly #digests = new KeyedDigest();
  /** Logins under way, by address and digest, and what of them is verified, by digest: however many show the same, it is asked once. */
  readonly #flights = new Map<string, Promise<LoginVerdict>>();
  readonly #verifications = new Map<string, Promise<ChainVerdict>>();
  readonly #closing = new AbortController();

  constructor(options: PasswordsOptions) {
    const { htpasswd, directory, budget, clock, background } = options;
    this.#options = options;
    this.method = htpasswd ? "htpasswd" : directory ? "ldap" : "apikey";
    this.#budgets = new LoginBudgets({ ...budget, clock });
    this.#guesses = new LoginBudgets({ ...budget, clock });
    this.#chain = new PasswordChain({ htpasswd, directory, clock, background });
    this.#remembered = new RememberedLogins({ clock });
    htpasswd?.onChange((isAffected) => this.#remembered.forget(isAffected));
  }

  recall({ authorization: [header, ...more] }: Evidence): Principal | undefined {
    return header === undefined || more.length > 0 ? undefined : this.#remembered.find(this.#digests.of(header));
  }

  async authenticate(evidence: Evidence, signal: AbortSignal): Promise<Verdict> {
    const shown = readBasic(evidence.authorization);
    switch (shown.kind) {
      case "none":
        return { kind: "none" };
      case "unreadable":
        return { kind: "refused", reason: shown.reason };
      case "login": {
        const verdict = await this.check(shown.login, evidence.client, signal);
        return verdict.kind === "throttled" ? { kind: "refused", reason: verdict.reason } : verdict;
      }
      default:
        return shown satisfies never;
    }
  }

  /** The same for a login that came otherwise. `client` is an address. Rejects only with the signal's reason. */
  async check(login: Login, client: string, signal: AbortSignal): Promise<LoginVerdict> {
    const digest = this.#digests.of(basicHeader(login));
    const principal = this.#remembered.find(digest);
    if (principal) return { kind: "admitted", principal };
    const key = `${budgetAddress(client)} ${digest}`;
    if (!this.#flights.has(key) && this.#flights.size >= flightsMax) return { kind: "unavailable", reason: "too many logins at once" };
    return await untilAborted(
      shared(this.#flights, key, () => this.#login(login, client, digest)),
      signal,
    );
  }

  /** Ends what is under way: it is "unavailable". */
  close(): void {
    this.#closing.abort(new Error("the server stops"));
  }

  async #login(login: Login, client: string, digest: string): Promise<LoginVerdict> {
    const { user } = login;
    const attempt = this.#budgets.enter({ client, user, digest });
    if ("retryAfterMs" in attempt) return { kind: "throttled", reason: `too many wrong passwords for ${JSON.stringify(user)} from ${client}`, ...attempt };
    const guess = this.#guesses.enter({ client, user, digest });
    const slot = this.#remembered.begin();
    const telling = this.#options.telling?.find((backend) => backend.isOwn(login.password));
    const verdict = await this.#verify(login, digest, {
      telling,
      rank: attempt.rank,
      skipsFile: !isAttempt(guess),
      onLate: (principal) => {
        slot.renew(digest, principal);
        this.#options.onLogin?.(principal);
      },
    });
    if (isAttempt(guess)) settleGuess(guess, verdict);
    switch (verdict.kind) {
      case "right":
        attempt.right();
        slot.remember(digest, user, verdict.principal, telling?.rememberedMs ?? rememberedMs);
        if (!telling) this.#options.onLogin?.(verdict.principal);
        return { kind: "admitted", principal: verdict.principal };
      case "wrong":
        attempt.wrong();
        return { kind: "refused", reason: "wrong password, or no such user" };
      case "unavailable":
        attempt.abstained();
        return { kind: "unavailable", reason: verdict.reason };
      default:
        return verdict satisfies never;
    }
  }

  /** Never rejects. */
  async #verify(login: Login, digest: string, { telling, ...how }: VerifyOptions): Promise<ChainVerdict> {
    const { signal } = this.#closing;
    try {
      return await shared(this.#verifications, `${digest} ${how.skipsFile}`, async () =>
        telling ? answered(await telling.verify(login, signal)) : await this.#chain.verify({ login, signal, ...how }),
      );
    } catch (error) {
      return { kind: "unavailable", reason: error instanceof Error ? error.message : String(error), isGuess: false };
    }
  }
}

interface VerifyOptions extends Pick<ChainQuestion, "rank" | "skipsFile" | "onLate"> {
  readonly telling: TellingPasswords | undefined;
}

function isAttempt(entered: Attempt | { readonly retryAfterMs: number }): entered is Attempt {
  return "right" in entered;
}

function settleGuess(guess: Attempt, verdict: ChainVerdict): void {
  if (verdict.kind === "right") guess.right();
  else if (verdict.kind === "unavailable" && verdict.isGuess) guess.wrong();
  else guess.abstained();
}

/** The running work for `key`, or a new one. */
function shared<T>(running: Map<string, Promise<T>>, key: string, begin: () => Promise<T>): Promise<T> {
  const known = running.get(key);
  if (known) return known;
  const work = begin().finally(() => running.delete(key));
  running.set(key, work);
  work.catch(() => {}); // Everybody may have left by then; who is still there hears of it.
  return work;
}
