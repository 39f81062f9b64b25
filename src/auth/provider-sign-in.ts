/**
 * ProviderSignIn: signing in with somebody who knows people: a browser is sent there, and what it brings back is looked at once. Whoever
 * brings back what he did not fetch himself (a link of somebody else's, an answer of another provider, the same one twice) is turned away.
 */
import type { Log } from "../oci/log.ts";
import type { BrowserSessions, SignInVisit } from "./browser-sessions.ts";
import { cookieNames, endCookie, findCookie, writeCookie } from "./cookies.ts";
import { cookieOf, loginCookiePrefix, loginLifeMs, type LoginsUnderWay } from "./logins-under-way.ts";
import { LoginRefused, ProviderUnavailable, type IdentityProvider, type LoginUnderWay, type ProviderIdentity } from "./openid/provider.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { ProviderGrants } from "./provider-grants.ts";
import { redirect, signInPage } from "./sign-in-answers.ts";

/** Below it, the name of the provider. zot's. */
export const callbackPath = "/zot/auth/callback/";
/** Cookies of logins that one browser may have under way; the others are dropped with the next. */
const loginCookiesMax = 10;

export interface ProviderSignInOptions {
  readonly providers: readonly IdentityProvider[];
  readonly logins: LoginsUnderWay;
  readonly sessions: BrowserSessions;
  readonly grants: Pick<ProviderGrants, "keep">;
  readonly own: OwnOrigin;
  readonly log: Log;
}

export class ProviderSignIn {
  readonly #options: ProviderSignInOptions;

  constructor(options: ProviderSignInOptions) {
    this.#options = options;
  }

  get all(): readonly IdentityProvider[] {
    return this.#options.providers;
  }

  find(name: string): IdentityProvider | undefined {
    return this.#options.providers.find((provider) => provider.name === name);
  }

  /** The provider that sends browsers back to `path`. */
  at(path: string): IdentityProvider | undefined {
    if (path.startsWith(callbackPath)) return this.find(path.slice(callbackPath.length));
    return this.#options.providers.find(({ redirectUri }) => redirectUri !== undefined && URL.parse(redirectUri)?.pathname === path);
  }

  /** Sends the browser there; `callback` is where it goes when all is done, and was checked. Throws `RecordsUnavailable`. */
  async begin(provider: IdentityProvider, callback: string, visit: SignInVisit): Promise<Response> {
    const { logins, own, log } = this.#options;
    const isSecure = own.isSecure(visit);
    const redirectUri = provider.redirectUri ?? `${own.urlFor(visit)}${callbackPath}${provider.name}`;
    const start = await logins.begin({ provider: provider.name, redirectUri, callback }, visit.client);
    if (!start) return this.#refuse(429, "Too many people are signing in just now. Try again in a few minutes.");
    try {
      const address = await provider.begin(start.login);
      const old = cookieNames(visit.cookie, loginCookiePrefix, { isSecure });
      const ended = old.length < loginCookiesMax ? [] : old.map((name) => endCookie(name, { isSecure }));
      return redirect(302, address.href, { setCookies: [...ended, writeCookie({ ...start.cookie, lifeMs: loginLifeMs, isSecure })] });
    } catch (error) {
      if (!(error instanceof ProviderUnavailable)) throw error;
      log.error({ provider: provider.name, problem: error.message }, "openid: nobody can sign in: the provider is away");
      return this.#refuse(503, `${provider.title} does not answer. Whoever is signed in stays so; try again in a moment.`);
    }
  }

  /** Takes the browser back. Throws `RecordsUnavailable`. */
  async finish(provider: IdentityProvider, search: URLSearchParams, visit: SignInVisit): Promise<Response> {
    const { logins, own, log } = this.#options;
    const isSecure = own.isSecure(visit);
    const state = search.get("state") ?? "";
    const returned = await logins.take(state, provider.name, (name) => findCookie(visit.cookie, name, { isSecure }));
    const setCookies = /^[A-Za-z0-9_-]{43}$/.test(state) ? [endCookie(cookieOf(state), { isSecure })] : [];
    if (returned.kind === "refused") {
      log.warn({ provider: provider.name, client: visit.client, reason: returned.reason }, "openid: sign-in refused");
      return this.#refuse(401, "This sign-in was used already, took too long, or was begun in another browser.", setCookies);
    }
    try {
      const identity = await provider.finish(callbackOf(returned.login, search), returned.login);
      return await this.#enter(identity, returned.callback, visit, setCookies);
    } catch (error) {
      if (error instanceof ProviderUnavailable) {
        log.error({ provider: provider.name, problem: error.message }, "openid: somebody could not sign in: the provider is away");
        return this.#refuse(503, `${provider.title} does not answer. Try again in a moment.`, setCookies);
      }
      if (!(error instanceof LoginRefused)) throw error;
      const { reason, hint } = error;
      log.warn({ provider: provider.name, client: visit.client, reason, ...(hint === undefined ? {} : { hint }) }, "openid: sign-in refused");
      return this.#refuse(401, `${provider.title} did not let you in here. Whoever runs this registry finds the reason in its log.`, setCookies);
    }
  }

  async #enter(identity: ProviderIdentity, callback: string, visit: SignInVisit, ended: readonly string[]): Promise<Response> {
    const { grants, sessions, log } = this.#options;
    const { name, groups, provider, subject, email, idToken } = identity;
    const stamp = await grants.keep(identity);
    const isRenewable = stamp !== undefined;
    if (!isRenewable) log.debug({ provider, user: name }, "openid: no refresh token: the session is short, with the groups of now");
    const person = { user: name, groups, by: provider, subject, stamp };
    const cookie = await sessions.begin(visit, { person, email, tokens: idToken && { idToken: idToken.reveal() }, isRenewable });
    const setCookies = [...ended, cookie];
    if (callback !== "") return redirect(302, callback, { setCookies });
    // zot answers 201 where nobody said where to go. A person goes on all the same.
    return signInPage(201, { title: "Signed in", message: `You are signed in as ${name}.`, href: "/home", label: "Go on", goesOn: true }, { setCookies });
  }

  #refuse(status: number, message: string, setCookies: readonly string[] = []): Response {
    return signInPage(status, { title: "Not signed in", message, href: "/login", label: "Sign in" }, { setCookies });
  }
}

/** The address as the provider was told it, whatever proxies made of it since. */
function callbackOf({ redirectUri }: LoginUnderWay, search: URLSearchParams): URL {
  const callback = new URL(redirectUri);
  callback.search = search.toString();
  return callback;
}
