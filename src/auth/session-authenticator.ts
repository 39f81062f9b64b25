/**
 * SessionAuthenticator: who has signed in with this browser. A browser sends its cookie with whatever anybody's page makes it ask, so on the
 * API the cookie counts only beside a header that no foreign page can send (zot's `X-ZOT-API-CLIENT: zot-ui`); a page that is being shown is
 * changed by nobody's link.
 */
import type { Verdict } from "./authenticator.ts";
import { endCookie, findCookie } from "./cookies.ts";
import type { OwnOrigin } from "./own-origin.ts";
import { RecordsUnavailable } from "./records.ts";
import type { SessionRenewal } from "./session-renewal.ts";
import { sessionCookie, type LiveSession, type Sessions } from "./sessions.ts";
import type { Visit, Wanted } from "./visit.ts";

export interface SessionAuthenticatorOptions {
  readonly sessions: Pick<Sessions, "find">;
  readonly renewal: Pick<SessionRenewal, "renew">;
  readonly own: OwnOrigin;
}

export class SessionAuthenticator {
  readonly #options: SessionAuthenticatorOptions;

  constructor(options: SessionAuthenticatorOptions) {
    this.#options = options;
  }

  /** Whether a cookie counts for it at all. Most requests are pulls: they cost one look for one header. */
  concerns({ kind }: Pick<Wanted, "kind">, visit: Visit): boolean {
    if (isFromUi(visit)) return true;
    if (kind !== "page" && kind !== "account") return false;
    const isShown = kind === "page" && (visit.method === "GET" || visit.method === "HEAD");
    // A form of our own page means it too.
    return isShown || this.#options.own.pageBehind(visit) === "ours";
  }

  /** Never rejects. A cookie of no session is as good as none, and is taken back. */
  async authenticate(visit: Visit): Promise<Verdict> {
    const isSecure = this.#options.own.isSecure(visit);
    const value = findCookie(visit.cookie, sessionCookie, { isSecure });
    if (value === undefined) return { kind: "none" };
    try {
      const session = await this.find(visit);
      return session ? { kind: "admitted", principal: session.principal } : { kind: "none", setCookie: endCookie(sessionCookie, { isSecure }) };
    } catch (error) {
      if (error instanceof RecordsUnavailable) return { kind: "unavailable", reason: `sessions cannot be read: ${error.message}` };
      throw error;
    }
  }

  /** The session of the browser that asks, if it has one that holds. Throws `RecordsUnavailable`. */
  async find(visit: Pick<Visit, "cookie" | "origin" | "pageOrigin" | "fetchSite">): Promise<LiveSession | undefined> {
    const { sessions, renewal, own } = this.#options;
    const value = findCookie(visit.cookie, sessionCookie, { isSecure: own.isSecure(visit) });
    const session = value === undefined ? undefined : await sessions.find(value);
    return session && value !== undefined ? await renewal.renew(session, value) : undefined;
  }
}

/** Whether it is a page's own request, which shows no dialogue of the browser's when it is refused. */
export function isFromUi({ apiClient }: Pick<Visit, "apiClient">): boolean {
  return apiClient === "zot-ui";
}
