/**
 * Of an item of a list that kubectl printed, the lines that can name an image, with those that they stand below. A large cluster's list
 * has a hundred megabytes, of which a reader of YAML needs none but these.
 */

export interface KeptLines {
  readonly text: string;
  /** Which line of the item each of them was, from 0. */
  readonly lines: readonly number[];
}

const naming = /images?["']?\s*:|RELATED_IMAGE_/i;
const describing = /^\s*(- )?(kind|apiVersion):/;
/** The value of a variable stands among these, after its name. */
const valueWithin = 2;

/** Undefined when that cannot be told line by line: read all of it then. */
export function keepImageLines(item: string): KeptLines | undefined {
  const all = item.split("\n");
  const kept = new Set<number>();
  for (const [index, line] of all.entries()) {
    if (describing.test(line)) keepWithParents(all, index, kept);
    if (!naming.test(line)) continue;
    if (/:\s*[*&]|<</.test(line)) return undefined;
    keepWithParents(all, index, kept);
    for (const below of rangeBelow(all, index)) kept.add(below);
    if (line.includes("RELATED_IMAGE_")) for (let next = 1; next <= valueWithin; next++) if (/^\s*value:/.test(all[index + next] ?? "")) kept.add(index + next);
  }
  const lines = [...kept].sort((one, other) => one - other);
  return { text: lines.map((index) => all[index] ?? "").join("\n"), lines };
}

/** Up to the margin: what is less indented, and the key whose list stands as far to the left as itself. */
function keepWithParents(all: readonly string[], start: number, kept: Set<number>): void {
  kept.add(start);
  let { indent, isItem } = shapeOf(all[start] ?? "");
  for (let index = start - 1; index >= 0 && (indent > 0 || isItem); index--) {
    const line = all[index] ?? "";
    if (line.trim() === "") continue;
    const shape = shapeOf(line);
    if (shape.indent > indent || (shape.indent === indent && (shape.isItem || !isItem))) continue;
    ({ indent, isItem } = shape);
    if (kept.has(index)) return;
    kept.add(index);
  }
}

/** What is further to the right, or a list's items right below their key. */
function* rangeBelow(all: readonly string[], start: number): Generator<number> {
  const { indent, isItem } = shapeOf(all[start] ?? "");
  const keyIndent = isItem ? indent + 2 : indent;
  for (let index = start + 1; index < all.length; index++) {
    const line = all[index] ?? "";
    const shape = shapeOf(line);
    if (line.trim() !== "" && !(shape.indent > keyIndent || (shape.isItem && shape.indent === keyIndent))) return;
    yield index;
  }
}

function shapeOf(line: string): { indent: number; isItem: boolean } {
  const indent = line.length - line.trimStart().length;
  return { indent, isItem: line.startsWith("- ", indent) || line.trim() === "-" };
}
