/** The places where a registry is asked, itself and its mirrors, and with what at each. */
import type { SourceId } from "../oci/registry.ts";
import { dockerHub, parseRegistryHost, type RegistryHost } from "../oci/repository.ts";
import type { UpstreamAuth, UpstreamRegistryOptions } from "./upstream-options.ts";

const dockerHubOrigin = "https://registry-1.docker.io";

/** How a registry or a mirror is let in. */
type Access = Pick<UpstreamRegistryOptions, "auth" | "scopedAuth" | "tls">;

/** Where a registry is asked: itself, or a mirror. */
export interface Place {
  /** Its own name, as a registry would be called there. */
  readonly host: RegistryHost;
  readonly url: URL;
  readonly source: SourceId;
  readonly access: Access;
}

/** Where the registry itself is. */
export function originOf({ host, scheme = "https" }: UpstreamRegistryOptions): URL {
  return new URL(host === dockerHub ? dockerHubOrigin : `${scheme}://${host}`);
}

/** Its mirrors, in their order, and itself unless only they are to be asked. */
export function placesOf(registry: UpstreamRegistryOptions): { readonly mirrors: readonly Place[]; readonly origin: Place | undefined } {
  const { host, endpoints = [], originFallback = true } = registry;
  const mirrors = endpoints.map((mirror) => ({ host: hostOf(mirror.url), url: new URL(mirror.url), source: sourceOf(host, mirror.url), access: mirror }));
  const origin = { host, url: originOf(registry), source: host, access: registry };
  return { mirrors, origin: originFallback || mirrors.length === 0 ? origin : undefined };
}

/** One access for each credential; the others are no part of it. Its own is none only where there are no others. */
export function accessesOf({ auth, scopedAuth = [], tls }: Access): readonly { readonly match: string | undefined; readonly access: Access }[] {
  const own = auth !== undefined || scopedAuth.length === 0 ? [{ match: undefined, auth }] : [];
  return [...own, ...scopedAuth].map((one) => ({ match: one.match, access: { ...(one.auth ? { auth: one.auth } : {}), ...(tls ? { tls } : {}) } }));
}

/** By repository, what is said of its credential: of the first scope that matches, else of the registry's own. */
export function authOf({ auth, scopedAuth = [] }: Access): (name: string) => UpstreamAuth | undefined {
  return (name) => scopedAuth.find(({ matches }) => matches(name))?.auth ?? auth;
}

/** A mirror's own name, as a registry would be called there. */
function hostOf(endpoint: string): RegistryHost {
  const { host, protocol } = new URL(endpoint);
  return parseRegistryHost(host, { scheme: protocol === "http:" ? "http" : "https" });
}

function sourceOf(host: RegistryHost, endpoint: string): string {
  const url = new URL(endpoint);
  return `${host} via ${url.origin}${url.pathname === "/" ? "" : url.pathname}`;
}
