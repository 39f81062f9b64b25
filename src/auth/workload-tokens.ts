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
import { objectOf, textOf } from "./json-object.ts";
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
    const document = await fetchJson(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, { fetch, clock });
    const said = textOf(document["issuer"]);
    if (said !== issuer && !skipIssuerVerification)
      throw new Error(`the provider at ${issuer} calls itself ${said === undefined ? "nothing" : `"${said}"`}${slashHint(issuer, said)}`);
    return fetchJson(keySetUrl(document["jwks_uri"], issuer), { fetch, clock, namedBy: issuer });
  }
}

/** The claims as they are written, unchecked; undefined for what is no token. */
function peekClaims(token: string): Claims | undefined {
  const [, payload = "", ...rest] = token.split(".", 4);
  if (rest.length !== 1) return undefined;
  try {
    return objectOf(JSON.parse(Buffer.from(payload, "base64url").toString("utf8")));
  } catch {
    return undefined; // No JSON: no token of anybody.
  }
}

/** A provider's keys come over https, unless the operator himself wrote http. */
function keySetUrl(written: unknown, issuer: string): string {
  const url = URL.parse(textOf(written) ?? "");
  if (!url) throw new Error(`the provider at ${issuer} says nothing of its keys (jwks_uri)`);
  const isAllowed = url.protocol === "https:" || (url.protocol === "http:" && issuer.startsWith("http://"));
  if (!isAllowed || url.username !== "" || url.password !== "")
    throw new Error(`the provider at ${issuer} keeps its keys where they are not to be trusted (jwks_uri)`);
  return url.href;
}

function slashHint(issuer: string, said: string | undefined): string {
  return said !== undefined && said.replace(/\/$/, "") === issuer.replace(/\/$/, "") ? `: write the issuer exactly so, slash and all` : "";
}
