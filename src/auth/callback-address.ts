/**
 * Callback address: where a browser is sent once somebody has signed in: what zot calls `callback_ui`. It came with a link that anybody may
 * have written, so it leads to ourselves or to an origin that the operator named, and nowhere else.
 */

/** Longer ones are nobody's. */
const addressLengthMax = 2_048;
/** Where one goes instead. */
const fallback = "/";

/**
 * `written` where it may be followed, else `/`; empty stays empty. A path is ours, whoever we are; an absolute address must have one of
 * `origins`, each written `https://ui.example.com`, whose default port and case do not matter. zot's `callback_ui`.
 */
export function callbackAddress(written: string, origins: readonly string[]): string {
  if (written === "") return written;
  // What URL parsers drop (a tab, a line break), turn round (a backslash) or spell anew would be read otherwise by the browser than by us.
  if (written.length > addressLengthMax || !/^[\x21-\x7e]+$/.test(written) || /\\|%5c/i.test(written)) return fallback;
  if (written.startsWith("/")) return written.startsWith("//") ? fallback : written;
  if (!/^https?:\/\/[^/]/i.test(written)) return fallback;
  const address = URL.parse(written);
  if (!address || address.username !== "" || address.password !== "") return fallback;
  return origins.some((origin) => URL.parse(origin)?.origin === address.origin) ? address.href : fallback;
}
