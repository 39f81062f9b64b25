/** DeskSessions: somebody's own sessions, as a page asks for them: the one that asks is told apart. */
import type { AccountSessions, SessionView } from "../oci/account.ts";
import type { Log } from "../oci/log.ts";
import { orLater } from "./or-later.ts";
import type { OwnSessions } from "./own-sessions.ts";

export interface DeskSessionsOptions {
  readonly own: OwnSessions;
  /** The id of the session that asks. Undefined: it is by something else that one is known. */
  readonly current: () => Promise<string | undefined>;
  readonly log: Log;
}

export class DeskSessions implements AccountSessions {
  readonly #options: DeskSessionsOptions;

  constructor(options: DeskSessionsOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly SessionView[]> {
    const { own, current, log } = this.#options;
    const [sessions, currentId] = await orLater(log, () => Promise.all([own.list(), current()]));
    return sessions.map(({ id, by, client, userAgent, startedAtMs, usedAtMs, untilMs }) => {
      return { id, isThis: id === currentId, by, client, userAgent, startedAtMs, usedAtMs, untilMs };
    });
  }

  async end(id: string): Promise<void> {
    const { own, log } = this.#options;
    await orLater(log, () => own.end(id));
  }

  async endOthers(): Promise<number> {
    const { own, log } = this.#options;
    const others = (await this.list()).filter(({ isThis }) => !isThis);
    const ended = await orLater(log, () => Promise.all(others.map(({ id }) => own.end(id))));
    return ended.filter(Boolean).length;
  }
}
