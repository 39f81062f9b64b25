/** The secrets that a configuration holds or names, and fetching them. */
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import type { SessionDriverConfig } from "./session-config.ts";
import type { AuthConfig, SecretSource } from "./credential-config.ts";
import { readNamedFile } from "./named-file.ts";
import { Secret } from "../oci/secret.ts";

export interface NamedSecret {
  /** The key that holds or names it: `registries[0].auth.passwordFile`. */
  readonly key: string;
  readonly source: SecretSource;
}

/** The key's end, after what it would be were the secret written there itself. */
const endings = { given: "", environment: "FromEnv", file: "File" } as const satisfies Record<SecretSource["kind"], string>;

/** Every `auth` of the configuration, with the key where it stands. */
export function namedAuths({ registries }: Pick<Config, "registries">): readonly { readonly key: string; readonly auth: AuthConfig }[] {
  return registries.flatMap(({ auth, endpoints, credentials }, index) => {
    const all = [
      { key: "auth", auth },
      ...endpoints.map((endpoint, at) => ({ key: `endpoints[${at}].auth`, auth: endpoint.auth })),
      ...credentials.map((scoped, at) => ({ key: `credentials[${at}].auth`, auth: scoped.auth })),
    ];
    return all.flatMap((one) => (one.auth ? [{ key: `registries[${index}].${one.key}`, auth: one.auth }] : []));
  });
}

/** Every secret of the configuration's credentials. */
export function namedSecrets(config: Pick<Config, "registries"> & Partial<Pick<Config, "auth">>): readonly NamedSecret[] {
  const bind = config.auth?.ldap?.bind;
  const bindPassword = bind?.kind === "given" ? [{ key: `auth.ldap.bindPassword${endings[bind.password.kind]}`, source: bind.password }] : [];
  const credentials = namedAuths(config).flatMap(({ key, auth }) => {
    const { name, source } = secretOf(auth) ?? {};
    return source ? [{ key: `${key}.${name}${endings[source.kind]}`, source }] : [];
  });
  const clients = config.auth?.openid?.providers.flatMap(({ name, client }) =>
    client.kind === "given" && client.secret
      ? [{ key: `auth.openid.providers.${name}.clientsecret${endings[client.secret.kind]}`, source: client.secret }]
      : [],
  );
  return [...credentials, ...bindPassword, ...(clients ?? []), ...sessionSecrets(config.auth?.sessions.driver)];
}

/** An address without a password is none. */
function sessionSecrets(driver: SessionDriverConfig | undefined): readonly NamedSecret[] {
  const hasPassword = driver?.kind === "redis" && URL.parse(driver.url.reveal())?.password !== "";
  return hasPassword ? [{ key: "auth.sessionDriver.url", source: { kind: "given", secret: driver.url } }] : [];
}

/** A credential has one at most. */
function secretOf({ credential }: AuthConfig): { readonly name: string; readonly source: SecretSource | undefined } | undefined {
  switch (credential.kind) {
    case "password":
      return { name: "password", source: credential.password };
    case "static":
      return { name: "token.static", source: credential.token };
    case "azure":
    case "oauth2":
      return { name: "token.providerOpts.clientSecret", source: credential.clientSecret };
    default:
      return undefined;
  }
}

/**
 * The secret itself. A file's last line break is not part of it. Throws `ConfigError`, in which the secret is called `name`, when there
 * is none: the file or variable is missing or empty.
 */
export async function readSecret(
  source: SecretSource,
  { name, environment }: { readonly name: string; readonly environment: NodeJS.ProcessEnv },
): Promise<Secret> {
  const key = `${name}${endings[source.kind]}`;
  if (source.kind === "given") return source.secret;
  if (source.kind === "environment") {
    const value = environment[source.variable];
    if (!value) throw new ConfigError([`${key}: the environment has no ${source.variable}`]);
    return new Secret(value);
  }
  const text = (await readNamedFile(key, source.path)).replace(/\r?\n$/, "");
  if (text === "") throw new ConfigError([`${key}: ${source.path} is empty`]);
  return new Secret(text);
}
