/** The files that a configuration names: certificates, keys, passwords. Loading a configuration reads none of them; serving does. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import type { Config, UpstreamTlsConfig } from "./config.ts";
import type { CredentialConfig } from "./credential-config.ts";
import type { IdentityProviderConfig } from "./openid-config.ts";
import { readNamedFile, reasonOf } from "./named-file.ts";
import { namedAuths, namedSecrets } from "./named-secrets.ts";

export interface NamedFile {
  /** The key that names it: `registries[0].tls.ca`. */
  readonly key: string;
  readonly path: string;
  /** A password, a token or a private key is in it. */
  readonly isSecret: boolean;
}

/** PEM texts. */
export interface TlsTexts {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

type NamingConfig = Pick<Config, "registries" | "serverTls" | "auth">;

/** Every file that the configuration names, whether it exists or not. */
export function namedFiles({ registries, serverTls, auth: clientAuth }: NamingConfig): readonly NamedFile[] {
  const secrets = namedSecrets({ registries, auth: clientAuth }).flatMap(({ key, source }) =>
    source.kind === "file" ? [{ key, path: source.path, isSecret: true }] : [],
  );
  const others = namedAuths({ registries }).flatMap(({ key, auth }) =>
    Object.entries(filesOf(auth.credential)).flatMap(([option, path]) =>
      path === undefined ? [] : [{ key: `${key}.token.providerOpts.${option}`, path, isSecret: true }],
    ),
  );
  return [...pemFiles("serverTlsConfig", serverTls), ...upstreamPemFiles({ registries }), ...secrets, ...others, ...clientAuthFiles(clientAuth)];
}

/** One line for each thing that the configuration names and that is not there: files that cannot be read, variables that are empty. */
export async function findMissing(config: NamingConfig, environment: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const files = namedFiles(config).map(async ({ key, path }) => {
    try {
      await access(path, constants.R_OK);
      return [];
    } catch (error) {
      return [`${key}: cannot read ${path}: ${reasonOf(error)}`];
    }
  });
  const variables = namedSecrets(config).flatMap(({ key, source }) =>
    source.kind === "environment" && !environment[source.variable] ? [`${key}: the environment has no ${source.variable}`] : [],
  );
  return [...(await Promise.all(files)).flat(), ...variables];
}

/** The PEM texts of the files that are named. Throws `ConfigError` for one that cannot be read. */
export async function readTlsTexts(tls: {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}): Promise<TlsTexts> {
  const read = async (key: string, path: string | undefined): Promise<string | undefined> => (path === undefined ? undefined : readNamedFile(key, path));
  const [ca, cert, key] = await Promise.all([read("tls.ca", tls.ca), read("tls.cert", tls.cert), read("tls.key", tls.key)]);
  return { ca, cert, key };
}

/** Files that a provider reads itself, by the option that names them. */
function filesOf(credential: CredentialConfig): Readonly<Record<string, string | undefined>> {
  switch (credential.kind) {
    case "docker-config":
      return { path: credential.path };
    case "gcp":
      return { keyFile: credential.keyFile };
    case "azure":
      return { federatedTokenFile: credential.federatedTokenFile };
    case "oauth2":
      return { assertionFile: credential.assertionFile };
    default:
      return {};
  }
}

type PerhapsNamed = readonly [key: string, path: string | undefined, isSecret: boolean];

/** What clients are known by. */
function clientAuthFiles(auth: Config["auth"]): readonly NamedFile[] {
  if (!auth) return [];
  const { htpasswd, ldap, mtls, bearer } = auth;
  const files: readonly PerhapsNamed[] = [
    ["htpasswd.path", htpasswd?.path, true],
    ["ldap.caCert", ldap?.caCertPath, false],
    ["ldap.credentialsFile", ldap?.bind?.kind === "file" ? ldap.bind.path : undefined, true],
    ["mtls.crlFile", mtls?.crlPath, false],
    ["bearer.cert", bearer?.traditional?.certPath, false],
    ...(bearer?.oidc.map(({ certificateAuthorityPath }, at) => [`bearer.oidc[${at}].certificateAuthorityFile`, certificateAuthorityPath, false] as const) ??
      []),
    ...(auth.openid?.providers.flatMap(openidFiles) ?? []),
    ["sessionKeysFile", auth.sessions.keysPath, true],
  ];
  return files.flatMap(([key, path, isSecret]) => (path === undefined ? [] : [{ key: `auth.${key}`, path, isSecret }]));
}

function openidFiles(provider: IdentityProviderConfig): readonly PerhapsNamed[] {
  const { name, client, certificateAuthorityPath } = provider;
  const key = `openid.providers.${name}`;
  return [
    [`${key}.credentialsFile`, client.kind === "file" ? client.path : undefined, true],
    [`${key}.keypath`, provider.name === "github" ? undefined : provider.keyPath, true],
    [`${key}.certificateAuthorityFile`, certificateAuthorityPath, false],
  ];
}

function upstreamPemFiles({ registries }: Pick<Config, "registries">): readonly NamedFile[] {
  return registries.flatMap(({ tls, endpoints }, index) => {
    const key = `registries[${index}]`;
    return [...pemFiles(`${key}.tls`, tls), ...endpoints.flatMap((endpoint, at) => pemFiles(`${key}.endpoints[${at}].tls`, endpoint.tls))];
  });
}

function pemFiles(key: string, tls: Pick<UpstreamTlsConfig, "ca" | "cert" | "key"> | undefined): readonly NamedFile[] {
  if (!tls) return [];
  return (["ca", "cert", "key"] as const).flatMap((name) => {
    const path = tls[name];
    return path === undefined ? [] : [{ key: `${key}.${name}`, path, isSecret: name === "key" }];
  });
}
