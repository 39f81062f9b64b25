/** Link: where the next page is. RFC 8288, as far as registries use it: `<target>; rel="next"`. */

const headerLengthMax = 16_384;
const linkPattern = /[\s,]*<([^<>]{0,4096})>([^<]*)/y;
const nextPattern = /;\s?rel\s?=\s?"?(?:[a-z]{1,32} ){0,4}next\b/i;

/** The target of the first link with `rel=next`, resolved against `base`; undefined when there is none. Never throws; linear. */
export function findNextLink(header: string | undefined, base: URL): URL | undefined {
  if (header === undefined) return undefined;
  const text = header.slice(0, headerLengthMax);
  const pattern = new RegExp(linkPattern);
  for (;;) {
    const match = pattern.exec(text);
    if (!match) return undefined;
    if (nextPattern.test(match[2] ?? "")) return URL.parse(match[1] ?? "", base.href) ?? undefined;
  }
}
