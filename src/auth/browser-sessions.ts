/** BrowserSessions: a browser's session from its beginning to its end: the cookie that it gets, and the one that it loses. */
import type { Log } from "../oci/log.ts";
import { endCookie, findCookie, writeCookie } from "./cookies.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { Voucher } from "./principal.ts";
import type { SessionPerson, SessionTokens } from "./session-records.ts";
import { sessionCookie, sessionLifeMs, unrenewedLifeMs, type Sessions } from "./sessions.ts";
import type { Visit } from "./visit.ts";

/** What of a visit is looked at on the way in and out. */
export type SignInVisit = Pick<Visit, "client" | "origin" | "cookie" | "apiClient" | "pageOrigin" | "fetchSite" | "userAgent">;

export interface BrowserSessionsOptions {
  readonly sessions: Sessions;
  readonly own: OwnOrigin;
  readonly log: Log;
  /** Told of everybody who signs in; throws `RecordsUnavailable`. */
  readonly onSignIn: (person: SignedInPerson) => Promise<void>;
}

export interface SignedInPerson {
  readonly name: string;
  readonly groups: readonly string[];
  readonly voucher: Voucher;
  readonly email: string | undefined;
}

interface Entrance {
  readonly person: SessionPerson;
  readonly email: string | undefined;
  readonly tokens?: SessionTokens | undefined;
  /** Whether it can be found out later that the groups are others. */
  readonly isRenewable: boolean;
}

export class BrowserSessions {
  readonly #options: BrowserSessionsOptions;

  constructor(options: BrowserSessionsOptions) {
    this.#options = options;
  }

  /** A session, and its cookie; the one that the browser had is over, so that nobody waits in a session that he planted. Throws `RecordsUnavailable`. */
  async begin(visit: SignInVisit, { person, email, tokens, isRenewable }: Entrance): Promise<string> {
    const { sessions, own, log, onSignIn } = this.#options;
    const isSecure = own.isSecure(visit);
    const before = this.#valueOf(visit);
    if (before !== undefined) await sessions.end(before);
    await onSignIn({ name: person.user, groups: person.groups, voucher: { by: person.by, subject: person.subject }, email });
    const lifeMs = isRenewable ? sessionLifeMs : unrenewedLifeMs;
    const { session, value } = await sessions.open(person, { tokens, client: visit.client, userAgent: visit.userAgent, lifeMs });
    log.info({ user: person.user, by: person.by, client: visit.client, session: session.id.slice(0, shownIdLength) }, "signed in");
    return writeCookie({ name: sessionCookie, value, lifeMs, isSecure });
  }

  /** Ends the browser's session, if it has one: who it was, what its provider gave, and the cookie's end. Throws `RecordsUnavailable`. */
  async end(visit: SignInVisit): Promise<{ readonly setCookie: string; readonly by: string | undefined; readonly tokens: SessionTokens | undefined }> {
    const { sessions, own, log } = this.#options;
    const value = this.#valueOf(visit);
    const session = value === undefined ? undefined : await sessions.find(value);
    const tokens = value === undefined ? undefined : await sessions.end(value);
    if (session) log.info({ user: session.user, by: session.by, client: visit.client, session: session.id.slice(0, shownIdLength) }, "signed out");
    return { setCookie: endCookie(sessionCookie, { isSecure: own.isSecure(visit) }), by: session?.by, tokens };
  }

  #valueOf(visit: SignInVisit): string | undefined {
    return findCookie(visit.cookie, sessionCookie, { isSecure: this.#options.own.isSecure(visit) });
  }
}

/** As much of a session's name as a log needs. */
const shownIdLength = 12;
