/**
 * Bearer: tokens in the Authorization header (RFC 6750), judged by those who issued them, and the challenge that sends clients for
 * one. Where tokens are configured they replace passwords, as in zot, but for our own token service, which leaves passwords alone.
 */
import type { Authenticator, Evidence, Verdict } from "./authenticator.ts";
import type { Principal } from "./principal.ts";

/** Somebody whose tokens are taken. */
export interface TokenIssuer {
  /** Whom `judge` would admit, when memory tells: the same object each time. Never throws. */
  recall(token: string): Principal | undefined;
  /** "none" for a token that is somebody else's. Rejects with the signal's reason only. */
  judge(token: string, signal: AbortSignal): Promise<Verdict>;
}

export interface BearerOptions {
  /** Asked in this order; the first that has something to say decides. */
  readonly issuers: readonly TokenIssuer[];
  /** What becomes of an Authorization that is no token: zot refuses it; "left" for the methods that come after. */
  readonly otherSchemes: "refused" | "left";
}

export interface Challenge {
  /** The address of the token service. */
  readonly realm: string;
  readonly service: string;
  /** `repository:NAME:pull`; undefined where nothing in particular was asked for. */
  readonly scope?: string | undefined;
  readonly error?: "invalid_token" | "insufficient_scope" | undefined;
}

export class BearerAuthenticator implements Authenticator {
  readonly method = "bearer";
  readonly #options: BearerOptions;

  constructor(options: BearerOptions) {
    this.#options = options;
  }

  recall({ authorization: [header, ...more] }: Evidence): Principal | undefined {
    const token = header === undefined || more.length > 0 ? undefined : tokenPattern.exec(header)?.[1];
    if (token === undefined) return undefined;
    for (const issuer of this.#options.issuers) {
      const principal = issuer.recall(token);
      if (principal) return principal;
    }
    return undefined;
  }

  async authenticate({ authorization }: Evidence, signal: AbortSignal): Promise<Verdict> {
    const { issuers, otherSchemes } = this.#options;
    if (authorization.length > 1) return { kind: "refused", reason: "more than one Authorization header" };
    const [header] = authorization;
    if (header === undefined) return { kind: "none" };
    if (!/^bearer\b/i.test(header)) return otherSchemes === "left" ? { kind: "none" } : { kind: "refused", reason: "an Authorization that is no bearer token" };
    const [, token] = tokenPattern.exec(header) ?? [];
    if (token === undefined) return { kind: "refused", reason: "a bearer token that is none", error: "invalid_token" };
    for (const issuer of issuers) {
      const verdict = await issuer.judge(token, signal);
      if (verdict.kind !== "none") return verdict;
    }
    return { kind: "refused", reason: "a token of an issuer, or for an audience, that is not configured", error: "invalid_token" };
  }
}

/** RFC 6750 2.1; some clients put more than one blank. */
const tokenPattern = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/** The value of `WWW-Authenticate`: Docker's "Token Authentication Specification", with the errors of RFC 6750 3. */
export function bearerChallenge({ realm, service, scope, error }: Challenge): string {
  const parameters: readonly (readonly [string, string | undefined])[] = [
    ["realm", realm],
    ["service", service],
    ["scope", scope],
    ["error", error],
  ];
  return `Bearer ${parameters.flatMap(([name, value]) => (value === undefined ? [] : `${name}=${quoted(value)}`)).join(",")}`;
}

/** What to ask for to list the repositories. */
export const catalogScope = "registry:catalog:*";

/** What to ask for to read a repository, under the name that `tokenNameOf` gives it. Writing asks for what the token will need then. */
export function repositoryScope(name: string, action: "pull" | "push" | "delete" = "pull"): string {
  return `repository:${name}:${action === "push" ? "pull,push" : action}`;
}

/** RFC 9110 5.6.4; what no header can hold is left out. */
function quoted(value: string): string {
  return `"${value.replaceAll(/[^\x20-\x7e]/g, "").replaceAll(/["\\]/g, "\\$&")}"`;
}
