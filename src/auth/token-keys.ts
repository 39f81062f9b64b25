/**
 * TokenKeys: the keys that tokens may be signed with. Those of a file, PEM or a JSON Web Key Set (RFC 7517), stand until the
 * configuration is read anew; `remote-keys.ts` has those that are fetched, `signing-keys.ts` our own.
 */
import { createPublicKey, X509Certificate, type KeyObject } from "node:crypto";
import { objectOf } from "./json-object.ts";
import { selectKey, tokenKey, tokenKeyOfJwk, type KeyHint, type TokenKey } from "./token-key.ts";

export interface TokenKeys {
  /** Another number once something else is trusted: what was verified before is verified again then. */
  readonly generation: number;
  /** Certificates that may vouch for a chain within a token. */
  readonly roots: readonly X509Certificate[];
  /** Never rejects but with the signal's reason. */
  find(hint: KeyHint, signal: AbortSignal, from?: TokenOrigin): Promise<KeySearch>;
}

/** Where a token comes from. "issuer": from whoever signed it, just now, so that no stranger has made up its key id. */
export type TokenOrigin = "issuer" | "anybody";

export type KeySearch =
  /** `generation`: the one in which it was trusted. */
  | { readonly kind: "found"; readonly key: KeyObject; readonly generation: number }
  | { readonly kind: "unknown" }
  /** Nobody can tell just now: the keys are elsewhere, and that is away. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Keys in one key set or one bundle. */
export const keysMax = 256;
/** Characters of such a file. */
export const keyFileLengthMax = 1 << 20;

/** Keys that do not change. */
export class FixedKeys implements TokenKeys {
  readonly generation = 0;
  readonly roots: readonly X509Certificate[];
  readonly #keys: readonly TokenKey[];

  constructor(keys: readonly TokenKey[], roots: readonly X509Certificate[]) {
    this.#keys = keys;
    this.roots = roots;
  }

  find(hint: KeyHint): Promise<KeySearch> {
    const key = selectKey(this.#keys, hint, { acceptsUnknownId: true });
    return Promise.resolve(key ? { kind: "found", key, generation: this.generation } : { kind: "unknown" });
  }
}

/**
 * The keys of `text`: PEM certificates and public keys, or a key set, or a single key as JSON. Throws an Error that says what is
 * wrong with it; it quotes nothing of the text, which may be a private key by mistake.
 */
export function parseTokenKeys(text: string): FixedKeys {
  if (text.length > keyFileLengthMax) throw new Error(`${text.length} characters: at most ${keyFileLengthMax}`);
  const { keys, roots } = text.trimStart().startsWith("{") ? parseJson(text) : parsePem(text);
  const distinct = distinctKeys(keys);
  if (distinct.length === 0) throw new Error("holds no key that can check a token: a PEM certificate, a PEM public key, or a key set is wanted");
  if (distinct.length > keysMax) throw new Error(`holds ${distinct.length} keys: at most ${keysMax}`);
  return new FixedKeys(distinct, roots);
}

/** The usable keys of a key set's JSON; those for another purpose are left out. Throws an Error for what is no key set, and for a broken key in it. */
export function readKeySet(set: Readonly<Record<string, unknown>>): readonly TokenKey[] {
  return membersOf(set).flatMap((jwk) => tokenKeyOfJwk(jwk) ?? []);
}

/** As `readKeySet`, but a broken or weak key among good ones is as if it were not there: the set is somebody else's. */
export function readForeignKeySet(set: Readonly<Record<string, unknown>>): readonly TokenKey[] {
  return membersOf(set).flatMap((jwk) => {
    try {
      return tokenKeyOfJwk(jwk) ?? [];
    } catch {
      return []; // Whoever signs with it hears that the key is unknown.
    }
  });
}

function membersOf({ keys }: Readonly<Record<string, unknown>>): readonly Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(keys)) throw new Error("is no key set: it has no list of keys");
  if (keys.length > keysMax) throw new Error(`holds ${keys.length} keys: at most ${keysMax}`);
  return keys.map((jwk) => objectOf(jwk) ?? {});
}

interface Parsed {
  readonly keys: readonly TokenKey[];
  readonly roots: readonly X509Certificate[];
}

function parseJson(text: string): Parsed {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text.
    throw new Error("is neither PEM nor JSON");
  }
  const set = objectOf(read) ?? {};
  return { keys: readKeySet(set["keys"] === undefined && set["kty"] !== undefined ? { keys: [set] } : set), roots: [] };
}

function parsePem(text: string): Parsed {
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----/g)];
  if (blocks.some(([, label = ""]) => label.endsWith("PRIVATE KEY")))
    throw new Error("holds a private key: only the public one, or its certificate, belongs here");
  const keys: TokenKey[] = [];
  const roots: X509Certificate[] = [];
  for (const [block, label = ""] of blocks) {
    if (label === "CERTIFICATE") {
      const certificate = new X509Certificate(block);
      roots.push(certificate);
      keys.push(tokenKey(certificate.publicKey));
    } else if (label === "PUBLIC KEY" || label === "RSA PUBLIC KEY") keys.push(tokenKey(createPublicKey(block)));
  }
  return { keys, roots };
}

/** One certificate renewed is two of the same key. */
function distinctKeys(keys: readonly TokenKey[]): readonly TokenKey[] {
  return keys.filter(({ key }, index) => keys.findIndex((other) => other.key.equals(key)) === index);
}
