/** JSON objects that others wrote: parsed without a word of what they hold, which may be secrets. */

export type JsonObject = Readonly<Record<string, unknown>>;

/** Undefined when the text is no JSON, or no object. */
export function parseJsonObject(bytes: Buffer): JsonObject | undefined {
  try {
    return objectOf(JSON.parse(bytes.toString("utf8").replace(/^\uFEFF/, "")));
  } catch {
    return undefined; // The error quotes what it cannot read: the caller says what is wrong without it.
  }
}

/** `value`, when it is an object and no list. */
export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : undefined;
}
