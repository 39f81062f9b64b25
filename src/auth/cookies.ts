/** Cookies that no script reads, that no other site's page sends along with more than a link, and that no sibling of our host can plant where TLS is spoken. */

export interface Cookie {
  /** Without its prefix. */
  readonly name: string;
  /** Characters of base64url and dots only. */
  readonly value: string;
  readonly lifeMs: number;
  /** Whether the browser reaches us by TLS. */
  readonly isSecure: boolean;
}

/** Cookies of one request that are looked at. */
const cookiesMax = 100;

/** The value of `Set-Cookie`. RFC 6265bis 4.1: HttpOnly, SameSite=Lax, and with TLS Secure and `__Host-`. */
export function writeCookie({ name, value, lifeMs, isSecure }: Cookie): string {
  return `${fullName(name, isSecure)}=${value}; Path=/; Max-Age=${Math.round(lifeMs / 1_000)}; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
}

/** The value of `Set-Cookie` that ends it. */
export function endCookie(name: string, { isSecure }: Pick<Cookie, "isSecure">): string {
  return writeCookie({ name, value: "", lifeMs: 0, isSecure });
}

/** What `Cookie` says of it; undefined when that is nothing, or two things: of those one was planted. */
export function findCookie(header: string | undefined, name: string, { isSecure }: Pick<Cookie, "isSecure">): string | undefined {
  const wanted = fullName(name, isSecure);
  const [value, ...more] = pairsIn(header).flatMap(([given, held]) => (given === wanted ? [held] : []));
  return more.length === 0 && value !== "" ? value : undefined;
}

/** The names, without their prefix, of those cookies that begin with `prefix`. */
export function cookieNames(header: string | undefined, prefix: string, { isSecure }: Pick<Cookie, "isSecure">): readonly string[] {
  const wanted = fullName(prefix, isSecure);
  return pairsIn(header).flatMap(([given]) => (given.startsWith(wanted) ? [given.slice(wanted.length - prefix.length)] : []));
}

function pairsIn(header: string | undefined): readonly (readonly [name: string, value: string])[] {
  if (header === undefined) return [];
  return header
    .split(";", cookiesMax)
    .map((pair) => pair.trim())
    .flatMap((pair) => {
      const equalsAt = pair.indexOf("=");
      return equalsAt === -1 ? [] : [[pair.slice(0, equalsAt), pair.slice(equalsAt + 1)] as const];
    });
}

function fullName(name: string, isSecure: boolean): string {
  return isSecure ? `__Host-${name}` : name;
}
