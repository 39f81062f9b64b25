/** OwnSessions: what people do with their sessions, however they ask for it: see where they are signed in, and end that. */
import type { Log } from "../oci/log.ts";
import { isInPerson, type Principal } from "./principal.ts";
import type { LiveSession, Sessions } from "./sessions.ts";

export interface OwnSessionsOptions {
  readonly sessions: Pick<Sessions, "list" | "revoke">;
  /** Ends what somebody has approved and nobody has fetched yet: whoever had the session may have. */
  readonly dropApproved?: (user: string) => Promise<void>;
  readonly log: Log;
}

/** Of whoever asks. Undefined: it is a key or a token that asks, and nobody in person. */
export function findOwnSessions(principal: Principal, options: OwnSessionsOptions): OwnSessions | undefined {
  return isInPerson(principal) ? new OwnSessions(principal.name, options) : undefined;
}

/** Each throws `RecordsUnavailable`. */
export class OwnSessions {
  readonly #user: string;
  readonly #options: OwnSessionsOptions;

  constructor(user: string, options: OwnSessionsOptions) {
    this.#user = user;
    this.#options = options;
  }

  /** The newest first. */
  async list(): Promise<readonly LiveSession[]> {
    return await this.#options.sessions.list(this.#user);
  }

  /** Whether there was such a one. */
  async end(id: string): Promise<boolean> {
    const { sessions, dropApproved, log } = this.#options;
    if (!(await sessions.revoke(this.#user, id))) return false;
    await dropApproved?.(this.#user);
    log.info({ user: this.#user, session: id.slice(0, shownIdLength) }, "a session was ended by its owner");
    return true;
  }
}

/** As much of a session's name as a log needs. */
const shownIdLength = 12;
