/** Google's key files: the key of a service account, or a configuration of workload identity federation. */
import { createPrivateKey } from "node:crypto";
import type { AwsClientOptions, IdentityPoolClientOptions, PluggableAuthClientOptions } from "google-auth-library";
import { OciError } from "../oci/errors.ts";
import { readCredentialFile } from "./credential-files.ts";
import { objectOf, parseJsonObject } from "./json-object.ts";
import { plainWords } from "./plain-words.ts";

export type GcpKey =
  | { readonly kind: "service-account"; readonly email: string; readonly privateKey: string; readonly keyId: string | undefined }
  /** `from`: whose token is shown to Google. */
  | { readonly kind: "external-account"; readonly from: "aws" | "executable" | "identity-pool"; readonly config: ExternalConfig };

type ExternalConfig = IdentityPoolClientOptions & AwsClientOptions & PluggableAuthClientOptions;

/** The key in `keyFile`. Rejects with `DENIED` when it cannot be read or used; no message quotes it. */
export async function readGcpKey(keyFile: string): Promise<GcpKey> {
  return parseGcpKey(await readCredentialFile(keyFile, "gcp keyFile"), keyFile);
}

/** The key that `text`, found in `keyFile`, is. Throws as `readGcpKey` rejects. */
export function parseGcpKey(text: string, keyFile: string): GcpKey {
  const refuse = (why: string): OciError => new OciError("DENIED", `gcp keyFile ${keyFile}: ${why}`);
  const json = parseJsonObject(Buffer.from(text));
  if (!json) throw refuse("it is no JSON object; it should be a key as Google's console gives it");
  const { type, client_email: email, private_key: privateKey, private_key_id: keyId } = json;
  if (type === "external_account") {
    const source = objectOf(json["credential_source"]);
    if (!source) throw refuse("it has no credential_source");
    const from = source["environment_id"] !== undefined ? "aws" : source["executable"] !== undefined ? "executable" : "identity-pool";
    // The library's type is what Google's console writes; the library checks the rest.
    return { kind: "external-account", from, config: json as unknown as ExternalConfig };
  }
  if (type !== "service_account")
    throw refuse(
      `its type is ${plainWords(type) ?? "missing"}; keyFile takes service_account and external_account, GOOGLE_APPLICATION_CREDENTIALS takes others`,
    );
  if (typeof email !== "string" || typeof privateKey !== "string" || !isPrivateKey(privateKey))
    throw refuse("its client_email or private_key is missing or damaged; make a new key for the service account");
  return { kind: "service-account", email, privateKey, keyId: typeof keyId === "string" ? keyId : undefined };
}

function isPrivateKey(text: string): boolean {
  try {
    createPrivateKey(text);
    return true;
  } catch {
    return false; // Its error may quote the key.
  }
}
