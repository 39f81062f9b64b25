/** The file that zot's `credentialsFile` of a provider names: who we are to it, as JSON or YAML. */
import { Secret } from "../oci/secret.ts";
import { readSecretMap } from "./secret-map.ts";

/** Throws `ConfigError` that begins with `key`, and quotes nothing of the file. */
export function readProviderCredentials(key: string, text: string): { readonly id: string; readonly secret: Secret } {
  const { clientid, clientsecret } = readSecretMap(key, text, ["clientid", "clientsecret"]);
  return { id: clientid, secret: new Secret(clientsecret) };
}
