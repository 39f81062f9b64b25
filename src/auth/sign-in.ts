/** SignIn: the browser's way in and out: which address is for what. zot's `/zot/auth/login`, `/zot/auth/callback/<provider>` and `/zot/auth/logout`. */
import type { Log } from "../oci/log.ts";
import { Secret } from "../oci/secret.ts";
import type { BrowserSessions, SignInVisit } from "./browser-sessions.ts";
import { ProviderUnavailable, type IdentityProvider } from "./openid/provider.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { PasswordSignIn, SignInError } from "./password-sign-in.ts";
import type { ProviderSignIn } from "./provider-sign-in.ts";
import { RecordsUnavailable } from "./records.ts";
import { isFromUi } from "./session-authenticator.ts";
import type { SessionList } from "./session-list.ts";
import type { SessionTokens } from "./session-records.ts";
import { json, redirect, refusal, signInPage } from "./sign-in-answers.ts";

const loginPath = "/zot/auth/login";
/** Of documents, and zot's own. */
const loginPaths: readonly string[] = ["/auth/login", loginPath];
const logoutPath = "/zot/auth/logout";

export interface SignInOptions {
  readonly providers: ProviderSignIn;
  /** Undefined: nobody has a password here. */
  readonly passwords: PasswordSignIn | undefined;
  readonly sessions: BrowserSessions;
  readonly own: OwnOrigin;
  readonly log: Log;
}

/** Ways in, as a page shows them. */
export interface SignInOffer {
  readonly providers: readonly { readonly name: string; readonly title: string; readonly href: string }[];
  /** Whether a form with `username` and `password` is taken, */
  readonly hasPasswords: boolean;
  /** where it is sent, by POST, */
  readonly action: string;
  /** and what is sent along. */
  readonly hidden: Readonly<Record<string, string>>;
  /** Why the last attempt came to nothing, in a sentence. */
  readonly error: string | undefined;
}

/** What a server mounts of it. */
export interface SignInRoutes extends Pick<SignIn, "takes" | "handle" | "offer">, Pick<OwnOrigin, "pageBehind"> {
  readonly listSessions: SessionList["answer"];
}

const sentences: Readonly<Record<string, string>> = {
  wrong: "The name or the password is wrong.",
  throttled: "Too many wrong passwords: try again in a minute.",
  unavailable: "Passwords cannot be checked just now: what they are checked by does not answer.",
} satisfies Record<SignInError, string>;

export class SignIn {
  readonly #options: SignInOptions;

  constructor(options: SignInOptions) {
    this.#options = options;
  }

  /** Whether `path` is for us. */
  takes(path: string): boolean {
    return loginPaths.includes(path) || path === logoutPath || this.#options.providers.at(path) !== undefined;
  }

  /** What the page to sign in at says; `query` is that page's own. */
  offer(query: URLSearchParams): SignInOffer {
    const { providers, passwords } = this.#options;
    const callback = query.get("callback_ui") ?? "";
    const goesOn = new URLSearchParams({ callback_ui: callback === "" ? "/home" : callback }).toString();
    const reason = query.get("error") ?? "";
    return {
      providers: providers.all.map(({ name, title }) => ({ name, title, href: `${loginPath}?provider=${name}&${goesOn}` })),
      hasPasswords: passwords !== undefined,
      action: loginPath,
      hidden: callback === "" ? {} : { callback_ui: callback },
      error: Object.hasOwn(sentences, reason) ? sentences[reason] : undefined,
    };
  }

  /** Answers a request for a path that it takes. Rejects when the client has left. */
  async handle(request: Request, visit: SignInVisit): Promise<Response> {
    try {
      return await this.#route(request, visit);
    } catch (error) {
      if (!(error instanceof RecordsUnavailable)) throw error;
      // Whoever keeps the records has told of it, once.
      this.#options.log.debug({ problem: error.message }, "nobody can sign in or out: sessions cannot be kept");
      const headers = { "Retry-After": "5" };
      if (isFromUi(visit)) return refusal(503, "UNAVAILABLE", "sessions cannot be kept just now", { headers });
      const message = "Who comes and goes cannot be written down just now. Try again in a moment.";
      return signInPage(503, { title: "Not just now", message, href: "/login", label: "Sign in" }, { headers });
    }
  }

