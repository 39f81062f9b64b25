/** Vocabulary: the keys of the schema as data, for suggestions, variables, documents and editors. */
import { z } from "zod";
import type { KeyPath } from "./key-path.ts";
import { configSchema } from "./schema.ts";

/** The part of JSON Schema that describes our keys. */
export interface KeySchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly items?: KeySchema;
  readonly anyOf?: readonly KeySchema[];
  /** What every key of a map with keys of the user's own holds. */
  readonly additionalProperties?: KeySchema | boolean;
}

export interface VocabularyKey {
  /** `registries[].auth.user`. */
  readonly name: string;
  readonly schema: KeySchema;
}

/** JSON Schema (2020-12) of the configuration file. */
export function configJsonSchema(): KeySchema & Readonly<Record<string, unknown>> {
  return z.toJSONSchema(configSchema, { io: "input", target: "draft-2020-12" }) as KeySchema & Readonly<Record<string, unknown>>;
}

export class Vocabulary {
  readonly #top: KeySchema;

  constructor(top: KeySchema = configJsonSchema()) {
    this.#top = top;
  }

  /** Every key, in the schema's order, a map's or list's own before those inside. */
  keys(): readonly VocabularyKey[] {
    return [...keysIn(this.#top, "")];
  }

  /** What is known of the key at `path`; undefined for an unknown one. */
  find(path: KeyPath): KeySchema | undefined {
    return path.reduce<KeySchema | undefined>((schema, key) => (typeof key === "number" ? itemsOf(schema) : inside(schema, key)), this.#top);
  }

  /** The keys that are known inside of what `schema` describes. */
  keysOf(schema: KeySchema): readonly string[] {
    return Object.keys(propertiesOf(schema) ?? {});
  }

  /** What is known of `key` inside of what `schema` describes. */
  insideOf(schema: KeySchema, key: string): KeySchema | undefined {
    return inside(schema, key);
  }

  /** What each item of the list that `schema` describes is. */
  itemsOf(schema: KeySchema): KeySchema | undefined {
    return itemsOf(schema);
  }

  /** The key that was probably meant by the unknown `path`: the nearest beside it, or one of exactly that name elsewhere. */
  nearest(path: KeyPath): string {
    const unknown = String(path.at(-1)).toLowerCase();
    const beside = Object.keys(propertiesOf(this.find(path.slice(0, -1))) ?? {});
    const [best] = beside.map((key) => ({ key, distance: editDistance(unknown, key.toLowerCase()) })).sort((a, b) => a.distance - b.distance);
    if (best && best.distance <= Math.max(2, unknown.length / 3)) return best.key;
    const [elsewhere] = this.keys()
      .map(({ name }) => name)
      .filter((name) => `.${name.toLowerCase()}`.endsWith(`.${unknown}`))
      .sort((a, b) => a.length - b.length);
    return elsewhere ?? best?.key ?? "";
  }

  /** Top-level keys that one text can say: those that variables may set. */
  scalarKeys(): readonly string[] {
    return Object.entries(propertiesOf(this.#top) ?? {}).flatMap(([key, schema]) => (isScalar(schema) ? [key] : []));
  }
}

function* keysIn(schema: KeySchema, prefix: string): Generator<VocabularyKey> {
  for (const [key, held] of Object.entries(propertiesOf(schema) ?? {})) {
    const name = `${prefix}${key}`;
    yield { name, schema: held };
    yield* keysIn(held, `${name}.`);
    const items = itemsOf(held);
    if (items) yield* keysIn(items, `${name}[].`);
    const each = eachOf(held);
    if (each) yield* keysIn(each, `${name}.*.`);
  }
}

function inside(schema: KeySchema | undefined, key: string): KeySchema | undefined {
  const properties = propertiesOf(schema);
  return properties && Object.hasOwn(properties, key) ? properties[key] : eachOf(schema);
}

/** What every key of a map with keys of the user's own holds, where that has a shape. */
function eachOf(schema: KeySchema | undefined): KeySchema | undefined {
  const each = schema?.additionalProperties;
  return typeof each === "object" && (each.properties || each.items || each.anyOf) ? each : undefined;
}

function propertiesOf(schema: KeySchema | undefined): KeySchema["properties"] {
  return schema?.properties ?? schema?.anyOf?.find((one) => one.properties)?.properties;
}

function itemsOf(schema: KeySchema | undefined): KeySchema | undefined {
  return schema?.items ?? schema?.anyOf?.find((one) => one.items)?.items;
}

function isScalar(schema: KeySchema): boolean {
  const shapes = schema.anyOf ?? [schema];
  return shapes.some(({ type, anyOf }) =>
    anyOf ? true : ["string", "boolean", "integer", "number"].some((scalar) => type === scalar || type?.includes(scalar)),
  );
}

/** Insertions, deletions, replacements and swaps of neighbours that make `to` of `from`. */
function editDistance(from: string, to: string): number {
  const lengthMax = 100;
  const [a, b] = [from.slice(0, lengthMax), to.slice(0, lengthMax)];
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const at = (line: readonly number[], index: number): number => line[index] ?? Infinity;
      const replaced = at(last, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const swapped = row > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1] ? at(beforeLast, column - 2) + 1 : Infinity;
      current.push(Math.min(at(last, column) + 1, at(current, column - 1) + 1, replaced, swapped));
    }
    [beforeLast, last] = [last, current];
  }
  return last[b.length] ?? Infinity;
}
