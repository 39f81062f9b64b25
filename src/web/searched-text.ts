/** Searched text: what somebody typed, within limits, and the words of it. */

const textLengthMax = 255;
const wordsMax = 8;

export function textIn(query: URLSearchParams, name: string): string {
  return (query.get(name) ?? "").slice(0, textLengthMax);
}

/** In lower case. */
export function wordsIn(text: string): readonly string[] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
    .slice(0, wordsMax);
}
