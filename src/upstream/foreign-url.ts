/** ForeignUrl: a URL that a server names: where a token is sold, where a blob lies. Anybody who answers in a registry's name may have written it. */

/** RFC 1035 2.3.4 allows a name 255 bytes; a longer one leads nowhere, and would fill every message. */
const hostLengthMax = 255;

/**
 * `written` as an http or https URL, relative to `base`, without its fragment; undefined for any other, for one that carries a user
 * or password, and for one whose host is too long to be any. Whether it may be asked is not decided here. Never throws.
 */
export function findForeignUrl(written: string, base: URL): URL | undefined {
  const url = URL.parse(written, base.href) ?? undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) return undefined;
  if (url.username !== "" || url.password !== "" || url.hostname.length > hostLengthMax) return undefined;
  url.hash = "";
  return url;
}
