/** The file that zot's `auth.ldap.credentialsFile` names: who searches the directory, as JSON or YAML. */
import { Secret } from "../oci/secret.ts";
import { ConfigError } from "./config-error.ts";
import { readYaml } from "./yaml-source.ts";

/** Throws `ConfigError` that begins with `key`, and quotes nothing of the file. */
export function readLdapCredentials(key: string, text: string): { readonly dn: string; readonly password: Secret } {
  const values = new Map(Object.entries(parse(key, text)).map(([name, value]) => [name.toLowerCase(), value]));
  const [dn, password] = [values.get("binddn"), values.get("bindpassword")];
  if (typeof dn !== "string" || dn === "" || typeof password !== "string" || password === "")
    throw new ConfigError([`${key}: it needs bindDN and bindPassword`]);
  const unknown = [...values.keys()].find((name) => name !== "binddn" && name !== "bindpassword");
  if (unknown !== undefined) throw new ConfigError([`${key}: it has a key that is neither bindDN nor bindPassword`]);
  return { dn, password: new Secret(password) };
}

/** JSON is read as such: a password may look like a variable of ours. */
function parse(key: string, text: string): object {
  const { tree, problems } = text.trimStart().startsWith("{") ? { tree: findJson(text), problems: [] } : readYaml(text, { environment: {} });
  if (problems.length > 0 || typeof tree !== "object" || tree === null) throw new ConfigError([`${key}: it is neither JSON nor YAML`]);
  return tree;
}

function findJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The parser's words would quote the password.
  }
}
