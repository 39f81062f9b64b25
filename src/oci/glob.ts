/**
 * Globs over repository names, with the meaning that zot gives them: that of the Go library doublestar, version 4. `*` and `?` stay
 * within one path component; `**` as a whole component is any number of them, none included; `{a,b}` are alternatives; a class is one
 * character (a negated one may be the slash, as there); a backslash makes the next character mean itself.
 */
import { parseGlobTokens, type GlobToken } from "./glob-tokens.ts";

/** Longer patterns are refused when they are read: matching takes time in proportion to their length. */
export const patternLengthMax = 1_024;
/** Alternatives that one pattern may stand for, and their length together. */
const alternativesMax = 256;
const alternativesLengthMax = 16_384;

/** A pattern that was understood. */
export interface Glob {
  readonly pattern: string;
  /** Its braces written out: it matches what one of these does. */
  readonly alternatives: readonly GlobAlternative[];
  /** Whether it matches a whole name. The time it takes is bounded by the limits above, whatever was written. */
  matches(name: string): boolean;
}

/** A pattern without braces. */
export interface GlobAlternative {
  readonly text: string;
  readonly tokens: readonly GlobToken[];
  matches(name: string): boolean;
}

/** Throws an Error that says what is wrong with `pattern`. */
export function parseGlob(pattern: string): Glob {
  if (pattern === "") throw new Error("an empty pattern matches nothing");
  if (pattern.length > patternLengthMax) throw new Error(`a pattern of ${pattern.length} characters: at most ${patternLengthMax}`);
  checkBraces(pattern);
  const texts = expandBraces(pattern, pattern);
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length > alternativesLengthMax) throw tooMuch(pattern);
  if (texts.every(hasEmptyComponent)) throw new Error(`"${pattern}" matches nothing: no name begins or ends with a slash, or has two in a row`);
  const alternatives = texts.map((text) => {
    const tokens = parseGlobTokens(text);
    return { text, tokens, matches: (name: string) => matchesTokens(tokens, name) };
  });
  return { pattern, alternatives, matches: (name) => alternatives.some((alternative) => alternative.matches(name)) };
}

/** Throws for braces, classes and escapes that do not end. */
function checkBraces(pattern: string): void {
  let depth = 0;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (character === "[") at = endOfClass(pattern, at, depth > 0);
    else if (character === "{") depth++;
    else if (character === "}" && --depth < 0) throw new Error(`"${pattern}" has a } without a {`);
    if (at >= pattern.length) throw new Error(`"${pattern}" ends in a backslash`);
  }
  if (depth > 0) throw new Error(`"${pattern}" has a { without a }`);
}

/** Where the class that opens at `openAt` closes. */
function endOfClass(pattern: string, openAt: number, isInBraces: boolean): number {
  let at = openAt + 1;
  if (pattern[at] === "!" || pattern[at] === "^") at++;
  if (pattern[at] === "]") throw new Error(`"${pattern}" has an empty class []`);
  for (; at < pattern.length; at++) {
    const character = pattern[at] ?? "";
    if (character === "]") return at;
    // The original would end the alternative here, in the midst of the class.
    if (isInBraces && "{},".includes(character)) throw new Error(`"${pattern}" has a class with ${character} inside of braces`);
    if (character === "\\") at++;
  }
  throw new Error(`"${pattern}" has a [ without a ]`);
}

/** `a{b,c{d,e}}` as `ab`, `acd`, `ace`. Trusts what has been checked. */
function expandBraces(text: string, pattern: string): readonly string[] {
  const openAt = findBrace(text);
  if (openAt === -1) return [text];
  const { options, endAt } = readOptions(text, openAt);
  const expanded: string[] = [];
  for (const option of options) {
    expanded.push(...expandBraces(join(join(text.slice(0, openAt), option), text.slice(endAt)), pattern));
    if (expanded.length > alternativesMax) throw tooMuch(pattern);
  }
  return expanded;
}

/** Stars on both sides of a brace are stars, and never together a `**`: that must have been written as one. */
function join(before: string, after: string): string {
  if (!before.endsWith("*") || before.endsWith("\\*") || !after.startsWith("*")) return before + after;
  return `${before.replace(/\*+$/, "")}*${after.replace(/^\*+/, "")}`;
}

/** Where the first brace outside of classes and escapes opens, or -1. */
function findBrace(text: string): number {
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") return at;
    if (text[at] === "\\") at++;
    else if (text[at] === "[") at = endOfClass(text, at, false);
  }
  return -1;
}

/** The alternatives of the braces that open at `openAt`, and where what follows them begins. */
function readOptions(text: string, openAt: number): { readonly options: readonly string[]; readonly endAt: number } {
  const options: string[] = [];
  let depth = 1;
  let startAt = openAt + 1;
  let at = startAt;
  for (; depth > 0 && at < text.length; at++) {
    const character = text[at];
    if (character === "\\") at++;
    else if (character === "{") depth++;
    else if (character === "}") depth--;
    if ((character === "," && depth === 1) || depth === 0) {
      options.push(text.slice(startAt, at));
      startAt = at + 1;
    }
  }
  return { options, endAt: at };
}

function hasEmptyComponent(text: string): boolean {
  return text.startsWith("/") || text.endsWith("/") || text.includes("//");
}

function tooMuch(pattern: string): Error {
  const shownMax = 80;
  return new Error(`"${pattern.slice(0, shownMax)}" stands for more than ${alternativesMax} patterns, or for ${alternativesLengthMax} characters of them`);
}

/** Only the last star and the last `**` are ever tried again: that is enough, and keeps the time in proportion. */
function matchesTokens(tokens: readonly GlobToken[], name: string): boolean {
  let [tokenAt, nameAt] = [0, 0];
  let [starAt, starNameAt] = [-1, 0];
  let [componentsAt, componentsNameAt] = [-1, 0];
  while (nameAt < name.length) {
    const token = tokens[tokenAt];
    if (token?.kind === "rest") return true;
    if (token?.kind === "components") {
      [componentsAt, componentsNameAt] = [++tokenAt, nameAt];
      starAt = -1;
    } else if (token?.kind === "star") {
      [starAt, starNameAt] = [++tokenAt, nameAt];
    } else if (token?.takes(name[nameAt] ?? "")) {
      tokenAt++;
      nameAt++;
    } else if (starAt !== -1 && name[starNameAt] !== "/") {
      [tokenAt, nameAt] = [starAt, ++starNameAt];
    } else {
      const slashAt = componentsAt === -1 ? -1 : name.indexOf("/", componentsNameAt);
      if (slashAt === -1) return false;
      componentsNameAt = slashAt + 1;
      [tokenAt, nameAt] = [componentsAt, componentsNameAt];
    }
  }
  return takesNothing(tokens.slice(tokenAt));
}

/** What may be left when the name has ended: nothing, a star, `/**`. So `a*` and `**` after it are no `a`: as in the original. */
function takesNothing([first, second, ...others]: readonly GlobToken[]): boolean {
  if (first === undefined) return true;
  if (second === undefined) return first.kind === "star" || first.kind === "rest";
  return first.kind === "one" && first.takes("/") && second.kind === "rest" && others.length === 0;
}
