/** OwnSessions: what people do with their sessions, however they ask for it: see where they are signed in, and end that. */
import type { Log } from "../oci/log.ts";
import { isInPerson, type Principal } from "./principal.ts";
import type { LiveSession, Sessions } from "./sessions.ts";
import { isOwn } from "./voucher.ts";

export interface OwnSessionsOptions {
  readonly sessions: Pick<Sessions, "list" | "revoke">;
  /** Ends what somebody has approved and nobody has fetched yet: whoever had the session may have. */
  readonly dropApproved?: (user: string) => Promise<void>;
  readonly log: Log;
}

/** Of whoever asks. Undefined: it is a key or a token that asks, and nobody in person. */
export function findOwnSessions(principal: Principal, options: OwnSessionsOptions): OwnSessions | undefined {
  return isInPerson(principal) ? new OwnSessions(principal, options) : undefined;
}

/** Each throws `RecordsUnavailable`. */
export class OwnSessions {
  readonly #principal: Principal;
  readonly #options: OwnSessionsOptions;

  constructor(principal: Principal, options: OwnSessionsOptions) {
    this.#principal = principal;
    this.#options = options;
  }

  /** The newest first. */
  async list(): Promise<readonly LiveSession[]> {
    const sessions = await this.#options.sessions.list(this.#principal.name);
    return sessions.filter((session) => isOwn(this.#principal, session));
  }

  /** Whether there was such a one. */
  async end(id: string): Promise<boolean> {
    const { sessions, dropApproved, log } = this.#options;
    const { name: user } = this.#principal;
    if (!(await this.list()).some((session) => session.id === id) || !(await sessions.revoke(user, id))) return false;
    await dropApproved?.(user);
    log.info({ user, session: id.slice(0, shownIdLength) }, "a session was ended by its owner");
    return true;
  }
}

/** As much of a session's name as a log needs. */
const shownIdLength = 12;
