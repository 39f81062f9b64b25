/**
 * Github: logging in with GitHub, which speaks OAuth 2 and has an API, and no OpenID Connect: the person is the primary e-mail address, when
 * GitHub calls it verified; groups are organizations, and teams as `organization/team`.
 */
import type { Clock } from "../../oci/clock.ts";
import type { Log } from "../../oci/log.ts";
import { Secret } from "../../oci/secret.ts";
import { fetchText, parseObject, type FetchedText, type OutboundFetch } from "../json-fetch.ts";
import { objectOf, textOf } from "../json-object.ts";
import { identifyPerson, type PersonRules } from "./person.ts";
import { LoginRefused, ProviderUnavailable, type IdentityProvider, type LoginUnderWay, type ProviderIdentity } from "./provider.ts";

export interface GithubOptions {
  readonly title: string;
  readonly redirectUri: string | undefined;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly scopes: readonly string[];
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  /** Without a slash at its end. */
  readonly apiUrl: string;
  readonly rules: PersonRules;
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
  readonly log: Log;
}

const pagesMax = 20;
const pageSize = 100;

export class Github implements IdentityProvider {
  readonly name = "github";
  readonly issuer;
  readonly title;
  readonly redirectUri;
  readonly #options: GithubOptions;

  constructor(options: GithubOptions) {
    this.#options = options;
    this.issuer = options.apiUrl;
    this.title = options.title;
    this.redirectUri = options.redirectUri;
  }

  async begin({ redirectUri, state, codeVerifier }: LoginUnderWay): Promise<URL> {
    const { authorizationUrl, clientId, scopes } = this.#options;
    const { calculatePKCECodeChallenge } = await import("openid-client");
    const url = new URL(authorizationUrl);
    const parameters = { response_type: "code", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" "), state };
    const challenge = { code_challenge: await calculatePKCECodeChallenge(codeVerifier), code_challenge_method: "S256" };
    for (const [key, value] of Object.entries({ ...parameters, ...challenge })) url.searchParams.set(key, value);
    return url;
  }

  async finish({ searchParams }: URL, { redirectUri, state, codeVerifier }: LoginUnderWay): Promise<ProviderIdentity> {
    if (searchParams.get("state") !== state) throw new LoginRefused("github: what came back belongs to another login (state)");
    const error = searchParams.get("error");
    if (error !== null) throw new LoginRefused(`openid provider github says ${wordOf(error)}`);
    const code = searchParams.get("code");
    if (code === null || code === "") throw new LoginRefused("github: nothing came back (code)");
    return await this.#identify(await this.#accessToken({ code, redirect_uri: redirectUri, code_verifier: codeVerifier }), { isKnown: false });
  }

  /** Its access token lasts until it is revoked, so that it is what is kept. */
  async refresh({ refreshToken }: { readonly refreshToken: Secret }): Promise<ProviderIdentity | "ended"> {
    try {
      return await this.#identify(refreshToken.reveal(), { isKnown: true });
    } catch (error) {
      if (error instanceof LoginRefused) return "ended";
      throw error;
    }
  }

  endSessionUrl(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async #accessToken(grant: Readonly<Record<string, string>>): Promise<string> {
    const { tokenUrl, clientId, clientSecret } = this.#options;
    const form = new URLSearchParams({ ...grant, client_id: clientId, client_secret: clientSecret.reveal() });
    const answer = await this.#fetch(tokenUrl, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: form.toString() });
    const { access_token: token, error } = this.#object(tokenUrl, answer);
    // It tells of what is wrong with status 200.
    if (typeof error === "string") throw new LoginRefused(`openid provider github says ${wordOf(error)}`, tokenHints[error]);
    if (answer.status !== 200 || typeof token !== "string" || token === "")
      throw new ProviderUnavailable(this.name, `${tokenUrl}: status ${answer.status}, and no token`);
    return token;
  }

  /** `isKnown`: the person was let in before, with groups that are not to be lost because GitHub does not tell them just now. */
  async #identify(accessToken: string, { isKnown }: { readonly isKnown: boolean }): Promise<ProviderIdentity> {
    const { rules } = this.#options;
    const user = objectOf(await this.#get("/user", accessToken)) ?? {};
    const subject = user["id"];
    if (typeof subject !== "number") throw new ProviderUnavailable(this.name, "its API does not say who it is (id)");
    const [addresses, organizations, teams] = await Promise.all([
      this.#all("/user/emails", accessToken, isKnown),
      this.#all("/user/orgs", accessToken, isKnown),
      this.#all("/user/teams", accessToken, isKnown),
    ]);
    const primary = addresses.find((address) => address["primary"] === true);
    const claims = {
      ...user,
      sub: String(subject),
      preferred_username: user["login"],
      email: primary?.["email"],
      email_verified: primary?.["verified"] === true,
      [rules.claims.groups]: [...organizations.flatMap(({ login }) => textOf(login) ?? []), ...teams.flatMap((team) => teamName(team) ?? [])],
    };
    const read = await identifyPerson([claims], rules);
    if (read.kind === "unavailable") throw new ProviderUnavailable(this.name, read.reason);
    if (read.kind === "refused")
      throw new LoginRefused(`github: ${read.reason}`, 'scopes must hold "user:email", and the primary address must be verified there');
    const { name, groups, email, emailVerified } = read.person;
    return { provider: this.name, subject: String(subject), name, groups, email, emailVerified, refreshToken: new Secret(accessToken), idToken: undefined };
  }

  /** Every item of a list. What the token may not see is left out: of somebody who is known, only where the token says so itself. */
  async #all(path: string, accessToken: string, isKnown: boolean): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const items: Readonly<Record<string, unknown>>[] = [];
    for (let page = 1; page <= pagesMax; page++) {
      const { answer, value } = await this.#ask(`${path}?per_page=${pageSize}&page=${page}`, accessToken);
      if (answer.status === 403 && (!isKnown || lacksScope(answer))) {
        this.#options.log.warn(
          { provider: this.name, path },
          "openid provider github does not let us see this: its scope is missing, or the organization has not approved us",
        );
        return items;
      }
      this.#demandGood(path, answer);
      if (!Array.isArray(value)) throw new ProviderUnavailable(this.name, `${path}: the answer is no list`);
      items.push(...value.map((item: unknown) => objectOf(item) ?? {}));
      if (!/;\s*rel="next"/.test(answer.headers.get("link") ?? "")) return items;
    }
    throw new LoginRefused(`github: ${path} has more than ${pagesMax} pages`);
  }

  async #get(path: string, accessToken: string): Promise<unknown> {
    const { answer, value } = await this.#ask(path, accessToken);
    this.#demandGood(path, answer);
    return value;
  }

  async #ask(path: string, accessToken: string): Promise<{ readonly answer: FetchedText; readonly value: unknown }> {
    const { apiUrl } = this.#options;
    const headers = { accept: "application/vnd.github+json", authorization: `Bearer ${accessToken}`, "x-github-api-version": "2022-11-28" };
    const answer = await this.#fetch(`${apiUrl}${path}`, { headers });
    if (isLimited(answer)) throw new ProviderUnavailable(this.name, `${path.split("?", 1)[0]}: status ${answer.status}, asked too often`);
    return { answer, value: findJson(answer.text) };
  }

  #demandGood(path: string, { status }: FetchedText): void {
    if (status === 401) throw new LoginRefused("github: the token is no longer valid");
    if (status !== 200) throw new ProviderUnavailable(this.name, `${path.split("?", 1)[0]}: status ${status}`);
  }

  async #fetch(url: string, request: Parameters<typeof fetchText>[2]): Promise<FetchedText> {
    const { fetch, clock } = this.#options;
    try {
      return await fetchText(url, { fetch, clock }, request);
    } catch (error) {
      throw new ProviderUnavailable(this.name, error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  #object(url: string, { text }: FetchedText): Readonly<Record<string, unknown>> {
    try {
      return parseObject(url, text);
    } catch (error) {
      throw new ProviderUnavailable(this.name, error instanceof Error ? error.message : String(error), { cause: error });
    }
  }
}

