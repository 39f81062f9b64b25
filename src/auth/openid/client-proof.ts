/** How we show a provider that we are the client it knows: by a secret, by a private key (private_key_jwt), or not at all. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import type { ClientAuth } from "openid-client";
import { Secret } from "../../oci/secret.ts";

/** A private key, for one algorithm. */
export class ClientKey {
  readonly key: KeyObject;
  readonly algorithm: keyof typeof importAlgorithms;

  constructor(key: KeyObject, algorithm: ClientKey["algorithm"]) {
    this.key = key;
    this.algorithm = algorithm;
  }
}

const importAlgorithms = {
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  ES256: { name: "ECDSA", namedCurve: "P-256" },
  ES384: { name: "ECDSA", namedCurve: "P-384" },
  Ed25519: { name: "Ed25519" },
} as const;

/** Reads PEM text. Throws an Error that quotes nothing of it. */
export function parseClientKey(pem: string): ClientKey {
  const key = readKey(pem);
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2_048) return new ClientKey(key, "RS256");
  if (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1") return new ClientKey(key, "ES256");
  if (key.asymmetricKeyType === "ec" && namedCurve === "secp384r1") return new ClientKey(key, "ES384");
  if (key.asymmetricKeyType === "ed25519") return new ClientKey(key, "Ed25519");
  throw new Error("a private key that no provider takes: RSA of 2048 bits or more, P-256, P-384 or Ed25519 is wanted");
}

/** `supported`: `token_endpoint_auth_methods_supported` of the provider's document. */
export function clientAuthOf(
  { ClientSecretBasic, ClientSecretPost, None, PrivateKeyJwt }: typeof import("openid-client"),
  proof: Secret | ClientKey | undefined,
  supported: unknown,
): ClientAuth {
  if (proof === undefined) return None();
  if (proof instanceof ClientKey) return PrivateKeyJwt(proof.key.toCryptoKey(importAlgorithms[proof.algorithm], false, ["sign"]));
  // What is not said is Basic: OpenID Connect Discovery 1.0, 3.
  const takesBasic = !Array.isArray(supported) || supported.includes("client_secret_basic");
  return takesBasic ? ClientSecretBasic(proof.reveal()) : ClientSecretPost(proof.reveal());
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error("holds no private key that can be read: PEM without a password is wanted"); // The system's words may quote it.
  }
}
