/**
 * Challenges: what a registry asks for before it answers. RFC 9110 11.6.1: several schemes in one header, each with a token68 or with
 * parameters, whose values are tokens or quoted strings with escapes. One pass from left to right; what makes no sense ends it.
 */

export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** Names in lower case; of two with one name, the first. */
  readonly parameters: ReadonlyMap<string, string>;
}

const headerLengthMax = 16_384;
const challengesMax = 32;

/** The challenges of a `WWW-Authenticate` header (or of several, joined by commas), in order. Never throws; linear in its length. */
export function parseChallenges(header: string): readonly Challenge[] {
  const scanner = new Scanner(header.slice(0, headerLengthMax));
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  for (;;) {
    scanner.skipSeparators();
    const word = scanner.token();
    if (word === undefined || challenges.length > challengesMax) return challenges;
    const current = challenges.at(-1);
    if (scanner.acceptEquals()) {
      const value = scanner.value();
      if (value === undefined || !current) return challenges;
      const name = word.toLowerCase();
      if (!current.parameters.has(name)) current.parameters.set(name, value);
      continue;
    }
    challenges.push({ scheme: word.toLowerCase(), parameters: new Map() });
    scanner.skipToken68();
  }
}

/** A Bearer challenge of Docker's token authentication. */
export interface BearerChallenge {
  readonly realm: string;
  readonly service: string | undefined;
  readonly scope: string | undefined;
}

/** The first Bearer challenge that names a realm. */
export function findBearer(challenges: readonly Challenge[]): BearerChallenge | undefined {
  for (const { scheme, parameters } of challenges) {
    const realm = parameters.get("realm");
    if (scheme === "bearer" && realm) return { realm, service: parameters.get("service") || undefined, scope: parameters.get("scope") || undefined };
  }
  return undefined;
}

export function hasBasic(challenges: readonly Challenge[]): boolean {
  return challenges.some(({ scheme }) => scheme === "basic");
}

const tokenPattern = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const separatorPattern = /[\s,]*/y;
const equalsPattern = /[ \t]*=[ \t]*/y;
const token68Pattern = /[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y;
const unquotedPattern = /[^\s,"]+/y;
const quotedPattern = /"((?:[^"\\]|\\[^])*)"/y;

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  skipSeparators(): void {
    this.#accept(separatorPattern);
  }

  token(): string | undefined {
    return this.#accept(tokenPattern)?.[0];
  }

  acceptEquals(): boolean {
    return this.#accept(equalsPattern) !== undefined;
  }

  /** A quoted string without its quotes and escapes, or a token; some registries leave URLs unquoted. */
  value(): string | undefined {
    const quoted = this.#accept(quotedPattern)?.[1];
    if (quoted !== undefined) return quoted.replace(/\\([^])/g, "$1");
    return this.#accept(unquotedPattern)?.[0];
  }

  skipToken68(): void {
    this.#accept(token68Pattern);
  }

  #accept(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text) ?? undefined;
    if (match) this.#at = pattern.lastIndex;
    return match;
  }
}
