/**
 * TokenService: our own, behind one challenge for all: who logs in gets a token in that name, who does not gets one without, each for
 * as much of what was asked as policies permit. Lacking a permission is no error here: the token says less. Docker's "Token
 * Authentication Specification" and "OAuth2 Token Authentication".
 */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { Repository } from "../oci/repository.ts";
import type { Action } from "./access-policy.ts";
import type { AccountName, Accounts } from "./accounts.ts";
import type { Evidence, Login } from "./authenticator.ts";
import { basicHeader } from "./basic.ts";
import type { FailDelay } from "./fail-delay.ts";
import type { LoginVerdict } from "./passwords.ts";
import { tokenLifeSeconds, type OwnTokens } from "./own-tokens.ts";
import type { Principal, TokenAccess } from "./principal.ts";
import type { RefreshTokens } from "./refresh-tokens.ts";
import { repositoryOfTokenName } from "./token-names.ts";
import { answerToken, askForPassword, refuseToken, tellUnavailable } from "./token-answers.ts";
import { readTokenRequest, type TokenProof, type TokenRequest, type UnreadRequest } from "./token-requests.ts";
import { writeScope, type Scope } from "./token-scopes.ts";

export interface TokenServiceOptions {
  /** What clients call us. */
  readonly service: string;
  readonly ownTokens: OwnTokens;
  /** `client` is an address: too many wrong passwords from it are "throttled". */
  readonly checkPassword: (login: Login, client: string, signal: AbortSignal) => Promise<LoginVerdict>;
  /** Undefined: nobody is given a refresh token. */
  readonly refresh: { readonly tokens: RefreshTokens; readonly accounts: Accounts } | undefined;
  readonly grants: Grants;
  readonly names: () => RegistryNames;
  readonly failDelay: Pick<FailDelay, "wait">;
  readonly clock: Clock;
  readonly log: Log;
}

/** What policies say at this moment. A token only narrows what they will say of each request, so what hangs on a request counts as permitted. */
export interface Grants {
  allows(principal: Principal | undefined, action: Action, repository: Repository): boolean;
  allowsCatalog(principal: Principal | undefined): boolean;
  /** Whether there is anything for people without a name; else they are asked to log in. */
  readonly admitsAnonymous: boolean;
}

type Proven =
  | { readonly kind: "proven"; readonly principal: Principal | undefined }
  | { readonly kind: "wrong" }
  | { readonly kind: "throttled"; readonly retryAfterMs: number }
  | { readonly kind: "unavailable"; readonly reason: string };

export class TokenService {
  readonly #options: TokenServiceOptions;

  constructor(options: TokenServiceOptions) {
    this.#options = options;
  }

  /** Answers a request for a token. Rejects when the client has left. */
  async handle(request: Request, evidence: Pick<Evidence, "authorization" | "client">): Promise<Response> {
    const { clock, service, failDelay } = this.#options;
    const asked = await readTokenRequest(request, evidence, clock);
    if ("status" in asked) return this.#unread(asked, evidence, request.signal);
    if (asked.service !== undefined && asked.service !== service)
      return refuseToken(400, "UNSUPPORTED", `this is the token service of "${service}"`, { error: "invalid_request" });
    const proven = await this.#prove(asked.proof, evidence.client, request.signal);
    switch (proven.kind) {
      case "proven":
        if (!proven.principal && !this.#options.grants.admitsAnonymous) return askForPassword(service, "authentication is required for a token");
        return await this.#grant(asked, proven.principal, request.signal);
      case "wrong":
        if (asked.proof.kind === "password") await failDelay.wait([basicHeader(asked.proof.login)], request.signal);
        return askForPassword(service, "the credentials are wrong, or are no longer valid", "invalid_grant");
      case "throttled":
        return refuseToken(429, "TOOMANYREQUESTS", "too many wrong passwords", { headers: { "Retry-After": String(Math.ceil(proven.retryAfterMs / 1_000)) } });
      case "unavailable":
        return tellUnavailable();
      default:
        return proven satisfies never;
    }
  }

  async #unread({ status, error, message }: UnreadRequest, { authorization }: Pick<Evidence, "authorization">, signal: AbortSignal): Promise<Response> {
    const { service, failDelay } = this.#options;
    if (status === 405) return refuseToken(status, "UNSUPPORTED", message, { error, headers: { Allow: "GET, POST" } });
    if (status !== 401) return refuseToken(status, "UNSUPPORTED", message, { error });
    await failDelay.wait(authorization, signal);
    return askForPassword(service, message, error);
  }

