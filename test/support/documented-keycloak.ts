/** What docs/sign-in.md says of Keycloak: the commands and the configuration, as somebody pastes them who has put his own words in the place of theirs. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";

export interface OwnWords {
  readonly kcadm: string;
  readonly keycloakUrl: string;
  readonly adminPassword: string;
  readonly registryUrl: string;
  readonly clientSecret: string;
  readonly password: string;
}

export interface DocumentedConfig {
  readonly auth: { readonly openid: object };
}

/** The client secret goes into the file `secretFile`. */
export async function readDocumentedKeycloak(
  words: OwnWords & { readonly secretFile: string },
): Promise<{ readonly commands: string; readonly config: DocumentedConfig }> {
  const page = await readFile(join(import.meta.dirname, "..", "..", "docs", "sign-in.md"), "utf8");
  const section = /^### Keycloak\n[^]*?(?=^##)/m.exec(page)?.[0] ?? "";
  const blockOf = (language: string): string => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(section)?.[1] ?? "";
  const own: readonly (readonly [string, string])[] = [
    ["kcadm.sh", words.kcadm],
    ["https://keycloak.example.com", words.keycloakUrl],
    ["https://registry.example.com", words.registryUrl],
    ["CLIENT-SECRET", words.clientSecret],
    ["ALICES-PASSWORD", words.password],
    // It asks for it.
    ["--user admin", `--user admin --password ${words.adminPassword}`],
    ["/run/secrets/keycloak", words.secretFile],
  ];
  const [commands, config] = [blockOf("sh"), blockOf("yaml")].map((text) => own.reduce((written, [theirs, ours]) => written.replaceAll(theirs, ours), text));
  return { commands: `set -e\n${commands}`, config: parse(config ?? "") as DocumentedConfig }; // The page's own shape.
}
