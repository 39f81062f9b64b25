/** What a token says of itself, before anybody has checked it: nothing is believed by that, it only picks who is to check. */
import { objectOf } from "./json-object.ts";
import type { Claims } from "./token-verifier.ts";

/** The claims as they are written; undefined for what is no token. */
export function peekClaims(token: string): Claims | undefined {
  const [, payload = "", ...rest] = token.split(".", 4);
  return rest.length === 1 ? parsePart(payload) : undefined;
}

function parsePart(part: string): Claims | undefined {
  try {
    return objectOf(JSON.parse(Buffer.from(part, "base64url").toString("utf8")));
  } catch {
    return undefined; // No JSON: no token of anybody.
  }
}
