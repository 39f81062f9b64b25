/**
 * A bundle's signature: Ed25519 over the bytes of its manifest, 64 bytes, as `openssl pkeyutl -verify -rawin` takes it too. RFC 8032.
 */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { BundleRefused } from "./bundle-refused.ts";

export const signatureBytes = 64;

/** Reads a private key (PEM, PKCS #8) as `openssl genpkey -algorithm ed25519` writes it. Throws `BundleRefused`. */
export function readSigningKey(pem: string): KeyObject {
  return ed25519(() => createPrivateKey(pem), "the key to sign with");
}

/** Reads a public key (PEM) as `openssl pkey -pubout` writes it. Throws `BundleRefused`. */
export function readVerifyingKey(pem: string): KeyObject {
  // Its public half could be had from it; but whoever verifies is not to have it at all.
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem))
    throw new BundleRefused("the key to verify with is a private key: give the public one, as `openssl pkey -pubout` writes it");
  return ed25519(() => createPublicKey(pem), "the key to verify with");
}

export function signManifest(manifest: Uint8Array, key: KeyObject): Buffer {
  return sign(null, manifest, key);
}

/** Throws `BundleRefused` unless `signature` is the key's own of just these bytes. */
export function checkSignature(manifest: Uint8Array, signature: Uint8Array | undefined, key: KeyObject): void {
  if (!signature) throw new BundleRefused("the bundle is not signed");
  if (!verify(null, manifest, key, signature)) throw new BundleRefused("the bundle's signature is wrong: made with another key, or for another bundle");
}

function ed25519(read: () => KeyObject, what: string): KeyObject {
  const key = tryRead(read, what);
  if (key.asymmetricKeyType === "ed25519") return key;
  throw new BundleRefused(`${what} is of the kind ${String(key.asymmetricKeyType)}: make one with \`openssl genpkey -algorithm ed25519\``);
}

function tryRead(read: () => KeyObject, what: string): KeyObject {
  try {
    return read();
  } catch (error) {
    // Without the cause: what OpenSSL says of a key that it cannot read may hold a piece of it.
    if (!(error instanceof Error)) throw error;
    throw new BundleRefused(`${what} cannot be read: it has to be PEM, without a password`);
  }
}
