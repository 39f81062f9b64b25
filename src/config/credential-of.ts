/** From an `auth` as it is written to the credential that it means. Trusts what `auth-checks.ts` has checked. */
import { Secret } from "../oci/secret.ts";
import type { ParsedAuth, ParsedOptions, ParsedToken } from "./auth-schema.ts";
import type { AuthConfig, CredentialConfig, SecretSource } from "./credential-config.ts";
import type { ProviderName } from "./provider-options.ts";

/** Undefined for one that says nothing: the Go ociregistry's examples write out empty keys. */
export function authOf(auth: ParsedAuth | undefined): AuthConfig | undefined {
  if (!auth) return undefined;
  const credential = tokenOf(auth.token) ?? passwordOf(auth);
  return credential && { credential, realmHosts: auth.realmHosts };
}

/** What is given wins over what would be fetched. */
function tokenOf(token: ParsedToken = {}): CredentialConfig | undefined {
  const given = sourceOf(token.static, token.staticFromEnv, token.staticFile);
  if (given) return { kind: "static", token: given, scheme: token.scheme ?? "basic" };
  return token.provider && fetchedOf(token.provider, token.providerOpts ?? {}, token.expiry);
}

function passwordOf({ user, password, passwordFromEnv, passwordFile }: ParsedAuth): CredentialConfig | undefined {
  // The variable wins over the text, as in the Go ociregistry.
  const source = sourceOf(passwordFromEnv === undefined ? password : undefined, passwordFromEnv, passwordFile);
  return user === undefined || source === undefined ? undefined : { kind: "password", user, password: source };
}

function fetchedOf(provider: ProviderName, options: ParsedOptions, expiryMs: number | undefined): CredentialConfig | undefined {
  const { profile, roleArn, externalId, endpoint, use } = options;
  switch (provider) {
    case "ecr":
      return { kind: provider, profile, region: options.region, account: options.account, roleArn, externalId, endpoint, expiryMs };
    case "ecr-public":
      return { kind: provider, profile, roleArn, externalId, endpoint, expiryMs };
    case "docker-config":
      return { kind: provider, path: options.path };
    case "exec":
      return { kind: provider, ...commandOf(options), expiryMs };
    case "gcp":
      return { kind: provider, keyFile: options.keyFile, use: use === "json-key" ? use : "token", expiryMs };
    case "azure":
      return azureOf(options, expiryMs);
    case "oauth2":
      return oauth2Of(options, expiryMs);
    default:
      return provider satisfies never;
  }
}

function commandOf({ helper, command = "", args = [], protocol = "docker" }: ParsedOptions) {
  return helper === undefined ? { protocol, command, args } : { protocol: "docker" as const, command: `docker-credential-${helper}`, args: [] };
}

function azureOf(options: ParsedOptions, expiryMs: number | undefined): CredentialConfig {
  const { tenantId, clientId, federatedTokenFile, authorityHost } = options;
  const clientSecret = clientSecretOf(options);
  const implied = clientSecret ? "service-principal" : federatedTokenFile === undefined ? undefined : "workload";
  return { kind: "azure", identity: options.identity ?? implied, tenantId, clientId, clientSecret, federatedTokenFile, authorityHost, expiryMs };
}

function oauth2Of(options: ParsedOptions, expiryMs: number | undefined): CredentialConfig {
  const { tokenUrl = "", grant = "client-credentials", clientId, assertionFile, scope, audience, user } = options;
  const use = user === undefined ? "bearer" : "basic";
  return { kind: "oauth2", tokenUrl, grant, clientId, clientSecret: clientSecretOf(options), assertionFile, scope, audience, use, user, expiryMs };
}

function clientSecretOf({ clientSecret, clientSecretFromEnv, clientSecretFile }: ParsedOptions): SecretSource | undefined {
  return sourceOf(clientSecret, clientSecretFromEnv, clientSecretFile);
}

function sourceOf(given: string | undefined, variable: string | undefined, path: string | undefined): SecretSource | undefined {
  if (given !== undefined) return { kind: "given", secret: new Secret(given) };
  if (variable !== undefined) return { kind: "environment", variable };
  return path === undefined ? undefined : { kind: "file", path };
}
