/** What a token says of itself, before anybody has checked it: nothing is believed by that, it only picks who is to check. */
import { findObject } from "./json-object.ts";
import type { Claims } from "./token-verifier.ts";

/** The claims as they are written; undefined for what is no token. */
export function peekClaims(token: string): Claims | undefined {
  const [, payload = "", ...rest] = token.split(".", 4);
  return rest.length === 1 ? parsePart(payload) : undefined;
}

/**
 * What a password looks like: a signed token (RFC 7515), an encrypted one (RFC 7516), or neither. Whoever has a password of three or
 * five parts, of which the first is a header in base64url, has been given it by a provider of tokens.
 */
export function kindOfToken(password: string): "signed" | "encrypted" | undefined {
  if (!/^[\w-]+(?:\.[\w-]*){2,4}$/.test(password)) return undefined;
  const [header = "", ...others] = password.split(".");
  if (others.length === 3 || typeof parsePart(header)?.["alg"] !== "string") return undefined;
  return others.length === 2 ? "signed" : "encrypted";
}

function parsePart(part: string): Claims | undefined {
  return findObject(Buffer.from(part, "base64url").toString("utf8"));
}
