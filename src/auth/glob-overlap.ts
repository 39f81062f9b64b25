/** Whether two patterns can match one name: two of one length that cannot need no rule for which of them counts. */
import type { Glob } from "../oci/glob.ts";
import type { GlobToken } from "../oci/glob-tokens.ts";

/** All characters of a repository's name, a host and its port included. */
const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789._-/:[]".split("");

/** True when some name may match both; never false when one does. */
export function mayMeet(one: Glob, other: Glob): boolean {
  return one.alternatives.some((mine) => other.alternatives.some((theirs) => tokensMeet(mine.tokens, theirs.tokens)));
}

/** Walks both at once, through every pair of places that one beginning of a name can lead to. */
function tokensMeet(one: readonly GlobToken[], other: readonly GlobToken[]): boolean {
  const seen = new Set<number>();
  const places: [oneAt: number, otherAt: number][] = [[0, 0]];
  for (let place = places.pop(); place; place = places.pop()) {
    const [oneAt, otherAt] = place;
    const key = oneAt * (other.length + 1) + otherAt;
    if (seen.has(key)) continue;
    seen.add(key);
    if (oneAt === one.length && otherAt === other.length) return true;
    const [mine, theirs] = [one[oneAt], other[otherAt]];
    if (mayBeNothing(one, oneAt)) places.push([oneAt + 1, otherAt]);
    if (mayBeNothing(other, otherAt)) places.push([oneAt, otherAt + 1]);
    if (!mine || !theirs || !nameCharacters.some((character) => takes(mine, character) && takes(theirs, character))) continue;
    for (const oneNext of mine.kind === "one" ? [oneAt + 1] : [oneAt, oneAt + 1])
      for (const otherNext of theirs.kind === "one" ? [otherAt + 1] : [otherAt, otherAt + 1]) places.push([oneNext, otherNext]);
  }
  return false;
}

/** A slash is nothing when only a final `**` follows. */
function mayBeNothing(tokens: readonly GlobToken[], at: number): boolean {
  const token = tokens[at];
  if (token?.kind !== "one") return token !== undefined;
  return tokens[at + 1]?.kind === "rest" && token.takes("/");
}

function takes(token: GlobToken, character: string): boolean {
  return token.kind === "one" ? token.takes(character) : token.kind !== "star" || character !== "/";
}
