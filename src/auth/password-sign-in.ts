/** PasswordSignIn: signing in with a name and a password, by a form: for people of the file and of the directory. Guessing ends as it does everywhere. */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Login } from "./authenticator.ts";
import { basicHeader } from "./basic.ts";
import type { BrowserSessions, SignInVisit } from "./browser-sessions.ts";
import type { FailDelay } from "./fail-delay.ts";
import type { Htpasswd } from "./htpasswd.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { LoginVerdict } from "./passwords.ts";
import type { Principal } from "./principal.ts";
import type { SessionPerson } from "./session-records.ts";
import { redirect, refusal } from "./sign-in-answers.ts";
import { readForm } from "./token-requests.ts";

export interface PasswordSignInOptions {
  /** `client` is an address. Rejects with the signal's reason only. */
  readonly checkPassword: (login: Login, client: string, signal: AbortSignal) => Promise<LoginVerdict>;
  /** Undefined: there is no file. */
  readonly htpasswd: Pick<Htpasswd, "stampOf"> | undefined;
  /** Whether groups may be a directory's. */
  readonly hasDirectory: boolean;
  readonly sessions: BrowserSessions;
  readonly own: OwnOrigin;
  readonly failDelay: Pick<FailDelay, "wait">;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the sign-in page is told in `error`. */
export type SignInError = "wrong" | "throttled" | "unavailable";

export class PasswordSignIn {
  readonly #options: PasswordSignInOptions;

  constructor(options: PasswordSignInOptions) {
    this.#options = options;
  }

  /** Answers the form: `username`, `password`, `callback_ui`. Rejects when the client has left; throws `RecordsUnavailable`. */
  async answer(request: Request, visit: SignInVisit): Promise<Response> {
    const { own, clock } = this.#options;
    // A foreign page that knows its owner's password could make this browser his.
    if (own.pageBehind(visit) === "foreign") return refusal(403, "DENIED", "this form was sent by a page of another site");
    const text = await readForm(request, clock);
    if (typeof text !== "string") return refusal(text.status, "UNSUPPORTED", text.message);
    const form = new URLSearchParams(text);
    const login = { user: form.get("username") ?? "", password: form.get("password") ?? "" };
    const callback = own.callbackAddress(form.get("callback_ui"), visit);
    if (login.user.trim() === "") return this.#again("wrong", callback);
    return await this.#check(login, callback, visit, request.signal);
  }

  async #check(login: Login, callback: string, visit: SignInVisit, signal: AbortSignal): Promise<Response> {
    const { checkPassword, failDelay, log, sessions } = this.#options;
    const verdict = await checkPassword(login, visit.client, signal);
    switch (verdict.kind) {
      case "admitted": {
        const person = this.#personOf(verdict.principal);
        if (!person) {
          log.warn(
            { user: verdict.principal.name, client: visit.client, by: verdict.principal.method },
            "sign-in refused: this is for a password, and not for a key or a token",
          );
          return this.#again("wrong", callback);
        }
        const setCookie = await sessions.begin(visit, { person, email: undefined, isRenewable: this.#isRenewable(person) });
        return redirect(303, callback === "" ? "/home" : callback, { setCookies: [setCookie] });
      }
      case "refused":
        await failDelay.wait([basicHeader(login)], signal);
        log.warn({ client: visit.client, reason: verdict.reason }, "sign-in refused");
        return this.#again("wrong", callback);
      case "throttled":
        log.warn({ client: visit.client, reason: verdict.reason }, "sign-in refused");
        return this.#again("throttled", callback);
      case "unavailable":
        log.warn({ client: visit.client, reason: verdict.reason }, "nobody can sign in by this just now");
        return this.#again("unavailable", callback);
      default:
        return verdict satisfies never;
    }
  }

  /** Undefined for what was no password of a person: a key may do less than its owner, and a session may not. */
  #personOf({ name, groups, method, access }: Principal): SessionPerson | undefined {
    if (access || (method !== "htpasswd" && method !== "ldap")) return undefined;
    return { user: name, groups, by: method, stamp: method === "htpasswd" ? this.#options.htpasswd?.stampOf(name) : undefined };
  }

  /** Of the file we hear when it changes; of a directory we do not. */
  #isRenewable({ by }: SessionPerson): boolean {
    return by === "htpasswd" && !this.#options.hasDirectory;
  }

  #again(error: SignInError, callback: string): Response {
    const query = new URLSearchParams({ error, ...(callback === "" ? {} : { callback_ui: callback }) });
    return redirect(303, `/login?${query.toString()}`);
  }
}
