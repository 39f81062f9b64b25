/** The parts of a glob without braces, in the order in which a name must have them. */

export type GlobToken =
  /** One character. */
  | { readonly kind: "one"; takes(character: string): boolean }
  /** `*`: any number of characters of one component. */
  | { readonly kind: "star" }
  /** `**` with its slash: any number of components, each with its slash. */
  | { readonly kind: "components" }
  /** `**` at the end: whatever follows. */
  | { readonly kind: "rest" };

/** Trusts that classes and escapes end. */
export function parseGlobTokens(text: string): readonly GlobToken[] {
  const tokens: GlobToken[] = [];
  let isComponentStart = true;
  for (let at = 0; at < text.length;) {
    const wasComponentStart = isComponentStart;
    isComponentStart = false;
    if (text.startsWith("**", at)) {
      at += 2;
      const isComponents = wasComponentStart && text[at] === "/";
      tokens.push({ kind: isComponents ? "components" : wasComponentStart && at === text.length ? "rest" : "star" });
      if (!isComponents) continue;
      isComponentStart = true;
      at++;
    } else if (text[at] === "*") {
      tokens.push({ kind: "star" });
      at++;
    } else if (text[at] === "?") {
      tokens.push({ kind: "one", takes: (character) => character !== "/" });
      at++;
    } else if (text[at] === "[") {
      const { token, endAt } = readClass(text, at);
      tokens.push(token);
      at = endAt;
    } else {
      if (text[at] === "\\") at++;
      const literal = text[at] ?? "";
      tokens.push({ kind: "one", takes: (character) => character === literal });
      isComponentStart = literal === "/";
      at++;
    }
  }
  return tokens;
}

/** The class that opens at `openAt`, and where what follows it begins. A dash that has no neighbour, or follows a range, is a dash. */
function readClass(text: string, openAt: number): { readonly token: GlobToken; readonly endAt: number } {
  const isNegated = text[openAt + 1] === "!" || text[openAt + 1] === "^";
  const ranges: [first: string, last: string][] = [];
  let from: string | undefined;
  let at = openAt + (isNegated ? 2 : 1);
  while (text[at] !== "]") {
    const isRange = text[at] === "-" && from !== undefined && text[at + 1] !== "]";
    if (isRange) at++;
    if (text[at] === "\\") at++;
    const character = text[at++] ?? "";
    ranges.push([isRange && from !== undefined ? from : character, character]);
    from = isRange ? undefined : character;
  }
  const takes = (character: string): boolean => ranges.some(([first, last]) => first <= character && character <= last) !== isNegated;
  return { token: { kind: "one", takes }, endAt: at + 1 };
}
