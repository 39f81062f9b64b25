/**
 * Digest: the name of exact bytes, `algorithm:encoded`.
 * OCI image-spec "Digests"; the registered algorithms sha256 and sha512 are the ones we can verify, so they are the ones we take.
 */
import { createHash, hash, type Hash } from "node:crypto";
import { OciError } from "./errors.ts";

declare const digestBrand: unique symbol;

/** A digest that has been parsed: lower-case hex of the right length, of an algorithm that we can verify. */
export type Digest = string & { readonly [digestBrand]: true };

export type DigestAlgorithm = "sha256" | "sha512";

/** The algorithms that we can verify, the usual one first. */
export const digestAlgorithms: readonly DigestAlgorithm[] = ["sha256", "sha512"];

const hexLengths = { sha256: 64, sha512: 128 } as const satisfies Record<DigestAlgorithm, number>;
const digestLengthMax = "sha512:".length + hexLengths.sha512;
const hexPattern = /^[a-f0-9]+$/;

/** Parses `raw`, or throws `DIGEST_INVALID`: malformed, or an algorithm that we do not know. */
export function parseDigest(raw: string): Digest {
  const digest = findDigest(raw);
  if (digest) return digest;
  throw new OciError("DIGEST_INVALID", `"${raw.slice(0, digestLengthMax)}" is not a sha256 or sha512 digest`);
}

/** `raw` as a digest, or undefined when it is not one. Never throws. */
export function findDigest(raw: string): Digest | undefined {
  if (raw.length > digestLengthMax) return undefined;
  const [algorithm, encoded, ...rest] = raw.split(":");
  if (!encoded || rest.length > 0) return undefined;
  if (algorithm !== "sha256" && algorithm !== "sha512") return undefined;
  if (encoded.length !== hexLengths[algorithm] || !hexPattern.test(encoded)) return undefined;
  return raw as Digest;
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith("sha256:") ? "sha256" : "sha512";
}

/** The encoded part: lower-case hex, safe as a file name. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The digest of bytes that are all in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  return `${algorithm}:${hash(algorithm, bytes, "hex")}` as Digest;
}

/** Hashes bytes that arrive piece by piece. `digest()` ends it; it may be called once. */
export class Digester {
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: Hash;

  constructor(algorithm: DigestAlgorithm) {
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.digest("hex")}` as Digest;
  }
}
