/**
 * BrowserNonce: the `nonce` (OpenID Connect Core 1.0, 3.1.2.1) of logins that we begin ourselves. An ID token of such a login is shown to the
 * provider again when its session ends, in an address that is left in a browser's history and in logs. Whoever finds it there can change
 * nothing of it: by its nonce it is known, and counts for nothing but that.
 */
import { randomBytes } from "node:crypto";
import type { Claims } from "../token-verifier.ts";

const prefix = "ociregistry-browser-";

/** 256 random bits behind what all of them begin with; letters, digits, `-` and `_`. */
export function drawBrowserNonce(): string {
  return prefix + randomBytes(32).toString("base64url");
}

/** Whether a token is of a login in a browser that we began, or another server of our kind. */
export function isOfBrowserLogin({ nonce }: Claims): boolean {
  return typeof nonce === "string" && nonce.startsWith(prefix);
}
