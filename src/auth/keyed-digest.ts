/**
 * KeyedDigest: HMAC-SHA-256 (RFC 2104) under a key that nobody but this process has and that ends with it. What was shown can be
 * recognised by it, and nothing can be learnt from it.
 */
import { hash, randomBytes } from "node:crypto";

/** The block of SHA-256. */
export const keyBytes = 64;

export class KeyedDigest {
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  /** `key` has `keyBytes` bytes. */
  constructor(key: Buffer = randomBytes(keyBytes)) {
    if (key.length !== keyBytes) throw new Error(`a key of ${key.length} bytes: it takes ${keyBytes}`);
    this.#inner = Buffer.from(key.map((byte) => byte ^ 0x36));
    this.#outer = Buffer.from(key.map((byte) => byte ^ 0x5c));
  }

  /** 43 characters of base64url. Takes a few microseconds: it stands in the way of every request that shows a password. */
  of(text: string): string {
    // Two hashes at one go each: `createHmac` costs ten times as much before it has seen a byte.
    const within = hash("sha256", Buffer.concat([this.#inner, Buffer.from(text)]), "buffer");
    return hash("sha256", Buffer.concat([this.#outer, within]), "base64url");
  }
}
