/**
 * Config: what the program is told, as it wants to be told: defaults applied, times in milliseconds, secrets that redact themselves.
 * The vocabulary that people write is `schema.ts`; every key is described in `docs/config.md`.
 */
import type { AccessControlConfig, ClientAuthConfig } from "./client-auth-config.ts";
import type { Platform } from "../oci/platform.ts";
import type { AuthConfig, ScopedAuthConfig } from "./credential-config.ts";
import type { PruneConfig } from "./prune-config.ts";

export interface Config {
  /** Where it was read from; undefined when there was no file. */
  readonly configFile: string | undefined;
  readonly imagePath: string;
  /** Sessions, keys and sockets; `<imagePath>/state` unless it was named. */
  readonly statePath: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** An extra plain-HTTP port for probes. */
  readonly healthPort: number | undefined;
  /** An extra plain-HTTP port for metrics. */
  readonly metricsPort: number | undefined;
  readonly logLevel: LogLevel;
  /** Undefined: stderr. */
  readonly logFile: string | undefined;
  readonly logFormat: LogFormat;
  /** The registry of names without one, as written: a host or an alias. */
  readonly defaultNs: string;
  /** As written; `resolveUnlisted` says what holds. */
  readonly unlistedRegistries: UnlistedPolicy | undefined;
  readonly airGapped: boolean;
  readonly alwaysPullLatest: boolean;
  readonly tagTtl: TagTtl & { readonly defaultMs: number };
  /** How old an answer may be that stands in for an upstream that is away: 0 none, Infinity any. */
  readonly staleIfErrorMs: number;
  /** The same, for an upstream that refuses. */
  readonly whenDeniedMs: number;
  /** The same, for an upstream that no longer has it. */
  readonly whenGoneMs: number;
  /** A blob's body may stand still for so long. */
  readonly pullTimeoutMs: number;
  readonly helloWorld: boolean;
  /** What images are loaded for. */
  readonly platforms: readonly Platform[] | "all";
  /** The same as `os` and `arch` alone say. */
  readonly ownPlatform: Platform;
  /** Lists and archives to load at the start, with commas between; undefined: none. */
  readonly preloadImages: string | undefined;
  /** Not to be ready before they are here. */
  readonly preloadRequired: boolean;
  /** Lists and archives for the command `load`. */
  readonly imageFile: string | undefined;
  /** The name of an archive's only image. */
  readonly resolveRef: string | undefined;
  readonly registries: readonly RegistryConfig[];
  readonly serverTls: ServerTlsConfig | undefined;
  /** CIDRs (or addresses) whose `X-Forwarded-*` count. */
  readonly trustedProxies: readonly string[];
  readonly proxyProtocol: boolean;
  /** Who may use the administrative routes over TCP without a name. */
  readonly adminApi: "off" | "loopback";
  /** Whether there are pages for browsers. */
  readonly pages: boolean;
  readonly prune: PruneConfig;
  readonly verify: VerifyConfig;
  readonly list: ListConfig;
  readonly shutdownDelayMs: number;
  readonly drainTimeoutMs: number;
  /** How clients reach this server: an origin, perhaps with a path; without a slash at its end. */
  readonly externalUrl: string | undefined;
  /** The sites whose pages may read answers, or all of them; undefined: none. */
  readonly allowedOrigins: readonly string[] | "any" | undefined;
  /** Undefined: nobody is asked who he is. */
  readonly auth: ClientAuthConfig | undefined;
  /** `auth` is written and names no way to log in: nobody is asked who he is, and nothing is opened beyond that. */
  readonly authIsEmpty: boolean;
  /** Undefined: whoever gets in may read all. */
  readonly accessControl: AccessControlConfig | undefined;
}

type LogLevel = "error" | "warn" | "info" | "debug";
type LogFormat = "auto" | "json" | "text";
export type UnlistedPolicy = "public" | "deny";
type Scheme = "https" | "http";

/** How long a tag is trusted before it is revalidated. Infinity: for ever; 0: never. The longest pattern that matches wins. */
export interface TagTtl {
  /** For tags that no pattern matches; undefined in a registry that leaves this to the global rules. */
  readonly defaultMs: number | undefined;
  /** Doublestar patterns: over policy names in the global rules, over the path inside a registry. */
  readonly patterns: readonly { readonly pattern: string; readonly ttlMs: number }[];
}

export interface RegistryConfig {
  /** `host[:port]` as clients name it. */
  readonly name: string;
  readonly description: string | undefined;
  readonly scheme: Scheme;
  /** Mirrors, asked in this order. */
  readonly endpoints: readonly EndpointConfig[];
  readonly originFallback: boolean;
  readonly aliases: readonly string[];
  readonly tagTtl: TagTtl | undefined;
  /** These three: undefined where the global rule holds. */
  readonly staleIfErrorMs: number | undefined;
  readonly whenDeniedMs: number | undefined;
  readonly whenGoneMs: number | undefined;
  readonly redirectHosts: readonly string[];
  readonly public: boolean;
  /** Blobs that are fetched from it at once. */
  readonly fillsMax: number;
  /** How large what its images need may grow; undefined: as large as there is room. */
  readonly maxSizeBytes: number | undefined;
  readonly auth: AuthConfig | undefined;
  /** Other credentials for some of its repositories. */
  readonly credentials: readonly ScopedAuthConfig[];
  readonly tls: UpstreamTlsConfig | undefined;
}

export interface EndpointConfig {
  /** `http(s)://host[:port][/prefix]`, without a slash at its end. */
  readonly url: string;
  readonly auth: AuthConfig | undefined;
  readonly tls: UpstreamTlsConfig | undefined;
}

/** Paths of PEM files. */
export interface UpstreamTlsConfig {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly insecureSkipVerify: boolean;
}

/** How the store is verified. */
export interface VerifyConfig {
  /** A cron expression; undefined: only when somebody asks. */
  readonly schedule: string | undefined;
  readonly timezone: string;
  /** Infinity: no bound. */
  readonly bytesPerSecond: number;
  readonly repair: boolean;
}

/** How the command `list` prints. */
export interface ListConfig {
  readonly header: boolean;
  /** Go's regular expressions, with commas between; undefined: everything. */
  readonly expr: string | undefined;
  readonly shortDigest: boolean;
}

/** Paths of PEM files. */
export interface ServerTlsConfig {
  readonly cert: string;
  readonly key: string;
  /** Set whenever client certificates are asked for. */
  readonly ca: string | undefined;
  readonly clientAuth: "none" | "request" | "verify";
}
