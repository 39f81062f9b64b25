/** The file that zot's `auth.ldap.credentialsFile` names: who searches the directory, as JSON or YAML. */
import { Secret } from "../oci/secret.ts";
import { readSecretMap } from "./secret-map.ts";

/** Throws `ConfigError` that begins with `key`, and quotes nothing of the file. */
export function readLdapCredentials(key: string, text: string): { readonly dn: string; readonly password: Secret } {
  const { bindDN, bindPassword } = readSecretMap(key, text, ["bindDN", "bindPassword"]);
  return { dn: bindDN, password: new Secret(bindPassword) };
}
