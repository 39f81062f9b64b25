/**
 * YamlBrackets: what of a YAML text its lexemes tell already. Its parser calls itself for each level and goes on after each error:
 * what nests too deep, or closes what was never opened, could take it for ever.
 */
import { Lexer } from "yaml";

export interface BracketProblem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** The first place where `text` nests deeper than `depthMax` within brackets or within one line, or closes a bracket too many. Linear. */
export function findBracketProblem(text: string, depthMax: number): BracketProblem | undefined {
  let line = 1;
  let brackets = 0;
  /** Outside of brackets: within them each entry has its own, and they are no levels. */
  let indicatorsOnLine = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === "[" || lexeme === "{") brackets++;
    else if (lexeme === "]" || lexeme === "}") brackets--;
    else if (brackets === 0 && (lexeme === "-" || lexeme === "?" || lexeme === ":")) indicatorsOnLine++;
    else if (lexeme.includes("\n")) {
      line += lexeme.split("\n").length - 1;
      indicatorsOnLine = 0;
    }
    if (brackets < 0) return { line, message: "not YAML: a bracket is closed that was not opened" };
    if (brackets > depthMax || indicatorsOnLine > depthMax) return { line, message: `more than ${depthMax} levels` };
  }
  return undefined;
}
