/** AccountDesk: where pages ask for somebody's account, and where forms of pages are read: those that a page of ours has sent. */
import type { Account } from "../oci/account.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { DeskKeys } from "./account-keys.ts";
import { DeskSessions } from "./account-sessions.ts";
import { findOwnKeys, type OwnKeysOptions } from "./own-keys.ts";
import type { OwnOrigin } from "./own-origin.ts";
import { findOwnSessions, type OwnSessionsOptions } from "./own-sessions.ts";
import { isInPerson, type Principal } from "./principal.ts";
import type { SessionAuthenticator } from "./session-authenticator.ts";
import { readForm } from "./token-requests.ts";
import type { Visit } from "./visit.ts";

export interface AccountDeskOptions {
  /** Undefined: there are no keys. */
  readonly keys: OwnKeysOptions | undefined;
  /** Undefined: nobody signs in with a browser. */
  readonly browsers: (OwnSessionsOptions & { readonly authenticator: Pick<SessionAuthenticator, "find"> }) | undefined;
  readonly own: Pick<OwnOrigin, "pageBehind">;
  readonly names: () => RegistryNames;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whoever asks, once a gate has let them in. */
export type AccountVisit = Pick<Visit, "origin" | "pageOrigin" | "fetchSite" | "userAgent" | "cookie">;

export type FormReading =
  { readonly kind: "read"; readonly fields: URLSearchParams } | { readonly kind: "refused"; readonly status: number; readonly message: string };

export class AccountDesk {
  readonly #options: AccountDeskOptions;

  constructor(options: AccountDeskOptions) {
    this.#options = options;
  }

  /** Undefined: it is a key or a token that asks, and nobody in person. */
  find(principal: Principal, visit: AccountVisit): Account | undefined {
    const { keys, browsers, names, clock, log } = this.#options;
    if (!isInPerson(principal)) return undefined;
    const ownKeys = keys && findOwnKeys(principal, keys);
    const ownSessions = browsers && findOwnSessions(principal, browsers);
    const current = async (): Promise<string | undefined> => (await browsers?.authenticator.find(visit))?.id;
    return {
      keys: ownKeys && new DeskKeys({ own: ownKeys, userAgent: visit.userAgent ?? "", names, clock, log }),
      sessions: ownSessions && new DeskSessions({ own: ownSessions, current, log }),
    };
  }

  /** A form that was sent by a page of ours, or by no browser. Rejects when the client has left. */
  async readForm(request: Request, visit: AccountVisit): Promise<FormReading> {
    const { own, clock } = this.#options;
    if (own.pageBehind(visit) === "foreign") return { kind: "refused", status: 403, message: "a page of another site has sent this form" };
    const text = await readForm(request, clock);
    if (typeof text !== "string") return { kind: "refused", status: text.status, message: text.message };
    return { kind: "read", fields: new URLSearchParams(text) };
  }
}
