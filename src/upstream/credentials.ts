/** Credentials: who we are to an upstream, and where that comes from. */
import { digestOf } from "../oci/digest.ts";
import type { UpstreamAuth } from "./upstream-options.ts";

export type Credential =
  /** A name and a password, for Basic and for token services. */
  | { readonly kind: "basic"; readonly id: string; readonly user: string; readonly password: string }
  /** A token that the registry takes as it is. */
  | { readonly kind: "bearer"; readonly id: string; readonly token: string }
  /** A refresh token that buys tokens. */
  | { readonly kind: "identity"; readonly id: string; readonly token: string };

/** Gives the credential that holds now. One that changes has another `id`. */
export interface CredentialSource {
  /** Undefined: ask as anybody. Rejects with `OciError` when there should be one and it cannot be had. */
  current(): Promise<Credential | undefined>;
}

/** Nobody in particular. */
export const anonymous: CredentialSource = { current: () => Promise.resolve(undefined) };

/** The user and password of the configuration; the password is revealed at each use and kept nowhere. */
export function configuredCredential(auth: UpstreamAuth): CredentialSource {
  const { user } = auth;
  return {
    current() {
      const revealed = revealPassword(auth);
      return Promise.resolve({ kind: "basic", id: digestOf(Buffer.from(JSON.stringify([user, revealed]))), user, password: revealed });
    },
  };
}

export function revealPassword({ password }: UpstreamAuth): string {
  return typeof password === "string" ? password : password();
}

/** The value of an Authorization header for Basic. RFC 7617, in UTF-8. */
export function basicAuthorization(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
