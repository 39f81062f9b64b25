/** What the upstream side takes from outside: which registries there are, how each is reached, and how long anything may take. */
import type { LookupAddress } from "node:dns";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryHost } from "../oci/repository.ts";
import type { Secret } from "../oci/secret.ts";

export interface UpstreamOptions {
  /** The registries of the configuration, with the default one (which always counts as listed). */
  readonly registries: readonly UpstreamRegistryOptions[];
  /** Registries that are not listed: any at a public address, or none. */
  readonly unlisted: "public" | "deny";
  /** A blob's body may stand still for so long. */
  readonly pullTimeoutMs?: number;
  /** Proxies between us and every upstream; absent: none. */
  readonly proxy?: ProxyOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly deadlines?: Partial<Deadlines>;
  /** Resolves a name to all its addresses; default: the system's resolver. */
  readonly resolve?: Resolve;
  /** What we call ourselves: `ociregistry/<version>`. */
  readonly userAgent?: string;
}

export interface UpstreamRegistryOptions {
  readonly host: RegistryHost;
  readonly scheme?: "https" | "http";
  /** Mirrors, asked in order before the registry itself. */
  readonly endpoints?: readonly EndpointOptions[];
  /** False: the mirrors only. Default true. */
  readonly originFallback?: boolean;
  /** Non-public `host[:port]` that redirects may lead to. */
  readonly redirectHosts?: readonly string[];
  /** Its anonymous content may be shared though its address is not public. */
  readonly public?: boolean;
  readonly auth?: UpstreamAuth;
  /** Other credentials for some of its repositories; the first that matches wins. */
  readonly scopedAuth?: readonly ScopedAuth[];
  readonly tls?: UpstreamTls;
}

export interface EndpointOptions {
  /** `https://host[:port][/prefix]`; the prefix goes before every repository's name. */
  readonly url: string;
  readonly auth?: UpstreamAuth;
  readonly tls?: UpstreamTls;
}

export interface UpstreamAuth {
  readonly credential: CredentialOptions;
  /** Other `host[:port]` that may ask for this credential. */
  readonly realmHosts?: readonly string[];
}

/** Where a registry's credential comes from. A new kind is a line here, a file, and a line in `credential-kinds.ts`. */
export type CredentialOptions =
  | { readonly kind: "password"; readonly user: string; readonly password: Secret }
  | ({ readonly kind: "static" } & StaticTokenOptions)
  | ({ readonly kind: "ecr" } & EcrOptions)
  | ({ readonly kind: "ecr-public" } & EcrPublicOptions)
  | ({ readonly kind: "docker-config" } & DockerConfigOptions)
  | ({ readonly kind: "exec" } & ExecOptions)
  | ({ readonly kind: "gcp" } & GcpOptions)
  | ({ readonly kind: "azure" } & AzureOptions)
  | ({ readonly kind: "oauth2" } & Oauth2Options);

export interface StaticTokenOptions {
  readonly token: Secret;
  /** "basic": what follows `Basic ` as it is (base64 of user:password). "bearer": a token of the registry's own. */
  readonly scheme: "basic" | "bearer";
}

/** What all kinds that fetch have in common. */
export interface FetchedOptions {
  /** A credential is not used for longer than this, whatever its own life; undefined: its own life counts. */
  readonly expiryMs?: number | undefined;
}

/** Everything that is not said comes from the SDK's default chain, and from the registry's host name. */
export interface EcrOptions extends FetchedOptions {
  readonly profile?: string | undefined;
  readonly region?: string | undefined;
  /** The account whose registry it is; told in logs and errors only: a token opens every registry that its principal may read. */
  readonly account?: string | undefined;
  readonly roleArn?: string | undefined;
  readonly externalId?: string | undefined;
  /** `https://...` of the ECR API, for VPC endpoints. */
  readonly endpoint?: string | undefined;
}

export interface EcrPublicOptions extends FetchedOptions {
  readonly profile?: string | undefined;
  readonly roleArn?: string | undefined;
  readonly externalId?: string | undefined;
  readonly endpoint?: string | undefined;
}

export interface DockerConfigOptions {
  /** The file; undefined: `$DOCKER_CONFIG/config.json`, then `~/.docker/config.json`. */
  readonly path?: string | undefined;
}

export interface ExecOptions extends FetchedOptions {
  /** "docker": a credential helper, asked by `get`. "kubelet": a credential provider plugin of Kubernetes. */
  readonly protocol: "docker" | "kubelet";
  /** A program, found in PATH or given by its whole path. */
  readonly command: string;
  readonly args: readonly string[];
}

export interface GcpOptions extends FetchedOptions {
  /** A service account's key; undefined: Google's default chain, down to the metadata server. */
  readonly keyFile?: string | undefined;
  /** "token": an access token for `oauth2accesstoken`. "json-key": the key file itself for `_json_key`. */
  readonly use: "token" | "json-key";
}

export interface AzureOptions extends FetchedOptions {
  /** Undefined where none is said: Azure's default chain. */
  readonly identity?: "managed" | "service-principal" | "workload" | undefined;
  readonly tenantId?: string | undefined;
  readonly clientId?: string | undefined;
  readonly clientSecret?: Secret | undefined;
  /** The token of a workload identity. */
  readonly federatedTokenFile?: string | undefined;
  /** `https://...` of the login service. */
  readonly authorityHost?: string | undefined;
}

/** RFC 6749 "Client Credentials Grant", RFC 7523 "JWTs as Authorization Grants", RFC 8693 "Token Exchange". */
export interface Oauth2Options extends FetchedOptions {
  readonly tokenUrl: string;
  readonly grant: "client-credentials" | "jwt-bearer" | "token-exchange";
  readonly clientId?: string | undefined;
  readonly clientSecret?: Secret | undefined;
  /** A file with the JWT that is shown; read at each fetch, as platforms renew it. */
  readonly assertionFile?: string | undefined;
  readonly scope?: string | undefined;
  readonly audience?: string | undefined;
  /** How the token is shown to the registry: as itself, or as the password of `user`. */
  readonly use: "bearer" | "basic";
  readonly user?: string | undefined;
}

/** A credential for some of a registry's repositories. */
export interface ScopedAuth {
  /** The pattern as written. */
  readonly match: string;
  /** Whether it matches a repository's path. */
  readonly matches: (path: string) => boolean;
  readonly auth: UpstreamAuth;
}

/** All PEM texts. */
export interface UpstreamTls {
  /** Trusted beside the system's authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecureSkipVerify?: boolean;
}

/** As in the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`. */
export interface ProxyOptions {
  readonly httpsProxy?: string | undefined;
  readonly httpProxy?: string | undefined;
  readonly noProxy?: string | undefined;
}

export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface Deadlines {
  /** Name look-up, TCP and TLS. */
  readonly connectMs: number;
  /** From the request's last byte to the answer's headers. */
  readonly headersMs: number;
  /** One call in all: every endpoint, token and redirect, and the body of what is not a blob. */
  readonly totalMs: number;
  /** One name look-up. */
  readonly lookupMs: number;
  /** One token. */
  readonly tokenMs: number;
}

/** So that what is not held fails within 20 s, whatever the upstream does. */
export const defaultDeadlines: Deadlines = { connectMs: 5_000, headersMs: 10_000, totalMs: 18_000, lookupMs: 4_000, tokenMs: 8_000 };

export const defaultPullTimeoutMs = 60_000;
