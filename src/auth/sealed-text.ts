/**
 * SealedText: a text that is kept where others may read, such that only who has the secret reads it: AES-256-GCM, its key drawn from the
 * secret by HKDF-SHA-256. The secret is 256 random bits that are not kept beside it: what a browser holds, say.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

/** What a key is drawn from. */
export interface SealSecret {
  readonly secret: string;
  /** One more secret, of the operator's; empty for none. */
  readonly pepper: string;
  /** What is sealed: a text that was sealed for one use opens for no other. */
  readonly use: string;
}

const nonceBytes = 12;
const tagBytes = 16;

/** Base64url of nonce, tag and cipher text. */
export function seal(text: string, by: SealSecret): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", keyOf(by), nonce);
  const encrypted = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]).toString("base64url");
}

/** The text; undefined when it was sealed by another secret or for another use, or when a bit of it is another. */
export function unseal(sealed: string, by: SealSecret): string | undefined {
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.byteLength < nonceBytes + tagBytes) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", keyOf(by), bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]).toString("utf8");
  } catch {
    return undefined; // The tag does not fit, which is all that it ever says.
  }
}

/** The secret is random enough to need no slow hash. */
function keyOf({ secret, pepper, use }: SealSecret): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, pepper, use, 32));
}