  async #route(request: Request, visit: SignInVisit): Promise<Response> {
    const { providers, passwords } = this.#options;
    const { pathname, searchParams } = new URL(request.url);
    const provider = providers.at(pathname);
    if (provider) return request.method === "GET" ? await providers.finish(provider, searchParams, visit) : otherMethod(request, "GET");
    if (pathname === logoutPath) return request.method === "POST" ? await this.#signOut(visit) : otherMethod(request, "POST");
    if (request.method === "GET") return await this.#begin(searchParams, visit);
    return request.method === "POST" && passwords ? await passwords.answer(request, visit) : otherMethod(request, passwords ? "GET, POST" : "GET");
  }

  async #begin(search: URLSearchParams, visit: SignInVisit): Promise<Response> {
    const { providers, own } = this.#options;
    const callback = own.callbackAddress(search.get("callback_ui"), visit);
    const name = search.get("provider");
    const provider = name === null ? this.#onlyProvider : providers.find(name);
    if (name === null && !provider) return redirect(302, callback === "" ? "/login" : `/login?${new URLSearchParams({ callback_ui: callback }).toString()}`);
    return provider ? await providers.begin(provider, callback, visit) : refusal(400, "UNSUPPORTED", "there is no such provider here");
  }

  /** Where there is nothing to choose. */
  get #onlyProvider(): IdentityProvider | undefined {
    const { providers, passwords } = this.#options;
    return providers.all.length === 1 && !passwords ? providers.all[0] : undefined;
  }

  async #signOut(visit: SignInVisit): Promise<Response> {
    const { sessions, own } = this.#options;
    if (!isFromUi(visit) && own.pageBehind(visit) !== "ours")
      return refusal(403, "DENIED", "only a page of this registry signs out: send its Origin, or X-ZOT-API-CLIENT: zot-ui");
    const { setCookie, by, tokens } = await sessions.end(visit);
    const endSessionUrl = await this.#endSessionUrl(by, tokens, visit);
    const setCookies = [setCookie];
    if (isFromUi(visit)) return json(200, endSessionUrl === undefined ? {} : { endSessionUrl }, { setCookies });
    if (endSessionUrl === undefined) return redirect(303, "/login", { setCookies });
    return signInPage(
      200,
      { title: "Signed out", message: "You are signed out here.", href: endSessionUrl, label: "Sign out everywhere", goesOn: true },
      { setCookies },
    );
  }

  /** At the provider, where there is such a place and it answers. */
  async #endSessionUrl(by: string | undefined, tokens: SessionTokens | undefined, visit: SignInVisit): Promise<string | undefined> {
    const { providers, own, log } = this.#options;
    const provider = by === undefined ? undefined : providers.find(by);
    const idTokenHint = tokens?.idToken === undefined ? undefined : new Secret(tokens.idToken);
    try {
      const url = await provider?.endSessionUrl({ postLogoutRedirectUri: `${own.urlFor(visit)}/login`, idTokenHint });
      return url?.href;
    } catch (error) {
      if (!(error instanceof ProviderUnavailable)) throw error;
      log.warn({ provider: by, problem: error.message }, "openid: somebody is signed out here, and not at the provider");
      return undefined;
    }
  }
}

function otherMethod({ method }: Request, allowed: string): Response {
  const headers = { Allow: `${allowed}, OPTIONS` };
  return method === "OPTIONS" ? new Response(null, { status: 204, headers }) : refusal(405, "UNSUPPORTED", `this is for ${allowed}`, { headers });
}
