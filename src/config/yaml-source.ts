/**
 * A configuration's text as a tree of maps, lists and texts, with the line of everything in it. Scalars stay as they were written
 * (`0123`, `1.10`, `true`): what a text means is for the schema to say. JSON is YAML, so it is read as well.
 */
import { Alias, LineCounter, Pair, Scalar, YAMLMap, YAMLSeq, parseDocument, visit, type Document, type Node, type YAMLParseError } from "yaml";
import { expandVariables } from "./expansion.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { findBracketProblem } from "./yaml-brackets.ts";

export type RawValue = string | readonly RawValue[] | RawMap;
export interface RawMap {
  readonly [key: string]: RawValue;
}

export interface YamlSource {
  readonly tree: RawMap;
  /** The line where a key stands, from 1; that of its nearest ancestor for what is not there. */
  readonly lineOf: (path: KeyPath) => number;
  readonly problems: readonly YamlProblem[];
  /** Keys that are written without a value. */
  readonly unset: readonly KeyPath[];
}

interface YamlProblem {
  readonly line: number;
  readonly message: string;
}

const nodesMax = 50_000;
const depthMax = 32;

/** Reads `text`; whatever is wrong with it is in `problems`. Keys without a value are left out: they are not set. Never throws. */
export function readYaml(text: string, { environment }: { readonly environment: NodeJS.ProcessEnv }): YamlSource {
  const problem = findBracketProblem(text, depthMax);
  if (problem) return { tree: emptyMap(), lineOf: () => 1, problems: [problem], unset: [] };
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: "error" });
  const reader = new TreeReader(document, lineCounter, environment);
  // The first only: those that follow are its consequences.
  const problems = document.errors.slice(0, 1).map((error) => problemOf(error, text, lineCounter));
  const tree = problems.length > 0 ? emptyMap() : reader.readTop();
  return { tree, lineOf: (path) => reader.lineOf(path), problems: [...problems, ...reader.problems], unset: reader.unset };
}

class TreeReader {
  readonly problems: YamlProblem[] = [];
  readonly unset: KeyPath[] = [];
  readonly #document: Document;
  readonly #lineCounter: LineCounter;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #lines = new Map<string, number>();
  #meanings: ReadonlyMap<Alias, Node> | undefined;
  #nodes = 0;
  #isTooMuch = false;

  constructor(document: Document, lineCounter: LineCounter, environment: NodeJS.ProcessEnv) {
    this.#document = document;
    this.#lineCounter = lineCounter;
    this.#environment = environment;
  }

  readTop(): RawMap {
    const top = this.#document.contents;
    if (top === null || (top instanceof Scalar && top.value === null)) return emptyMap();
    if (top instanceof YAMLMap) return this.#readMap(top, []);
    this.#refuse([], "a configuration is made of `key: value` lines");
    return emptyMap();
  }

  lineOf(path: KeyPath): number {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(lineKey(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }

  /** Undefined: not set. */
  #read(node: unknown, path: KeyPath): RawValue | undefined {
    this.#nodes += 1;
    if (this.#nodes > nodesMax || path.length > depthMax) {
      if (!this.#isTooMuch) this.#refuse(path, `more than ${nodesMax} values, or more than ${depthMax} levels`);
      this.#isTooMuch = true;
    }
    if (this.#isTooMuch) return undefined;
    if (node instanceof Alias) return this.#readAlias(node, path);
    if (node instanceof YAMLMap) return this.#readMap(node, path);
    if (node instanceof YAMLSeq) return this.#readList(node, path);
    if (node instanceof Scalar) return this.#readScalar(node, path);
    return undefined;
  }

  #readAlias(alias: Alias, path: KeyPath): RawValue | undefined {
    const node = this.#meaningOf(alias);
    if (!node) this.#refuse(path, `*${alias.source}: there is no &${alias.source} before it`);
    return node && this.#read(node, path);
  }

  #meaningOf(alias: Alias): Node | undefined {
    this.#meanings ??= meaningsOf(this.#document);
    return this.#meanings.get(alias);
  }

  #readMap(map: YAMLMap<unknown, unknown>, path: KeyPath): RawMap {
    const read = emptyMap();
    for (const { key, value } of map.items) {
      if (!(key instanceof Scalar)) {
        this.#refuse(path, "a key must be a word");
        continue;
      }
      if (isMerge(key)) {
        this.#merge(read, value, path);
        continue;
      }
      const name = textOf(key);
      const keyPath = [...path, name];
      this.#lines.set(lineKey(keyPath), this.#lineAt(key));
      const found = this.#read(value, keyPath);
      if (found === undefined) delete read[name];
      if (value instanceof Scalar && value.value === null) this.unset.push(keyPath);
      if (found !== undefined) read[name] = found;
    }
    return read;
  }

