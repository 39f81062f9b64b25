/**
 * OpenidProvider: logging in with any provider that speaks OpenID Connect (Authentik, Keycloak, dex, Google, GitLab): the code flow, always
 * with PKCE, state and nonce, and with an ID token whose signature is checked by the keys that its access tokens are checked by.
 */
import type { Configuration, IDToken, ServerMetadata, UserInfoResponse } from "openid-client";
import type { Clock } from "../../oci/clock.ts";
import { Secret } from "../../oci/secret.ts";
import { fetchText, type OutboundFetch } from "../json-fetch.ts";
import type { Claims } from "../token-verifier.ts";
import { clientAuthOf, type ClientKey } from "./client-proof.ts";
import type { Discovery, ProviderDocument } from "./discovery.ts";
import { loginRefusal } from "./login-refusal.ts";
import { identifyPerson, type PersonRules } from "./person.ts";
import { LoginRefused, ProviderUnavailable, type IdentityProvider, type LoginUnderWay, type ProviderIdentity } from "./provider.ts";
import type { ProviderTokens } from "./provider-tokens.ts";

export interface OpenidProviderOptions {
  readonly name: "oidc" | "google" | "gitlab";
  readonly title: string;
  readonly redirectUri: string | undefined;
  readonly clientId: string;
  /** Undefined: a public client. */
  readonly proof: Secret | ClientKey | undefined;
  readonly scopes: readonly string[];
  readonly rules: PersonRules;
  readonly discovery: Discovery;
  /** Checks ID tokens. */
  readonly tokens: Pick<ProviderTokens, "verify">;
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
}

type Library = typeof import("openid-client");

interface Ready {
  readonly library: Library;
  readonly configuration: Configuration;
  readonly document: ProviderDocument;
}

/** Seconds that clocks may be apart. */
const clockToleranceSeconds = 60;

/** What a provider says when it is over with somebody: of the refresh token, or of the access token at the userinfo endpoint. */
const endingWords: ReadonlySet<string> = new Set(["invalid_grant", "invalid_token", "status 401"]);

export class OpenidProvider implements IdentityProvider {
  readonly name;
  readonly issuer;
  readonly title;
  readonly redirectUri;
  readonly #options: OpenidProviderOptions;
  #ready: Ready | undefined;

  constructor(options: OpenidProviderOptions) {
    this.#options = options;
    this.name = options.name;
    this.issuer = options.discovery.source;
    this.title = options.title;
    this.redirectUri = options.redirectUri;
  }

