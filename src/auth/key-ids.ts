/**
 * Key ids: the names by which a token may say which key signed it. Nobody agrees on one: Keycloak and distribution 2 take libtrust's
 * fingerprint, distribution 3 the thumbprint of RFC 7638, an OpenID provider what its key set says. A key answers to all of them.
 */
import { createHash, type KeyObject } from "node:crypto";

/** Every name of a public key: libtrust's fingerprint, the thumbprint, and `said`, the `kid` that came with it. */
export function keyIds(key: KeyObject, said?: string): ReadonlySet<string> {
  const ids = new Set([libtrustFingerprint(key), thumbprint(key)]);
  if (said !== undefined) ids.add(said);
  return ids;
}

/**
 * libtrust's fingerprint: the first 30 bytes of the SHA-256 of the DER SubjectPublicKeyInfo in base32, twelve groups of four
 * between colons. Docker's "Token Authentication Implementation", "kid".
 */
export function libtrustFingerprint(key: KeyObject): string {
  const digest = createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
  return (base32(digest.subarray(0, 30)).match(/.{4}/g) ?? []).join(":");
}

/** The SHA-256 thumbprint of RFC 7638, in base64url. Throws an Error for a kind of key that no token is signed with. */
export function thumbprint(key: KeyObject): string {
  const { kty, crv, n, e, x, y } = key.export({ format: "jwk" });
  return createHash("sha256").update(JSON.stringify(requiredMembers())).digest("base64url");

  /** The members that RFC 7638 3.2 and RFC 8037 2 name, in the order of their names. */
  function requiredMembers(): Readonly<Record<string, unknown>> {
    if (kty === "RSA") return { e, kty, n };
    if (kty === "EC") return { crv, kty, x, y };
    if (kty === "OKP") return { crv, kty, x };
    throw new Error(`a key of the kind ${String(kty)} has no thumbprint here`);
  }
}

/** RFC 4648 6, without padding. `bytes` is a multiple of five long. */
function base32(bytes: Uint8Array): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let [text, bits, held] = ["", 0, 0];
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(held >> (bits - 5)) & 31] ?? "";
  }
  return text;
}
