/**
 * WorkloadTokens: tokens that an OpenID provider gives to programs (Kubernetes service accounts, CI jobs): zot's `auth.bearer.oidc`.
 * They say who it is, and nothing of what it may do: policies decide that. The provider is found by OpenID Connect Discovery 1.0 when the
 * first token comes; while it is away, the keys that it gave stay good.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Verdict } from "./authenticator.ts";
import type { TokenIssuer } from "./bearer.ts";
import type { ClaimMapping } from "./claim-mapping.ts";
import { fetchJson, type OutboundFetch } from "./json-fetch.ts";
import { isOfBrowserLogin } from "./openid/browser-nonce.ts";
import { discover, trustedUrl } from "./openid/discovery.ts";
import { peekClaims } from "./peeked-claims.ts";
import type { Principal } from "./principal.ts";
import { RemoteKeys } from "./remote-keys.ts";
import { TokenVerifier, type Claims } from "./token-verifier.ts";

export interface WorkloadTokensOptions {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** The provider may call itself otherwise than its address, in its document and its tokens. */
  readonly skipIssuerVerification: boolean;
  readonly mapping: ClaimMapping;
  /** Trusts the authority that is configured for this provider. */
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
  readonly background: Background;
  readonly log: Log;
}

export class WorkloadTokens implements TokenIssuer {
  readonly #options: WorkloadTokensOptions;
  readonly #verifier: TokenVerifier;
  readonly #principals = new WeakMap<Claims, Principal>();

  constructor(options: WorkloadTokensOptions) {
    this.#options = options;
    const { issuer, audiences, skipIssuerVerification, clock, background, log } = options;
    const keys = new RemoteKeys({ source: issuer, load: () => this.#loadKeys(), clock, background, log });
    this.#verifier = new TokenVerifier({ keys, issuer: skipIssuerVerification ? undefined : issuer, audiences, clock });
  }

  recall(token: string): Principal | undefined {
    const claims = this.#verifier.recall(token);
    return claims && this.#principals.get(claims);
  }

  async judge(token: string, signal: AbortSignal): Promise<Verdict> {
    if (!this.#isFor(token)) return { kind: "none" };
    const verdict = await this.#verifier.verify(token, signal);
    if (verdict.kind === "bad") return { kind: "refused", reason: verdict.reason, error: "invalid_token" };
    if (verdict.kind === "unavailable") return verdict;
    const { claims } = verdict;
    if (isOfBrowserLogin(claims)) return { kind: "refused", reason: "an ID token of a login with a browser, which is no workload's", error: "invalid_token" };
    const known = this.#principals.get(claims);
    if (known) return { kind: "admitted", principal: known };
    const mapped = this.#options.mapping(claims);
    if (mapped.kind === "refused") return { kind: "refused", reason: mapped.reason, error: "invalid_token" };
    const principal: Principal = { name: mapped.name, groups: mapped.groups, method: "oidc", claims };
    this.#principals.set(claims, principal);
    return { kind: "admitted", principal };
  }

  /** Whether the token says that this provider gave it, for us. Nothing is believed by that: it only picks who is to check. */
  #isFor(token: string): boolean {
    const { issuer, audiences, skipIssuerVerification } = this.#options;
    const { iss, aud } = peekClaims(token) ?? {};
    const said: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
    return (skipIssuerVerification || iss === issuer) && said.some((audience) => audiences.some((own) => own === audience));
  }

  /** The key set, wherever the provider keeps it now. */
  async #loadKeys(): Promise<Readonly<Record<string, unknown>>> {
    const { issuer, skipIssuerVerification, fetch, clock } = this.#options;
    const { metadata } = await discover({ issuer, metadataUrl: undefined, skipIssuerVerification }, { fetch, clock });
    return fetchJson(trustedUrl(metadata, "jwks_uri", issuer), { fetch, clock, namedBy: issuer });
  }
}
