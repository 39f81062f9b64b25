/**
 * SessionRenewal: whether a session still holds: asks whoever vouched for its person. The file of passwords says so each time; a provider is
 * asked once its word is as old as it may be, by one asker alone, since its refresh tokens may be good for one use. A provider that is away
 * ends nobody's session.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { Secret } from "../oci/secret.ts";
import type { Htpasswd } from "./htpasswd.ts";
import { LoginRefused, ProviderUnavailable, type IdentityProvider } from "./openid/provider.ts";
import type { SessionTokens } from "./session-records.ts";
import type { LiveSession, Sessions } from "./sessions.ts";

export interface SessionRenewalOptions {
  readonly sessions: Sessions;
  /** Undefined: there is no such file any more. */
  readonly htpasswd: Pick<Htpasswd, "stampOf"> | undefined;
  readonly hasDirectory: boolean;
  readonly providers: readonly Pick<IdentityProvider, "name" | "refresh">[];
  /** How old a provider's word on somebody's groups may be. */
  readonly groupsTtlMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** A provider that did not answer is asked again after so long. */
const retryMs = 30_000;
/** How long another process may take to ask. After that what the provider gave is lost, and the session with it. */
const awaitedMs = 30_000;
/** How far the clocks of two processes may be apart. */
const clocksApartMs = 60_000;
const notedMax = 10_000;

interface Refreshed extends Pick<SessionTokens, "refreshToken"> {
  readonly groups: readonly string[];
}

/** The provider could not be asked; or it could, and failed after it had given another refresh token. */
interface Away {
  readonly groups: undefined;
  readonly refreshToken: string | undefined;
}

export class SessionRenewal {
  readonly #options: SessionRenewalOptions;
  /** By session: who asks now shares the answer. */
  readonly #asking = new Map<string, Promise<LiveSession | undefined>>();
  /** Until when a session's provider is not asked, and since when another process is being waited for. */
  readonly #retryAtMs = new LRUCache<string, number>({ max: notedMax });
  readonly #awaitedSinceMs = new LRUCache<string, number>({ max: notedMax });

  constructor(options: SessionRenewalOptions) {
    this.#options = options;
  }

  /** The session as it holds now; undefined: it does not, and is over. Throws `RecordsUnavailable`. */
  async renew(session: LiveSession, value: string): Promise<LiveSession | undefined> {
    const { htpasswd, hasDirectory, providers, clock } = this.#options;
    const { by, id } = session;
    if (by === "htpasswd") {
      const stamp = htpasswd?.stampOf(session.user);
      return stamp !== undefined && stamp === session.stamp ? session : await this.#end(session, value, "the password is another, or there is no such user");
    }
    if (by === "ldap") return hasDirectory ? session : await this.#end(session, value, "there is no directory any more");
    const provider = providers.find(({ name }) => name === by);
    if (!provider) return await this.#end(session, value, "there is no such provider any more");
    if (!session.isRenewable || this.#isFresh(session)) return session;
    if (clock.elapsed() < (this.#retryAtMs.get(id) ?? 0)) return session;
    const asking = this.#asking.get(id) ?? this.#ask(provider, session, value).finally(() => this.#asking.delete(id));
    this.#asking.set(id, asking);
    return await asking;
  }

  /** What lies in the future was noted before the clock was set back: nobody knows how old it is. */
  #isFresh({ groupsAtMs }: LiveSession): boolean {
    const ageMs = this.#options.clock.now() - groupsAtMs;
    return ageMs > -clocksApartMs && ageMs < this.#options.groupsTtlMs;
  }

  async #ask(provider: Pick<IdentityProvider, "refresh">, session: LiveSession, value: string): Promise<LiveSession | undefined> {
    const { sessions } = this.#options;
    const tokens = await sessions.takeTokens(value);
    if (tokens?.refreshToken === undefined) return await this.#await(session, value);
    this.#awaitedSinceMs.delete(session.id);
    // Until it is put back somewhere, what was taken is here alone.
    const answer = await this.#refresh(provider, session, tokens.refreshToken);
    if (answer !== "ended" && answer.groups === undefined) {
      await sessions.putTokens(session, value, { ...tokens, refreshToken: answer.refreshToken ?? tokens.refreshToken });
      return session;
    }
    if (answer === "ended") return await this.#end(session, value, "the provider says so");
    // The ID token stays that of the login: by its nonce it is known to be no password of anybody.
    await sessions.putTokens(session, value, { ...tokens, refreshToken: answer.refreshToken ?? tokens.refreshToken });
    return await sessions.noteGroups(session, answer.groups);
  }

  async #refresh(provider: Pick<IdentityProvider, "refresh">, session: LiveSession, refreshToken: string): Promise<"ended" | Refreshed | Away> {
    const { clock, log } = this.#options;
    try {
      const identity = await provider.refresh({ refreshToken: new Secret(refreshToken) });
      this.#retryAtMs.delete(session.id);
      // A name that is another now is another person to every policy.
      if (identity === "ended" || identity.name !== session.user) return "ended";
      return { groups: identity.groups, refreshToken: identity.refreshToken?.reveal() };
    } catch (error) {
      if (error instanceof LoginRefused) return "ended";
      this.#retryAtMs.set(session.id, clock.elapsed() + retryMs);
      log.warn(
        { provider: session.by, user: session.user, problem: error instanceof Error ? error.message : String(error) },
        "openid: a session's groups could not be asked for: it goes on with those it had",
      );
      return { groups: undefined, refreshToken: error instanceof ProviderUnavailable ? error.refreshToken?.reveal() : undefined };
    }
  }

  /** Another process has taken what the provider gave, and asks; or had, and has died of it. */
  async #await(session: LiveSession, value: string): Promise<LiveSession | undefined> {
    const { sessions, clock } = this.#options;
    sessions.forget(session);
    const fresh = await sessions.find(value);
    const isRenewed = !fresh || this.#isFresh(fresh);
    if (isRenewed) {
      this.#awaitedSinceMs.delete(session.id);
      return fresh;
    }
    const sinceMs = this.#awaitedSinceMs.get(session.id) ?? clock.elapsed();
    this.#awaitedSinceMs.set(session.id, sinceMs);
    return clock.elapsed() - sinceMs < awaitedMs ? fresh : await this.#end(session, value, "what the provider gave for it is lost");
  }

  async #end(session: LiveSession, value: string, reason: string): Promise<undefined> {
    this.#retryAtMs.delete(session.id);
    this.#awaitedSinceMs.delete(session.id);
    await this.#options.sessions.end(value);
    this.#options.log.info({ user: session.user, by: session.by, reason }, "a session is over");
    return undefined;
  }
}
