/**
 * Finds the images that a document names: pod specs of any kind (`kubectl get pods -A -o yaml`, rendered charts, custom resources), compose
 * files, Hauler's `kind: Images`, Zarf's packages, oc-mirror's image sets, and plain lists of references.
 *
 * A large document is not read as one tree: kubectl prints a list's items at the beginning of lines, so that each is read by itself.
 */
import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document } from "yaml";
import { keepImageLines } from "./list-item.ts";
import { findImagesInTree, type NamedImage, type Tree, type TreeProblem } from "./tree-images.ts";

export interface FoundImages {
  readonly images: readonly NamedImage[];
  readonly problems: readonly TreeProblem[];
}

/** Reads documents of YAML. Never throws: what cannot be read is a problem, with its line. */
export function findImagesInYaml(text: string): FoundImages {
  const images: NamedImage[] = [];
  const problems: TreeProblem[] = [];
  for (const { part, lineOffset, isItem } of partsOf(text)) {
    const found = (isItem ? readItem(part) : undefined) ?? readPart(part);
    images.push(...found.images.map(({ written, line }) => ({ written, line: line + lineOffset })));
    problems.push(...found.problems.map(({ message, line }) => ({ message, line: line + lineOffset })));
  }
  return { images, problems };
}

/** Reads JSON: one document, or several that follow each other line by line. Never throws. */
export function findImagesInJson(text: string): FoundImages {
  try {
    const json: unknown = JSON.parse(text);
    return findImagesInTree(treeOfJson(json, lineFinder(text)));
  } catch (error) {
    if (error instanceof RangeError) return { images: [], problems: [{ line: 1, message: "too many levels" }] };
    return findImagesInYaml(text); // YAML begins with braces too, and its reader says where it is wrong.
  }
}

/** By the lines that matter; undefined when that does not do. */
function readItem(item: string): FoundImages | undefined {
  const kept = keepImageLines(item);
  const found = kept && readPart(kept.text);
  if (!found || found.problems.length > 0) return undefined;
  return { images: found.images.map(({ written, line }) => ({ written, line: (kept.lines[line - 1] ?? 0) + 1 })), problems: [] };
}

function readPart(part: string): FoundImages {
  const lines = new LineCounter();
  try {
    const documents = parseAllDocuments(part, { lineCounter: lines, prettyErrors: false, logLevel: "silent", uniqueKeys: false, strict: false });
    const found = [...documents].map((document) => readDocument(document, lines));
    return { images: found.flatMap(({ images }) => images), problems: found.flatMap(({ problems }) => problems) };
  } catch (error) {
    if (error instanceof RangeError) return { images: [], problems: [{ line: 1, message: "too many levels" }] };
    throw error;
  }
}

function readDocument(document: Document, lines: LineCounter): FoundImages {
  const [error] = document.errors;
  if (error) return { images: [], problems: [{ line: lines.linePos(error.pos[0]).line, message: `not YAML: ${error.message.split("\n", 1)[0]}` }] };
  return findImagesInTree(treeOfNode(document.contents, document, lines));
}

/** Aliases are not followed: what they stand for is looked at where it stands. But for `image: *name`, which is one. */
function treeOfNode(node: unknown, document: Document, lines: LineCounter): Tree {
  const line = isMap(node) || isSeq(node) || isScalar(node) ? lines.linePos(node.range?.[0] ?? 0).line : 1;
  if (isMap(node)) {
    const entries = node.items.map(({ key, value }) => [isScalar(key) ? String(key.value) : "", (): Tree => treeOfNode(value, document, lines)] as const);
    return { kind: "map", entries: new Map(entries), line };
  }
  if (isSeq(node)) return { kind: "list", items: node.items.map((item) => (): Tree => treeOfNode(item, document, lines)), line };
  if (isScalar(node)) return { kind: "text", text: typeof node.value === "string" ? node.value : (node.source ?? ""), line };
  const meant = node === null || typeof node !== "object" || !("resolve" in node) || typeof node.resolve !== "function" ? undefined : node.resolve(document);
  return isScalar(meant) ? treeOfNode(meant, document, lines) : { kind: "text", text: "", line };
}

function treeOfJson(json: unknown, lineOf: (text: string) => number): Tree {
  if (Array.isArray(json)) return { kind: "list", items: json.map((item) => (): Tree => treeOfJson(item, lineOf)), line: 1 };
  if (typeof json === "object" && json !== null) {
    return { kind: "map", entries: new Map(Object.entries(json).map(([key, value]) => [key, (): Tree => treeOfJson(value, lineOf)])), line: 1 };
  }
  const text = typeof json === "string" ? json : "";
  return {
    kind: "text",
    text,
    get line() {
      return lineOf(text);
    },
  };
}

/** Where a text is written for the first time in a JSON document: its parser does not say. */
function lineFinder(text: string): (written: string) => number {
  const known = new Map<string, number>();
  return (written) => {
    const line = known.get(written) ?? lineAt(text, text.indexOf(JSON.stringify(written)));
    known.set(written, line);
    return line;
  };
}

function lineAt(text: string, position: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < position; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

interface Part {
  readonly part: string;
  readonly lineOffset: number;
  /** One item of a list, as kubectl prints them. */
  readonly isItem: boolean;
}

/** Documents, and the items of a list at the left margin, as texts of their own. What names no image is not read. */
function* partsOf(text: string): Generator<Part> {
  const lines = text.split("\n");
  let start = 0;
  let isInItems = false;
  const partTo = (end: number): Part => ({ part: lines.slice(start, end).join("\n"), lineOffset: start, isItem: isInItems });
  for (const [index, line] of lines.entries()) {
    const beginsDocument = /^---(\s|$)/.test(line);
    const beginsItem = isInItems && line.startsWith("- ");
    const endsItems = isInItems && /^[^\s#-]/.test(line);
    if (index > start && (beginsDocument || beginsItem || endsItems)) {
      const part = partTo(index);
      if (namesImages(part.part)) yield part;
      start = index;
    }
    if (beginsDocument || endsItems) isInItems = false;
    if (/^items:\s*$/.test(line)) {
      isInItems = true;
      start = index + 1;
    }
  }
  const last = partTo(lines.length);
  if (namesImages(last.part)) yield last;
}

/** Also what is not made of `key: value`: a list of references. */
function namesImages(part: string): boolean {
  return /image/i.test(part) || /^- +["']?[^\s:]+(:\S+)?["']?\s*(#.*)?$/m.test(part);
}
