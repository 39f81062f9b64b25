/** ClientAuthConfig and AccessControlConfig: who our clients are and what they may do, as the program is told. zot's words, read. */
import type { SecretSource } from "./credential-config.ts";
import type { OpenidConfig } from "./openid-config.ts";
import type { SessionConfig } from "./session-config.ts";

/** How clients are known. At least one method is there. */
export interface ClientAuthConfig {
  /** The realm that a Basic challenge names. */
  readonly realm: string;
  readonly htpasswd: HtpasswdConfig | undefined;
  readonly ldap: LdapConfig | undefined;
  /** Set whenever client certificates are asked for. */
  readonly mtls: MtlsConfig | undefined;
  readonly bearer: BearerConfig | undefined;
  readonly openid: OpenidConfig | undefined;
  readonly sessions: SessionConfig;
  /** "builtin": we hand out tokens ourselves to those who log in. */
  readonly tokenService: "off" | "builtin";
  /** Keys that people make for themselves, and operators for machines, count as passwords. */
  readonly apiKeys: boolean;
  /** How long an answer to a wrong credential waits. */
  readonly failDelayMs: number;
  readonly failBudget: FailBudgetConfig;
}

interface HtpasswdConfig {
  readonly path: string;
}

/** Wrong passwords a minute; 0: as many as one likes. */
interface FailBudgetConfig {
  readonly perUser: number;
  readonly perAddress: number;
}

export interface LdapConfig {
  readonly address: string;
  readonly port: number;
  /** "starttls": required; a directory that offers none gets no password. */
  readonly transport: "ldaps" | "starttls" | "plain";
  readonly baseDn: string;
  readonly userAttribute: string;
  /** An LDAP filter, beside the one for the user's name. */
  readonly userFilter: string | undefined;
  readonly userGroupAttribute: string | undefined;
  /** Holds e-mail addresses. */
  readonly mailAttribute: string;
  readonly skipVerify: boolean;
  /** False: one level below `baseDn`. */
  readonly subtreeSearch: boolean;
  /** PEM file of authorities that are trusted beside the system's. */
  readonly caCertPath: string | undefined;
  /** Who searches; undefined: nobody in particular. The file is JSON or YAML with `bindDN` and `bindPassword`. */
  readonly bind: LdapBindConfig | undefined;
}

export type LdapBindConfig =
  { readonly kind: "file"; readonly path: string } | { readonly kind: "given"; readonly dn: string; readonly password: SecretSource };

export type IdentityAttribute = "CommonName" | "Subject" | "Email" | "URI" | "DNSName";

export interface MtlsConfig {
  /** The first that a certificate has is the name. */
  readonly identityAttributes: readonly IdentityAttribute[];
  /** Must match a whole URI; its first group, if it has one, is the name. */
  readonly uriSanPattern: string | undefined;
  readonly uriSanIndex: number;
  readonly dnsSanIndex: number;
  readonly emailSanIndex: number;
  /** PEM file of revocation lists. */
  readonly crlPath: string | undefined;
}

export interface BearerConfig {
  /** Where tokens are to be had; undefined where only `oidc` is configured: here, then, against a workload's. */
  readonly realm: string | undefined;
  /** Tokens of a token service; undefined where only `oidc` is configured. */
  readonly traditional: TraditionalTokensConfig | undefined;
  readonly oidc: readonly WorkloadIssuerConfig[];
}

interface TraditionalTokensConfig {
  readonly realm: string;
  /** The audience of its tokens. */
  readonly service: string;
  /** Undefined: any, as in zot. */
  readonly issuer: string | undefined;
  /** One of both at least. PEM certificates or a public key, or a JWKS. */
  readonly certPath: string | undefined;
  readonly jwksUri: string | undefined;
}

export interface WorkloadIssuerConfig {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly skipIssuerVerification: boolean;
  /** PEM text. */
  readonly certificateAuthority: string | undefined;
  readonly certificateAuthorityPath: string | undefined;
  /** In CEL. */
  readonly claimMapping: ClaimMappingConfig;
}

interface ClaimMappingConfig {
  readonly variables: readonly { readonly name: string; readonly expression: string }[];
  readonly validations: readonly { readonly expression: string; readonly message: string }[];
  readonly username: string | undefined;
  readonly groups: string | undefined;
}

/** As it is written, its keys in their one spelling: what it means is for `auth` to say. */
export interface AccessControlConfig {
  /** `readers`: who may read may cause a first fetch; `byAction`: who may `fetch`. */
  readonly fetch: "readers" | "byAction";
  readonly groups: Readonly<Record<string, { readonly users: readonly string[] }>>;
  /** By pattern. */
  readonly repositories: Readonly<Record<string, RepositoryPolicyConfig>>;
  readonly adminPolicy: PolicyConfig | undefined;
  readonly metrics: { readonly users: readonly string[]; readonly anonymousPolicy: readonly string[] } | undefined;
}

interface RepositoryPolicyConfig {
  readonly policies: readonly PolicyConfig[];
  readonly defaultPolicy: readonly string[];
  readonly anonymousPolicy: readonly string[];
}

interface PolicyConfig {
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly actions: readonly string[];
  /** In CEL. */
  readonly conditions: readonly { readonly expression: string; readonly message: string | undefined }[];
}
