/** What the upstream side takes from outside: which registries there are, how each is reached, and how long anything may take. */
import type { LookupAddress } from "node:dns";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryHost } from "../oci/repository.ts";

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
  readonly tls?: UpstreamTls;
}

export interface EndpointOptions {
  /** `https://host[:port][/prefix]`; the prefix goes before every repository's name. */
  readonly url: string;
  readonly auth?: UpstreamAuth;
  readonly tls?: UpstreamTls;
}

export interface UpstreamAuth {
  readonly user: string;
  /** The password itself, or what reveals it at the moment of use. */
  readonly password: string | (() => string);
  /** Other `host[:port]` that may ask for this credential. */
  readonly realmHosts?: readonly string[];
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
