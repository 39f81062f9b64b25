/** IdentityProvider: somebody who knows people, as those see it who send browsers there and take them back. */
import type { Secret } from "../../oci/secret.ts";

export interface IdentityProvider {
  readonly name: "oidc" | "google" | "gitlab" | "github";
  /** The address by which it is who it is: another one is another provider, which is shown nothing of what this one gave. */
  readonly issuer: string;
  /** On the button. */
  readonly title: string;
  /** Where the provider sends browsers back to, when the operator has said so himself. */
  readonly redirectUri: string | undefined;
  /** Where a browser is sent to log in. Throws `ProviderUnavailable`. */
  begin(login: LoginUnderWay): Promise<URL>;
  /** Who came back to `callback`. Throws `LoginRefused`, `ProviderUnavailable`. */
  finish(callback: URL, login: LoginUnderWay): Promise<ProviderIdentity>;
  /** The same person as the provider sees it now; "ended": it knows that login no more, or that person. Throws `ProviderUnavailable`. */
  refresh(identity: { readonly refreshToken: Secret }): Promise<ProviderIdentity | "ended">;
  /** Where a browser is sent to log out at the provider too; undefined where there is no such place. Throws `ProviderUnavailable`. */
  endSessionUrl(how: { readonly postLogoutRedirectUri: string; readonly idTokenHint?: Secret | undefined }): Promise<URL | undefined>;
}

/** Made for one login, kept where its browser cannot change it, and used once. */
export interface LoginUnderWay {
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  /** RFC 7636 4.1. */
  readonly codeVerifier: string;
}

export interface ProviderIdentity {
  readonly provider: IdentityProvider["name"];
  /** Who it is to the provider, for ever. */
  readonly subject: string;
  /** Who it is to us: a claim, or the name that its e-mail address is linked to. */
  readonly name: string;
  readonly groups: readonly string[];
  readonly email: string | undefined;
  readonly emailVerified: boolean | undefined;
  /** For `refresh`; undefined where the provider gave none. */
  readonly refreshToken: Secret | undefined;
  readonly idToken: Secret | undefined;
}

/** Nobody can tell just now: the provider does not answer, or says nothing of use. */
export class ProviderUnavailable extends Error {
  /** What it gave in place of the refresh token that it was shown, before it failed: the other one is good no longer. */
  readonly refreshToken: Secret | undefined;

  constructor(provider: string, reason: string, { refreshToken, ...options }: ErrorOptions & { readonly refreshToken?: Secret | undefined } = {}) {
    super(`openid provider ${provider}: ${reason}`, options);
    this.name = "ProviderUnavailable";
    this.refreshToken = refreshToken;
  }
}

/** This login comes to nothing. `reason` and `hint` are for the log: what failed, and what the operator may do about it. */
export class LoginRefused extends Error {
  readonly reason: string;
  readonly hint: string | undefined;
  /** The provider's own word for it (RFC 6749 5.2, RFC 6750 3.1), `unreadable` or `untrusted`; undefined where it is we who refuse. */
  readonly word: string | undefined;

  constructor(reason: string, hint?: string, { word, ...options }: ErrorOptions & { readonly word?: string } = {}) {
    super(hint === undefined ? reason : `${reason}: ${hint}`, options);
    this.name = "LoginRefused";
    this.reason = reason;
    this.hint = hint;
    this.word = word;
  }
}