const tokenHints: Readonly<Record<string, string>> = {
  incorrect_client_credentials: "clientid or clientsecret are not those of the OAuth app",
  redirect_uri_mismatch: "the OAuth app's callback URL must be ours",
  bad_verification_code: "the code was used or is over",
};

/** GitHub's "Rate limits for the REST API": 403 or 429, with either of two headers. */
function isLimited({ status, headers }: FetchedText): boolean {
  return status === 429 || (status === 403 && (headers.get("x-ratelimit-remaining") === "0" || headers.has("retry-after")));
}

/** GitHub's "Scopes for OAuth apps": what the token has, and any of what would do. */
function lacksScope({ headers }: FetchedText): boolean {
  const scopesOf = (name: string): readonly string[] => (headers.get(name) ?? "").split(",").flatMap((scope) => scope.trim() || []);
  const [granted, wanted] = [scopesOf("x-oauth-scopes"), scopesOf("x-accepted-oauth-scopes")];
  return wanted.length > 0 && !wanted.some((scope) => granted.includes(scope));
}

/** `organization/team`, as policies name it. */
function teamName({ slug, organization }: Readonly<Record<string, unknown>>): string | undefined {
  const login = textOf(objectOf(organization)?.["login"]);
  return typeof slug === "string" && login !== undefined ? `${login}/${slug}` : undefined;
}

function findJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Whoever looks into it finds nothing.
  }
}

/** A word of somebody else's, for a log. */
function wordOf(error: string): string {
  return error.replaceAll(/[^\x20-\x7e]/g, " ").slice(0, 100);
}
