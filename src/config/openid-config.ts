/** OpenidConfig: who vouches for people, as the program is told. */
import type { SecretSource } from "./credential-config.ts";

/** `auth.openid`. At least one provider is there. */
export interface OpenidConfig {
  /** In the order in which they are shown. */
  readonly providers: readonly IdentityProviderConfig[];
  /** The name of ours that the person of an e-mail address has, by that address in lower case. */
  readonly users: Readonly<Record<string, string>>;
  /** Whether people are linked to those of the directory by their e-mail address. */
  readonly linksLdapMail: boolean;
  /** Origins beside our own that people may be sent back to. */
  readonly callbackAllowOrigins: readonly string[];
  /** How old somebody's groups may be. */
  readonly groupsTtlMs: number;
}

export type IdentityProviderConfig = OpenidProviderConfig | GithubConfig;

interface ProviderConfig {
  /** On the button. */
  readonly title: string;
  readonly client: ProviderClientConfig;
  readonly scopes: readonly string[];
  readonly claims: { readonly username: string; readonly groups: string };
  readonly requireVerifiedEmail: boolean;
  /** PEM text. */
  readonly certificateAuthority: string | undefined;
  readonly certificateAuthorityPath: string | undefined;
  /** Undefined: ours, with the provider's name. */
  readonly redirectUri: string | undefined;
}

/** OpenID Connect. */
export interface OpenidProviderConfig extends ProviderConfig {
  readonly name: "oidc" | "google" | "gitlab";
  /** Undefined: what the document at `metadataUrl` says. */
  readonly issuer: string | undefined;
  /** Undefined: where the issuer keeps it. One of both is there. */
  readonly metadataUrl: string | undefined;
  /** PEM file of our private key. */
  readonly keyPath: string | undefined;
  readonly hostedDomain: string | undefined;
  /** A number: milliseconds. */
  readonly userinfoCheck: "never" | "always" | number;
}

/** GitHub's OAuth 2. */
export interface GithubConfig extends ProviderConfig {
  readonly name: "github";
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  readonly apiUrl: string;
}

/** Who we are. The file is JSON or YAML with `clientid` and `clientsecret`. */
export type ProviderClientConfig =
  { readonly kind: "file"; readonly path: string } | { readonly kind: "given"; readonly id: string; readonly secret: SecretSource | undefined };
