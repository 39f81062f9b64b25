/** TokenKey: a public key that may have signed a token, with the names it answers to and the algorithms it is trusted with. */
import { createPublicKey, type JsonWebKeyInput, type KeyObject } from "node:crypto";
import { keyIds } from "./key-ids.ts";

/** `alg` of RFC 7518 and RFC 8037 that may sign a token. Asymmetric ones only: whoever can check a token must not be able to make one. */
export const tokenAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"] as const;

export interface TokenKey {
  readonly key: KeyObject;
  readonly ids: ReadonlySet<string>;
  readonly algorithms: ReadonlySet<string>;
}

/** What a token's header says of its key. */
export interface KeyHint {
  readonly algorithm: string;
  readonly id: string | undefined;
}

/** RSA keys below this are refused when they are read. NIST SP 800-131A. */
const rsaBitsMin = 2_048;
/** Above this one signature would keep a thread busy for too long. */
const rsaBitsMax = 8_192;
const rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const curveAlgorithms: Readonly<Record<string, string>> = { prime256v1: "ES256", secp384r1: "ES384", secp521r1: "ES512" };

/** A key to trust. Throws an Error that says why it cannot be: weak, or of a kind that signs no tokens. `said` is what its key set says of it. */
export function tokenKey(key: KeyObject, said: { readonly id?: string | undefined; readonly algorithm?: string | undefined } = {}): TokenKey {
  if (key.type !== "public") throw new Error(`a ${key.type} key: tokens are checked with public ones`);
  const fitting = algorithmsOf(key);
  const algorithms = said.algorithm === undefined ? fitting : fitting.filter((algorithm) => sameAlgorithm(algorithm, said.algorithm));
  if (algorithms.length === 0) throw new Error(`a key of the kind ${String(key.asymmetricKeyType)} for the algorithm "${said.algorithm}"`);
  return { key, ids: keyIds(key, said.id), algorithms: new Set(algorithms) };
}

/**
 * A key of a key set (RFC 7517). Undefined for one that is there for another purpose: encryption, or a shared secret. Throws an Error
 * for one that is broken, weak, or private.
 */
export function tokenKeyOfJwk(jwk: Readonly<Record<string, unknown>>): TokenKey | undefined {
  const { kty, use, alg, kid } = jwk;
  if (jwk["d"] !== undefined) throw new Error("a private key: a key set for checking tokens holds public ones");
  if ((kty !== "RSA" && kty !== "EC" && kty !== "OKP") || (use !== undefined && use !== "sig")) return undefined;
  if (alg !== undefined && !tokenAlgorithms.some((algorithm) => algorithm === alg)) return undefined;
  if (Array.isArray(jwk["key_ops"]) && !jwk["key_ops"].includes("verify")) return undefined;
  if (kty === "OKP" && jwk["crv"] !== "Ed25519") return undefined;
  const key: JsonWebKeyInput = { format: "jwk", key: jwk };
  return tokenKey(createPublicKey(key), { id: typeof kid === "string" ? kid : undefined, algorithm: typeof alg === "string" ? alg : undefined });
}

/**
 * The one key that the hint can mean, or undefined. `acceptsUnknownId`: where a single key is trusted at all, an id that nobody knows
 * means that one (Docker's clients and zot's users have such tokens).
 */
export function selectKey(keys: readonly TokenKey[], { algorithm, id }: KeyHint, { acceptsUnknownId }: { acceptsUnknownId: boolean }): KeyObject | undefined {
  const fitting = keys.filter(({ algorithms }) => algorithms.has(algorithm));
  const named = id === undefined ? fitting : fitting.filter(({ ids }) => ids.has(id));
  if (named.length === 0 && acceptsUnknownId && keys.length === 1) return fitting[0]?.key;
  // Two keys of one name: nothing says which of them is meant.
  return named.length === 1 ? named[0]?.key : undefined;
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa") {
    if (modulusLength < rsaBitsMin) throw new Error(`an RSA key of ${modulusLength} bits: at least ${rsaBitsMin}`);
    if (modulusLength > rsaBitsMax) throw new Error(`an RSA key of ${modulusLength} bits: at most ${rsaBitsMax}`);
    return rsaAlgorithms;
  }
  if (key.asymmetricKeyType === "ed25519") return ["EdDSA", "Ed25519"];
  const algorithm = key.asymmetricKeyType === "ec" ? curveAlgorithms[namedCurve] : undefined;
  if (algorithm === undefined)
    throw new Error(`a key of the kind ${String(key.asymmetricKeyType)} ${namedCurve}: tokens are signed with RSA, P-256, P-384, P-521 or Ed25519`);
  return [algorithm];
}

/** `Ed25519` is RFC 9864's name for what a key set calls `EdDSA`. */
function sameAlgorithm(one: string, other: string | undefined): boolean {
  const plain = (name: string | undefined): string | undefined => (name === "Ed25519" ? "EdDSA" : name);
  return plain(one) === plain(other);
}