  /** `<<: *anchor`: the keys of another map (or several), where this one has none of its own. */
  #merge(into: Record<string, RawValue>, value: unknown, path: KeyPath): void {
    const node = value instanceof Alias ? this.#meaningOf(value) : value;
    for (const source of node instanceof YAMLSeq ? node.items : [node]) {
      const merged = this.#read(source, path);
      if (this.#isTooMuch) return;
      if (merged === undefined || typeof merged === "string" || isList(merged)) {
        this.#refuse(path, "<< takes a map");
        return;
      }
      for (const [name, found] of Object.entries(merged)) if (!(name in into)) into[name] = found;
    }
  }

  #readList(list: YAMLSeq<unknown>, path: KeyPath): readonly RawValue[] {
    return list.items.flatMap((item, index) => {
      const itemPath = [...path, index];
      this.#lines.set(lineKey(itemPath), this.#lineAt(item));
      const found = this.#read(item instanceof Pair ? item.value : item, itemPath);
      if (found !== undefined) return [found];
      if (!this.#isTooMuch) this.#refuse(itemPath, `${formatKeyPath(path)} has an empty item`);
      return [];
    });
  }

  #readScalar(scalar: Scalar, path: KeyPath): string | undefined {
    if (scalar.value === null) return undefined;
    const expansion = expandVariables(textOf(scalar), this.#environment);
    if (expansion.kind === "failed") {
      this.#refuse(path, `${formatKeyPath(path)}: ${expansion.problem}`);
      return undefined;
    }
    return expansion.text === "" && scalar.type === Scalar.PLAIN ? undefined : expansion.text;
  }

  #refuse(path: KeyPath, message: string): void {
    this.problems.push({ line: this.lineOf(path), message });
  }

  #lineAt(node: unknown): number {
    const start = node instanceof Scalar || node instanceof YAMLMap || node instanceof YAMLSeq || node instanceof Alias ? node.range?.[0] : undefined;
    return start === undefined ? 1 : this.#lineCounter.linePos(start).line;
  }
}

/** What every alias stands for: the last node before it with that anchor. Found in one walk: a walk for each would take for ever. */
function meaningsOf(document: Document): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const meanings = new Map<Alias, Node>();
  visit(document, {
    Node(_, node) {
      if (!(node instanceof Alias)) return void (node.anchor && anchors.set(node.anchor, node));
      const meant = anchors.get(node.source);
      if (meant) meanings.set(node, meant);
    },
  });
  return meanings;
}

/** The text of a scalar as it was written: numbers and booleans too. */
function textOf(scalar: Scalar): string {
  return typeof scalar.value === "string" ? scalar.value : (scalar.source ?? String(scalar.value));
}

function isMerge(key: Scalar): boolean {
  return key.type === Scalar.PLAIN && key.source === "<<";
}

/** `Array.isArray` that knows read-only lists. */
export function isList(value: RawValue): value is readonly RawValue[] {
  return Array.isArray(value);
}

/** Without a prototype: `__proto__` is a key like any other, and as unknown. */
function emptyMap(): Record<string, RawValue> {
  return Object.create(null) as Record<string, RawValue>;
}

function lineKey(path: KeyPath): string {
  return path.join("\0");
}

function problemOf({ code, message, pos: [start] }: YAMLParseError, text: string, lineCounter: LineCounter): YamlProblem {
  const { line } = lineCounter.linePos(start);
  const written = text.split("\n", line)[line - 1] ?? "";
  return { line, message: wordsFor(code, message, text.slice(start, start + 64), written) };
}

/** The parser's words, where we have none that say more. */
function wordsFor(code: string, message: string, culprit: string, written: string): string {
  if (code === "DUPLICATE_KEY") return `${/^[\w.-]+/.exec(culprit)?.[0] ?? "a key"} is written twice`;
  if (code === "MULTIPLE_DOCS") return "a second document begins here (---); a configuration is one";
  if (/[[{].*\$\{/.test(written)) return "quote ${...} inside [ ] and { }";
  return `not YAML: ${message.split("\n", 1)[0]}`;
}