  async #prove(proof: TokenProof, client: string, signal: AbortSignal): Promise<Proven> {
    if (proof.kind === "none") return { kind: "proven", principal: undefined };
    if (proof.kind === "refresh") return await this.#redeem(proof.token, signal);
    const verdict = await this.#options.checkPassword(proof.login, client, signal);
    if (verdict.kind === "admitted") return { kind: "proven", principal: verdict.principal };
    return verdict.kind === "refused" ? { kind: "wrong" } : verdict;
  }

  async #redeem(token: string, signal: AbortSignal): Promise<Proven> {
    const { refresh, log } = this.#options;
    if (!refresh) return { kind: "wrong" };
    try {
      const grant = await refresh.tokens.redeem(token);
      if (!grant) return { kind: "wrong" };
      const account = await refresh.accounts.find(grant, signal);
      if (account.kind === "unavailable") return account;
      if (account.kind === "known" && account.stamp === grant.stamp) return { kind: "proven", principal: account.principal };
      // Gone, or with another password: it shall not come to life again with the next one of that name.
      await refresh.tokens.revoke(token);
      return { kind: "wrong" };
    } catch (error) {
      signal.throwIfAborted();
      log.error({ error }, "refresh tokens cannot be read");
      return { kind: "unavailable", reason: "refresh tokens cannot be read" };
    }
  }

  async #grant(asked: TokenRequest, principal: Principal | undefined, signal: AbortSignal): Promise<Response> {
    const { clock, ownTokens } = this.#options;
    const access = asked.scopes.flatMap((scope) => this.#granted(scope, principal) ?? []);
    const issuedAtMs = Math.floor(clock.now() / 1_000) * 1_000;
    const token = await ownTokens.sign({ access, principal, issuedAtMs });
    // Who shows one goes on with it.
    const shown = asked.proof.kind === "refresh" ? asked.proof.token : undefined;
    const refreshToken = shown ?? (asked.wantsRefresh && principal ? await this.#refreshToken(principal, signal) : undefined);
    return answerToken(200, {
      token,
      access_token: token,
      expires_in: tokenLifeSeconds,
      issued_at: new Date(issuedAtMs).toISOString(),
      ...(asked.isForm ? { scope: access.map(writeScope).join(" ") } : {}),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    });
  }

  /** As much of the scope as is permitted, under the name that it was asked by; undefined for nothing. */
  #granted({ type, name, actions }: Scope, principal: Principal | undefined): TokenAccess | undefined {
    const { grants, names } = this.#options;
    if (type === "registry" && name === "catalog") return actions.includes("*") && grants.allowsCatalog(principal) ? { type, name, actions: ["*"] } : undefined;
    const repository = type === "repository" ? repositoryOfTokenName(name, names()) : undefined;
    if (!repository) return undefined;
    const allowed = repositoryActions
      .filter(({ word }) => actions.includes(word) || actions.includes("*"))
      .filter(({ needs }) => needs.some((action) => grants.allows(principal, action, repository)));
    return allowed.length === 0 ? undefined : { type, name, actions: allowed.map(({ word }) => word) };
  }

  /** Undefined when none can be given: the client goes on with its password. */
  async #refreshToken(principal: Principal, signal: AbortSignal): Promise<string | undefined> {
    const { refresh, log } = this.#options;
    const account = accountOf(principal);
    if (!refresh || !account) return undefined;
    try {
      const known = await refresh.accounts.find(account, signal);
      return known.kind === "known" ? await refresh.tokens.issue({ ...account, stamp: known.stamp }) : undefined;
    } catch (error) {
      signal.throwIfAborted();
      log.error({ error }, "refresh token could not be kept");
      return undefined;
    }
  }
}

/** What somebody can be looked up by later. A key is what a refresh token is: it would outlive the key, and know of no scope. */
function accountOf({ name: user, method, voucher }: Principal): AccountName | undefined {
  if (method === "apikey") return undefined;
  if (method !== "oidc") return { user, voucher: undefined };
  return voucher?.subject === undefined ? undefined : { user, voucher: { by: voucher.by, subject: voucher.subject } };
}

/** Words of a token, and what one of must be permitted for each. */
const repositoryActions: readonly { readonly word: string; readonly needs: readonly Action[] }[] = [
  { word: "pull", needs: ["read"] },
  { word: "push", needs: ["create", "update"] },
  { word: "delete", needs: ["delete"] },
];
