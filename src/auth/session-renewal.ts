/**
 * SessionRenewal: whether a session still holds: asks whoever vouched for its person: the file of passwords says so each time, and a provider
 * by the grant that is kept of him.
 */
import type { Log } from "../oci/log.ts";
import type { Htpasswd } from "./htpasswd.ts";
import type { ProviderGrants } from "./provider-grants.ts";
import type { LiveSession, Sessions } from "./sessions.ts";

export interface SessionRenewalOptions {
  readonly sessions: Pick<Sessions, "end" | "withGroups">;
  /** Undefined: there is no such file any more. */
  readonly htpasswd: Pick<Htpasswd, "stampOf"> | undefined;
  readonly hasDirectory: boolean;
  /** Names of those that there are. */
  readonly providers: readonly string[];
  readonly grants: Pick<ProviderGrants, "check">;
  readonly log: Log;
}

export class SessionRenewal {
  readonly #options: SessionRenewalOptions;

  constructor(options: SessionRenewalOptions) {
    this.#options = options;
  }

  /** The session as it holds now; undefined: it does not, and is over. Throws `RecordsUnavailable`. */
  async renew(session: LiveSession, value: string): Promise<LiveSession | undefined> {
    const { sessions, htpasswd, hasDirectory, providers, grants } = this.#options;
    const { user, by, subject, stamp } = session;
    if (by === "htpasswd") {
      const isSame = stamp !== undefined && htpasswd?.stampOf(user) === stamp;
      return isSame ? session : await this.#end(session, value, "the password is another, or there is no such user");
    }
    if (by === "ldap") return hasDirectory ? session : await this.#end(session, value, "there is no directory any more");
    if (!providers.includes(by)) return await this.#end(session, value, "there is no such provider any more");
    if (subject === undefined || stamp === undefined) return session;
    const verdict = await grants.check({ user, by, subject });
    if (verdict.kind === "over" || verdict.stamp !== stamp) return await this.#end(session, value, "the provider vouches for it no more");
    return sessions.withGroups(session, verdict.groups);
  }

  async #end(session: LiveSession, value: string, reason: string): Promise<undefined> {
    await this.#options.sessions.end(value);
    this.#options.log.info({ user: session.user, by: session.by, reason }, "a session is over");
    return undefined;
  }
}