  async begin({ redirectUri, state, nonce, codeVerifier }: LoginUnderWay): Promise<URL> {
    const { scopes, rules } = this.#options;
    const { library, configuration } = await this.#prepare();
    return library.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: scopes.join(" "),
      state,
      nonce,
      code_challenge: await library.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: "S256",
      ...(rules.hostedDomain === undefined ? {} : { hd: rules.hostedDomain }),
    });
  }

  async finish(callback: URL, { redirectUri, state, nonce, codeVerifier }: LoginUnderWay): Promise<ProviderIdentity> {
    const { library, configuration } = await this.#prepare();
    const returned = new URL(redirectUri);
    returned.search = callback.search;
    const tokens = await this.#asked(() =>
      library.authorizationCodeGrant(configuration, returned, {
        pkceCodeVerifier: codeVerifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      }),
    );
    const idToken = tokens.id_token ?? "";
    const claims = await this.#verified(idToken);
    const userinfo = await this.#userinfo(tokens.access_token, claims.sub);
    return await this.#identity([...(userinfo ? [userinfo] : []), claims], { idToken, refreshToken: tokens.refresh_token });
  }

  async refresh({ refreshToken }: { readonly refreshToken: Secret }): Promise<ProviderIdentity | "ended"> {
    const { library, configuration } = await this.#prepare();
    let newest = refreshToken;
    try {
      const tokens = await this.#asked(() => library.refreshTokenGrant(configuration, refreshToken.reveal()));
      if (tokens.refresh_token !== undefined) newest = new Secret(tokens.refresh_token);
      const claims = tokens.id_token === undefined ? undefined : await this.#verified(tokens.id_token);
      const userinfo = await this.#userinfo(tokens.access_token, claims?.sub);
      const sources = [...(userinfo ? [userinfo] : []), ...(claims ? [claims] : [])];
      return await this.#identity(sources, { idToken: tokens.id_token, refreshToken: newest.reveal() });
    } catch (error) {
      if (error instanceof LoginRefused && (error.word === undefined || endingWords.has(error.word))) return "ended";
      // A provider that is half away, or wants another secret of ours, has said nothing of the person: nobody is logged out by that.
      if (error instanceof LoginRefused || error instanceof ProviderUnavailable)
        throw new ProviderUnavailable(this.name, error.message, { cause: error, refreshToken: newest });
      throw error;
    }
  }

  async endSessionUrl({
    postLogoutRedirectUri,
    idTokenHint,
  }: {
    readonly postLogoutRedirectUri: string;
    readonly idTokenHint?: Secret | undefined;
  }): Promise<URL | undefined> {
    if ((await this.#options.discovery.endpoint("end_session_endpoint")) === undefined) return undefined;
    const { library, configuration } = await this.#prepare();
    return library.buildEndSessionUrl(configuration, {
      post_logout_redirect_uri: postLogoutRedirectUri,
      ...(idTokenHint ? { id_token_hint: idTokenHint.reveal() } : {}),
    });
  }

  /** The library, told of the provider as it is now. */
  async #prepare(): Promise<Ready> {
    const { discovery, clientId, proof } = this.#options;
    const document = await discovery.read();
    if (this.#ready?.document === document) return this.#ready;
    // Loaded with the first login: without any, nobody pays for it.
    const library = await import("openid-client");
    const { issuer, metadata } = document;
    const server: ServerMetadata = { ...metadata, issuer };
    const auth = clientAuthOf(library, proof, metadata["token_endpoint_auth_methods_supported"]);
    const configuration = new library.Configuration(server, clientId, { [library.clockTolerance]: clockToleranceSeconds }, auth);
    // What it sends are forms, or nothing.
    configuration[library.customFetch] = (url, { method, headers, body }) =>
      this.#fetch(url, { method, headers, body: body instanceof URLSearchParams || typeof body === "string" ? body.toString() : undefined });
    if (discovery.source.startsWith("http://")) library.allowInsecureRequests(configuration);
    this.#ready = { library, configuration, document };
    return this.#ready;
  }

  async #fetch(
    url: string,
    { method, headers, body }: { readonly method: string; readonly headers: Record<string, string>; readonly body: string | undefined },
  ) {
    const { fetch, clock, discovery } = this.#options;
    const answer = await fetchText(url, { fetch, clock, namedBy: discovery.source }, { method: method === "POST" ? "POST" : "GET", headers, body }).catch(
      (error: unknown) => {
        throw new ProviderUnavailable(this.name, error instanceof Error ? error.message : String(error), { cause: error });
      },
    );
    if (answer.status >= 500) throw new ProviderUnavailable(this.name, `${url.split("?", 1)[0]}: status ${answer.status}`);
    return new Response(answer.text, { status: answer.status, headers: answer.headers });
  }

  /** What `ask` gives; what goes wrong, in words for the log. */
  async #asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    try {
      return await ask();
    } catch (error) {
      throw await loginRefusal(error, this.name);
    }
  }

  async #verified(idToken: string): Promise<Claims & Pick<IDToken, "sub">> {
    const verdict = await this.#options.tokens.verify(idToken, new AbortController().signal, "issuer");
    if (verdict.kind === "unavailable") throw new ProviderUnavailable(this.name, verdict.reason);
    if (verdict.kind === "refused") throw new LoginRefused(`the ID token cannot be trusted: ${verdict.reason}`, undefined, { word: "untrusted" });
    if (verdict.kind !== "good") throw new LoginRefused("the ID token is nobody's", undefined, { word: "untrusted" });
    return { ...verdict.claims, sub: String(verdict.claims["sub"]) };
  }

  /** Undefined: the provider has none to ask. `subject` undefined: whoever it is. */
  async #userinfo(accessToken: string, subject: string | undefined): Promise<UserInfoResponse | undefined> {
    const { library, configuration, document } = await this.#prepare();
    if (document.metadata["userinfo_endpoint"] === undefined) return undefined;
    return await this.#asked(() => library.fetchUserInfo(configuration, accessToken, subject ?? library.skipSubjectCheck));
  }

  async #identity(
    sources: readonly Claims[],
    { idToken, refreshToken }: { readonly idToken: string | undefined; readonly refreshToken: string | undefined },
  ): Promise<ProviderIdentity> {
    const read = await identifyPerson(sources, this.#options.rules);
    if (read.kind === "unavailable") throw new ProviderUnavailable(this.name, read.reason);
    if (read.kind === "refused") throw new LoginRefused(read.reason, read.hint);
    const { name, groups, email, emailVerified } = read.person;
    const subject = sources.map(({ sub }) => sub).find((sub) => typeof sub === "string" && sub !== "");
    if (typeof subject !== "string") throw new LoginRefused("the provider does not say who it is (sub)");
    return {
      provider: this.name,
      subject,
      name,
      groups,
      email,
      emailVerified,
      refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
      idToken: idToken === undefined ? undefined : new Secret(idToken),
    };
  }
}
