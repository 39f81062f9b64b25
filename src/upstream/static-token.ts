/**
 * Static tokens: what an operator was given and never changes. "basic" is what the Go ociregistry calls `auth.token.static`: the
 * base64 of `user:password`, sent to the registry before it asks.
 */
import { anonymous, basicAuthorization, identified, type CredentialContent, type CredentialSource } from "./credentials.ts";
import type { StaticTokenOptions } from "./upstream-options.ts";

/** The source of a token that is revealed at each use and kept nowhere else. */
export function staticTokenSource({ token, scheme }: StaticTokenOptions): CredentialSource {
  return {
    ...anonymous,
    current: () => Promise.resolve(identified(scheme === "bearer" ? { kind: "bearer", token: token.reveal() } : basicContent(token.reveal()))),
  };
}

/** What stands behind the text of a Basic header: a user and a password where it says so, which can buy tokens too. */
export function basicContent(token: string): CredentialContent {
  const decoded = Buffer.from(token, "base64").toString("utf8");
  const colonAt = decoded.indexOf(":");
  const [user, password] = [decoded.slice(0, Math.max(0, colonAt)), decoded.slice(colonAt + 1)];
  const isSame = colonAt > 0 && basicAuthorization(user, password) === `Basic ${token}`;
  return isSame ? { kind: "basic", user, password, isShownUnasked: true } : { kind: "opaque", token };
}
