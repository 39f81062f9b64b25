/**
 * Realms: a registry names the place that sells its tokens. Anybody who answers in a registry's name could name any place; so the
 * credential goes only where the registry's own people are, or where the operator says.
 */
import { getDomain } from "tldts";
import { canonicalAddress } from "./addresses.ts";
import { unusable } from "./errors.ts";
import { findForeignUrl } from "./foreign-url.ts";

export interface RealmRule {
  /** The registry that sent the challenge. */
  readonly registry: URL;
  /** `host[:port]` of the configuration. */
  readonly realmHosts: readonly string[];
  /** Whether a credential is to be sent there. */
  readonly withCredential: boolean;
}

/** The realm as a URL. Throws `UPSTREAM_UNAVAILABLE` when it may not be asked; whether its address may be dialled is decided later. */
export function permittedRealm(realm: string, { registry, realmHosts, withCredential }: RealmRule): URL {
  const url = findForeignUrl(realm, registry);
  if (!url) throw unusable(registry, "its token realm is no http or https URL, or carries a user");
  if (url.protocol === "http:" && registry.protocol === "https:") throw unusable(registry, `its token realm ${url.host} is reached without TLS`);
  if (withCredential && !mayHaveCredential(url, registry, realmHosts)) {
    throw unusable(registry, `it asks for its credential to be sent to ${url.host}, which is not listed in its auth.realmHosts`);
  }
  return url;
}

function mayHaveCredential(realm: URL, registry: URL, realmHosts: readonly string[]): boolean {
  if (realmHosts.some((host) => URL.parse(`${realm.protocol}//${host}`)?.host === realm.host)) return true;
  const isAnyPort = realm.protocol === "https:" && registrableDomain(realm) !== undefined;
  return isSameSite(realm, registry) && (isAnyPort || portOf(realm) === portOf(registry));
}

function isSameSite(one: URL, other: URL): boolean {
  const [mine, theirs] = [registrableDomain(one), registrableDomain(other)];
  return mine === undefined || theirs === undefined ? one.hostname === other.hostname : mine === theirs;
}

/** By the public suffix list, the private part included: `a.github.io` and `b.github.io` are two. Undefined for addresses and single words. */
function registrableDomain(url: URL): string | undefined {
  if (canonicalAddress(url.hostname) !== undefined) return undefined;
  return getDomain(url.hostname, { allowPrivateDomains: true }) ?? undefined;
}

function portOf(url: URL): string {
  return url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
}
