/** Tokens made by hand, good ones and forged: signed with nothing but node's own crypto, so that no library refuses to make a bad one. */
import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** What the header of a good token says. */
  readonly algorithm: "RS256" | "ES256" | "EdDSA";
}

export function rsaKey(modulusLength = 2_048): SigningKey {
  return { ...generateKeyPairSync("rsa", { modulusLength }), algorithm: "RS256" };
}

export function ellipticKey(): SigningKey {
  return { ...generateKeyPairSync("ec", { namedCurve: "P-256" }), algorithm: "ES256" };
}

export function edwardsKey(): SigningKey {
  return { ...generateKeyPairSync("ed25519"), algorithm: "EdDSA" };
}

/** The key's public half as a member of a key set. */
export function jwkOf({ publicKey, algorithm }: SigningKey, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { ...publicKey.export({ format: "jwk" }), use: "sig", alg: algorithm, ...more };
}

export function publicPem({ publicKey }: SigningKey): string {
  return publicKey.export({ type: "spki", format: "pem" }).toString();
}

/** A token with exactly this header (beside `alg` and `typ`, which it may replace) and these claims. */
export function signToken(key: SigningKey, claims: unknown, header: Readonly<Record<string, unknown>> = {}): string {
  const input = `${encode({ alg: key.algorithm, typ: "JWT", ...header })}.${encode(claims)}`;
  return `${input}.${signature(key, input).toString("base64url")}`;
}

/** The oldest forgery: signed with a secret that is no secret. */
export function signWithSecret(secret: string | Buffer, claims: unknown, header: Readonly<Record<string, unknown>> = {}): string {
  const input = `${encode({ alg: "HS256", typ: "JWT", ...header })}.${encode(claims)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

/** Signed by nobody. */
export function unsignedToken(claims: unknown, header: Readonly<Record<string, unknown>> = { alg: "none" }): string {
  return `${encode({ typ: "JWT", ...header })}.${encode(claims)}.`;
}

function signature({ privateKey, algorithm }: SigningKey, input: string): Buffer {
  if (algorithm === "EdDSA") return sign(null, Buffer.from(input), privateKey);
  return sign("sha256", Buffer.from(input), algorithm === "ES256" ? { key: privateKey, dsaEncoding: "ieee-p1363" } : privateKey);
}

function encode(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}
