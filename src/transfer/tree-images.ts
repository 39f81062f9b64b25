/**
 * Finds the images that a tree of maps, lists and texts names, wherever they stand in it: kinds need not be known, but for those whose
 * lists say something else.
 */

export interface NamedImage {
  readonly written: string;
  readonly line: number;
}

export interface TreeProblem {
  readonly line: number;
  readonly message: string;
}

/** Branches are made when they are looked at. */
export type Tree =
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, () => Tree>; readonly line: number }
  | { readonly kind: "list"; readonly items: readonly (() => Tree)[]; readonly line: number }
  | { readonly kind: "text"; readonly text: string; readonly line: number };

type TreeMap = Extract<Tree, { kind: "map" }>;

/** Kinds that describe images to others, and want none. */
const kindsWithout: ReadonlySet<string> = new Set(["CustomResourceDefinition", "Kustomization"]);
/** Lists of `{ name: IMAGE }`: Hauler's, oc-mirror's. */
const listsOfNames: Readonly<Record<string, readonly string[]>> = { Images: ["images"], ImageSetConfiguration: ["additionalImages"] };

/** In the order of the document. A document that is a list of texts is a list of references. */
export function findImagesInTree(tree: Tree): { readonly images: readonly NamedImage[]; readonly problems: readonly TreeProblem[] } {
  const finder = new Finder();
  if (tree.kind === "list") for (const item of tree.items) finder.item(item());
  else finder.visit(tree, "");
  return finder;
}

class Finder {
  readonly images: NamedImage[] = [];
  readonly problems: TreeProblem[] = [];

  /** An item of a plain list. */
  item(tree: Tree): void {
    if (tree.kind === "text") this.#name(tree.text, tree.line);
    else this.visit(tree, "");
  }

  /** `kind` is that of the nearest object around. */
  visit(tree: Tree, kind: string): void {
    if (tree.kind === "text") return;
    if (tree.kind === "list") {
      for (const item of tree.items) this.visit(item(), kind);
      return;
    }
    const said = textAt(tree, "kind");
    const isObject = said !== undefined && textAt(tree, "apiVersion") !== undefined;
    const own = said ?? kind;
    if (isObject && kindsWithout.has(own)) return;
    for (const [key, branch] of tree.entries) {
      if (isObject && key === "status") continue; // What a cluster has seen, not what it is to have.
      this.#entry(key, branch(), own);
    }
    this.#related(tree);
  }

  #entry(key: string, value: Tree, kind: string): void {
    if (key === "image" && value.kind === "text") return this.#name(value.text, value.line);
    if (key === "image" && value.kind === "map" && this.#imageMap(value)) return;
    if (value.kind === "list" && (key === "images" || key === "additionalImages")) return this.#list(key, value.items, kind);
    this.visit(value, kind);
  }

  #list(key: string, items: readonly (() => Tree)[], kind: string): void {
    for (const branch of items) {
      const item = branch();
      if (item.kind === "text") this.#name(item.text, item.line);
      else if (item.kind === "map" && listsOfNames[kind]?.includes(key) === true) this.#name(textAt(item, "name") ?? "", item.line);
      else this.visit(item, kind);
    }
  }

  /** A volume's `{ reference }`, and what operators write: `{ registry, repository, tag, digest }`. */
  #imageMap(map: TreeMap): boolean {
    const reference = textAt(map, "reference");
    const repository = textAt(map, "repository");
    if (reference !== undefined) this.#name(reference, map.line);
    if (reference !== undefined || repository === undefined) return reference !== undefined;
    const [registry, tag, digest] = ["registry", "tag", "digest"].map((key) => textAt(map, key) ?? "");
    const name = `${registry ? `${registry}/` : ""}${repository}${tag ? `:${tag}` : ""}${digest ? `@${digest}` : ""}`;
    if (tag || digest) this.#name(name, map.line);
    else this.problems.push({ line: map.line, message: `${name} has neither a tag nor a digest here: which one is wanted cannot be told` });
    return true;
  }

  /** Operators are told by variables which images they will start. */
  #related(map: TreeMap): void {
    const value = map.entries.get("value")?.();
    if (value?.kind === "text" && textAt(map, "name")?.startsWith("RELATED_IMAGE_") === true) this.#name(value.text, value.line);
  }

  #name(text: string, line: number): void {
    const written = text.trim().replaceAll(/\$\{\w+:?-([^{}]*)\}/g, "$1"); // Compose's ${TAG:-1.25} has a default.
    if (written === "") return;
    if (written.includes("$")) this.problems.push({ line, message: `${written} holds a variable that has no default: write what it stands for` });
    else this.images.push({ written, line });
  }
}

function textAt(map: TreeMap, key: string): string | undefined {
  const value = map.entries.get(key)?.();
  return value?.kind === "text" && value.text !== "" ? value.text : undefined;
}
