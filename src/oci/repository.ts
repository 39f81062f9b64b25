/**
 * Repository: one canonical `host/path`. Whatever way a client spelled it, what the rest of the program sees is this name, so
 * two spellings can never be two things.
 */
import { OciError } from "./errors.ts";

declare const hostBrand: unique symbol;
declare const pathBrand: unique symbol;

/** A registry's canonical `host[:port]`: lower case, no default port; `docker.io` for all of Docker Hub's names. */
export type RegistryHost = string & { readonly [hostBrand]: true };

/** A repository's path without the host, by the grammar of OCI distribution-spec 1.1 "Pulling manifests". */
export type RepositoryPath = string & { readonly [pathBrand]: true };

export interface Repository {
  readonly host: RegistryHost;
  readonly path: RepositoryPath;
}

const repositoryLengthMax = 255;
const pathPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const hostPattern = /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i;
const domainPattern = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\.?$/;
const ipv6Pattern = /^\[[0-9a-f:.]{2,45}\]$/;
const dockerHubHosts: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/** The canonical name of Docker Hub. */
export const dockerHub = "docker.io" as RegistryHost;

/** Parses the path part, or throws `NAME_INVALID`. Linear in its length, which is limited before any matching. */
export function parseRepositoryPath(raw: string): RepositoryPath {
  if (raw.length > repositoryLengthMax) throw new OciError("NAME_INVALID", `a repository name of ${raw.length} characters: at most ${repositoryLengthMax}`);
  if (pathPattern.test(raw)) return raw as RepositoryPath;
  throw new OciError("NAME_INVALID", `"${raw}" is not a repository name: lower-case words joined by . _ - and /`);
}

/**
 * Parses `host[:port]`, or throws `NAME_INVALID`. Lower-cases it, drops a final dot and the port that `scheme` implies, writes
 * addresses the one way that URLs do, and turns Docker Hub's other names into `docker.io`.
 */
export function parseRegistryHost(raw: string, { scheme = "https" }: { scheme?: "https" | "http" } = {}): RegistryHost {
  const host = findRegistryHost(raw, { scheme });
  if (host) return host;
  throw new OciError("NAME_INVALID", `"${raw.slice(0, repositoryLengthMax)}" is not a registry's host[:port]`);
}

/** `raw` as a canonical registry host, or undefined when it is not one. Never throws. */
export function findRegistryHost(raw: string, { scheme = "https" }: { scheme?: "https" | "http" } = {}): RegistryHost | undefined {
  if (raw.length > repositoryLengthMax) return undefined;
  const [, written = "", port] = hostPattern.exec(raw) ?? [];
  const name = written.toLowerCase();
  if (!domainPattern.test(name) && !ipv6Pattern.test(name)) return undefined;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return undefined;
  // An address has many spellings (127.1, 0x7f.1, [::0:1]), and some names that end in a number are none: a URL knows.
  const address = URL.parse(`http://${name.endsWith(".") ? name.slice(0, -1) : name}`)?.hostname;
  if (!address) return undefined;
  const bare = plainAddress(address);
  const portKept = port === undefined || Number(port) === (scheme === "https" ? 443 : 80) ? "" : `:${Number(port)}`;
  if (portKept === "" && dockerHubHosts.has(bare)) return dockerHub;
  return `${bare}${portKept}` as RegistryHost;
}

/**
 * Joins host and path. Docker Hub's official images have one-word names that stand for `library/...`.
 * Throws `NAME_INVALID` when both together are longer than 255 characters: many clients cannot name more.
 */
export function repositoryOf(host: RegistryHost, path: RepositoryPath): Repository {
  const full = host === dockerHub && !path.includes("/") ? (`library/${path}` as RepositoryPath) : path;
  if (host.length + 1 + full.length > repositoryLengthMax) {
    throw new OciError("NAME_INVALID", `a repository name of ${host.length + 1 + full.length} characters with its host: at most ${repositoryLengthMax}`);
  }
  return { host, path: full };
}

/** An IPv4 address that is written as IPv6 ([::ffff:7f00:1]) is the IPv4 address. */
function plainAddress(hostname: string): string {
  const [, high, low] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return hostname;
  const [first, second] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [first >> 8, first & 255, second >> 8, second & 255].join(".");
}

/** The canonical `host/path`: what logs, metrics and policies show. */
export function repositoryName(repository: Repository): string {
  return `${repository.host}/${repository.path}`;
}
