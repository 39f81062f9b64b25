/** CredentialConfig: who we are to an upstream, as the program is told: one shape for each kind, secrets by where they are. */
import type { Secret } from "../oci/secret.ts";

/** What an `auth` of the configuration says. */
export interface AuthConfig {
  readonly credential: CredentialConfig;
  /** Other `host[:port]` that may ask for this credential. */
  readonly realmHosts: readonly string[];
}

/** A credential for some of a registry's repositories. */
export interface ScopedAuthConfig {
  /** Doublestar pattern over the path, without the host. The longest that matches wins. */
  readonly match: string;
  readonly auth: AuthConfig;
}

export type CredentialConfig =
  | { readonly kind: "password"; readonly user: string; readonly password: SecretSource }
  /** "basic": sent as it is behind `Basic `. "bearer": behind `Bearer `. */
  | { readonly kind: "static"; readonly token: SecretSource; readonly scheme: "basic" | "bearer" }
  | EcrConfig
  | EcrPublicConfig
  | { readonly kind: "docker-config"; readonly path: string | undefined }
  | ExecConfig
  | GcpConfig
  | AzureConfig
  | Oauth2Config;

/** Where a secret is; `readSecret` fetches it. */
export type SecretSource =
  | { readonly kind: "given"; readonly secret: Secret }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "file"; readonly path: string };

interface FetchedConfig {
  /** A credential is used for so long at most; undefined: as long as it lives. */
  readonly expiryMs: number | undefined;
}

interface EcrConfig extends FetchedConfig {
  readonly kind: "ecr";
  readonly profile: string | undefined;
  readonly region: string | undefined;
  readonly account: string | undefined;
  readonly roleArn: string | undefined;
  readonly externalId: string | undefined;
  readonly endpoint: string | undefined;
}

interface EcrPublicConfig extends FetchedConfig {
  readonly kind: "ecr-public";
  readonly profile: string | undefined;
  readonly roleArn: string | undefined;
  readonly externalId: string | undefined;
  readonly endpoint: string | undefined;
}

interface ExecConfig extends FetchedConfig {
  readonly kind: "exec";
  readonly protocol: "docker" | "kubelet";
  readonly command: string;
  readonly args: readonly string[];
}

interface GcpConfig extends FetchedConfig {
  readonly kind: "gcp";
  readonly keyFile: string | undefined;
  readonly use: "token" | "json-key";
}

interface AzureConfig extends FetchedConfig {
  readonly kind: "azure";
  readonly identity: "managed" | "service-principal" | "workload" | undefined;
  readonly tenantId: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: SecretSource | undefined;
  readonly federatedTokenFile: string | undefined;
  readonly authorityHost: string | undefined;
}

interface Oauth2Config extends FetchedConfig {
  readonly kind: "oauth2";
  readonly tokenUrl: string;
  readonly grant: "client-credentials" | "jwt-bearer" | "token-exchange";
  readonly clientId: string | undefined;
  readonly clientSecret: SecretSource | undefined;
  readonly assertionFile: string | undefined;
  readonly scope: string | undefined;
  readonly audience: string | undefined;
  readonly use: "bearer" | "basic";
  readonly user: string | undefined;
}
