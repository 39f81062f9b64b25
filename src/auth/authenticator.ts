/**
 * Authenticator: one way of learning who asks. A gate asks those that are configured, in the order of zot; the first that has
 * something to say decides, and a credential that was shown and is wrong is final: nobody becomes a stranger by a typing error.
 */
import type { PeerCertificate } from "node:tls";
import type { Principal, TokenAccess } from "./principal.ts";

/** What a request shows of its sender. Header values as they came; nothing here is trusted yet. */
export interface Evidence {
  /** Every Authorization header, each as it came. */
  readonly authorization: readonly string[];
  /** The address of the client, as far as proxies are trusted. */
  readonly client: string;
  readonly userAgent: string | undefined;
  /** The client's certificate, when it came over our own TLS and its chain is good. */
  readonly certificate: PeerCertificate | undefined;
}

export type Verdict =
  /** It has nothing to do with this method: ask the next. A cookie that stands for nobody may be taken back, by this `Set-Cookie`. */
  | { readonly kind: "none"; readonly setCookie?: string }
  | { readonly kind: "admitted"; readonly principal: Principal }
  /** A token that names nobody: somebody without a name, who may do what both the token and the policies permit. */
  | { readonly kind: "anonymous"; readonly access: readonly TokenAccess[] }
  /** Shown, and wrong. `error` is a word of RFC 6750 3.1 where there is one; the reason is for the audit line only. */
  | { readonly kind: "refused"; readonly reason: string; readonly error?: "invalid_token" | "insufficient_scope" }
  /** Nobody can tell just now: a directory or a key server is away. */
  | { readonly kind: "unavailable"; readonly reason: string };

export interface Authenticator {
  readonly method: Principal["method"];
  /**
   * Whom `authenticate` would admit, when a look into memory tells: a login that was right a moment ago, a token that was verified and
   * has not ended. Undefined: ask. The same object each time: what is decided for a principal is remembered by it. Never throws.
   */
  recall?(evidence: Evidence): Principal | undefined;
  /** Never rejects but with the signal's reason. */
  authenticate(evidence: Evidence, signal: AbortSignal): Promise<Verdict>;
}

/** A user and a password, checked by one backend. */
export interface PasswordBackend {
  readonly method: "htpasswd" | "ldap" | "oidc" | "apikey";
  /** Whether it knows the user is told by nothing: not by its time, not by its words. */
  verify(login: Login, signal: AbortSignal): Promise<PasswordVerdict>;
}

/** A backend that knows its own passwords by their look: it alone is shown them. */
export interface TellingPasswords extends PasswordBackend {
  isOwn(password: string): boolean;
  /** How long who was right is remembered, from the question on. */
  readonly rememberedMs: number;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

export type PasswordVerdict =
  | { readonly kind: "right"; readonly principal: Principal }
  | { readonly kind: "wrong" }
  /** Did not answer: it counts as no failed login. */
  | { readonly kind: "unavailable"; readonly reason: string };
