/**
 * TokenVerifier: whether a JSON Web Token was signed by a key that is trusted, for us, and is valid now. RFC 7519, with the advice of
 * RFC 8725. What a token says of itself only ever picks among keys that are trusted already: addresses in it (`jku`, `x5u`) are not
 * read, a key within it must be a trusted one, a certificate within it must lead to a trusted one.
 */
import { createPublicKey, hash, type KeyObject } from "node:crypto";
import type { JWTHeaderParameters } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import { keyOfChain } from "./certificate-chain.ts";
import { objectOf } from "./json-object.ts";
import { thumbprint } from "./key-ids.ts";
import { tokenAlgorithms, tokenKey } from "./token-key.ts";
import type { KeySearch, TokenKeys, TokenOrigin } from "./token-keys.ts";

export type Claims = Readonly<Record<string, unknown>>;

export type TokenVerdict =
  | { readonly kind: "good"; readonly claims: Claims }
  /** The reason is for the audit line: it names the check that failed, and quotes nothing of the token. */
  | { readonly kind: "bad"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

export interface TokenVerifierOptions {
  readonly keys: TokenKeys;
  /** `iss`, exactly; undefined where the operator has not said whose tokens they are: the keys alone decide then. */
  readonly issuer: string | undefined;
  /** One of them must stand in `aud`, exactly. */
  readonly audiences: readonly string[];
  readonly clock: Clock;
}

/** How far clocks may be apart. */
export const leewayMs = 60_000;
/** A token may not be made to live longer than this: nobody can take it back. */
export const tokenLifeMsMax = 86_400_000;
const tokenLengthMax = 64 << 10;
const keyIdLengthMax = 256;
/** Characters of all tokens that were found good and are known again by their SHA-256. */
const rememberedLengthMax = 8 << 20;
const rememberedMax = 10_000;
/** After this it is verified again, so that keys which are fetched are seen to change. */
const rememberedMs = 300_000;
/** RFC 8725 3.11: a JWT of another kind (a logout token, say) is not for us. */
const tokenTypes: ReadonlySet<string> = new Set(["jwt", "at+jwt"]);

interface Remembered {
  readonly claims: Claims;
  readonly generation: number;
  /** On the clock that only grows. */
  readonly untilMs: number;
  readonly expiresAtMs: number;
  readonly startsAtMs: number;
}

type FoundKey = Extract<KeySearch, { kind: "found" }>;

type FreshVerdict = Exclude<TokenVerdict, { kind: "good" }> | ({ readonly kind: "good" } & Omit<Remembered, "untilMs">);

/** Why a key search ended without a key; how it gets out of jose's callback. */
class NoKey extends Error {
  readonly search: Exclude<KeySearch, { kind: "found" }> | { readonly kind: "untrusted"; readonly reason: string };

  constructor(search: NoKey["search"]) {
    super("no key");
    this.search = search;
  }
}

export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #remembered = new LRUCache<string, Remembered>({ max: rememberedMax, maxSize: rememberedLengthMax });

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /** The claims of a token that was good a moment ago and still is: the same object each time. Costs one hash. */
  recall(token: string): Claims | undefined {
    return token.length > tokenLengthMax ? undefined : this.#recall(hash("sha256", token, "base64"));
  }

  /** Judges a token in compact form. Rejects with the signal's reason only. */
  async verify(token: string, signal: AbortSignal, from: TokenOrigin = "anybody"): Promise<TokenVerdict> {
    if (token.length > tokenLengthMax) return { kind: "bad", reason: `a token of ${token.length} characters: at most ${tokenLengthMax}` };
    const id = hash("sha256", token, "base64");
    const known = this.#recall(id);
    if (known) return { kind: "good", claims: known };
    const verdict = await this.#verifyAnew(token, signal, from);
    if (verdict.kind !== "good") return verdict;
    const { kind, ...verified } = verdict;
    this.#remembered.set(id, { ...verified, untilMs: this.#options.clock.elapsed() + rememberedMs }, { size: token.length });
    return { kind, claims: verified.claims };
  }

  #recall(id: string): Claims | undefined {
    const { keys, clock } = this.#options;
    const known = this.#remembered.get(id);
    if (!known) return undefined;
    if (known.generation === keys.generation && clock.elapsed() < known.untilMs && isCurrent(known, clock.now())) return known.claims;
    this.#remembered.delete(id);
    return undefined;
  }

  async #verifyAnew(token: string, signal: AbortSignal, from: TokenOrigin): Promise<FreshVerdict> {
    const { audiences, issuer, clock } = this.#options;
    // Loaded with the first token: without any, nobody pays for it.
    const { jwtVerify, errors } = await import("jose");
    // The generation in which its key was trusted: what stops being trusted meanwhile is not remembered for long.
    let generation = 0;
    const keyFor = async (header: JWTHeaderParameters): Promise<KeyObject> => {
      const found = await this.#keyFor(header, signal, from);
      generation = found.generation;
      return found.key;
    };
    try {
      const { payload } = await jwtVerify(token, keyFor, {
        algorithms: [...tokenAlgorithms],
        audience: [...audiences],
        ...(issuer === undefined ? {} : { issuer }),
        requiredClaims: ["exp"],
        clockTolerance: leewayMs / 1_000,
        currentDate: new Date(clock.now()),
      });
      const startsAtMs = (payload.nbf ?? 0) * 1_000;
      const expiresAtMs = (payload.exp ?? 0) * 1_000;
      const issuedAtMs = (payload.iat ?? payload.nbf ?? clock.now() / 1_000) * 1_000;
      if (issuedAtMs > clock.now() + leewayMs) return { kind: "bad", reason: "issued in the future" };
      if (expiresAtMs - Math.min(issuedAtMs, clock.now()) > tokenLifeMsMax) return { kind: "bad", reason: "lives longer than 24 hours" };
      return { kind: "good", claims: payload, generation, expiresAtMs, startsAtMs };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NoKey) return verdictWithoutKey(error);
      if (error instanceof errors.JOSEError) return { kind: "bad", reason: error.message };
      // A key that does not fit its own algorithm, or the like: the token picked badly.
      if (error instanceof TypeError) return { kind: "bad", reason: "the key cannot have made this signature" };
      throw error;
    }
  }

  async #keyFor(header: JWTHeaderParameters, signal: AbortSignal, from: TokenOrigin): Promise<FoundKey> {
    const { keys, clock } = this.#options;
    const { alg, kid, typ, x5c } = header;
    if (!isTokenType(typ)) throw untrusted("a token of another kind (typ)");
    if (kid !== undefined && (typeof kid !== "string" || kid.length > keyIdLengthMax)) throw untrusted("a key id that is none (kid)");
    const embedded = objectOf(header.jwk);
    const chain = x5c ?? embedded?.["x5c"];
    if (chain !== undefined) return { kind: "found", key: chainKey(chain, alg), generation: keys.generation };
    const search = await keys.find({ algorithm: alg, id: embedded ? embeddedId(embedded) : kid }, signal, from);
    if (search.kind === "found") return search;
    throw new NoKey(search);

    function chainKey(encoded: unknown, algorithm: string): KeyObject {
      const key = keyOfChain(encoded, keys.roots, clock.now());
      if (!key) throw untrusted("a certificate that leads to none that is trusted (x5c)");
      try {
        if (tokenKey(key).algorithms.has(algorithm)) return key;
      } catch (error) {
        throw untrusted(error instanceof Error ? error.message : String(error));
      }
      throw untrusted("a certificate whose key is not for this algorithm (x5c)");
    }
  }
}

function isTokenType(typ: unknown): boolean {
  if (typ === undefined) return true;
  const written = typeof typ === "string" ? typ.toLowerCase() : "";
  return tokenTypes.has(written.replace(/^application\//, ""));
}

/** The name under which a key that a token brings along would be trusted. */
function embeddedId(jwk: Readonly<Record<string, unknown>>): string {
  try {
    return thumbprint(createPublicKey({ format: "jwk", key: jwk }));
  } catch {
    throw untrusted("a key that is none (jwk)");
  }
}

function isCurrent({ startsAtMs, expiresAtMs }: Remembered, nowMs: number): boolean {
  return nowMs < expiresAtMs + leewayMs && startsAtMs <= nowMs + leewayMs;
}

function untrusted(reason: string): NoKey {
  return new NoKey({ kind: "untrusted", reason });
}

function verdictWithoutKey({ search }: NoKey): Exclude<TokenVerdict, { kind: "good" }> {
  if (search.kind === "unavailable") return search;
  return { kind: "bad", reason: search.kind === "unknown" ? "signed by a key that is not trusted" : search.reason };
}
