/** What JSON may hold when somebody else wrote it: nothing is there until it was looked at. */

/** `value` when it is an object with members, else undefined. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return isMembers(value) ? value : undefined;
}

/** The object that `text` is as JSON; undefined when it is another thing, torn, or not there. */
export function findObject(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    return text === undefined ? undefined : objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** `value` when it is text, else undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
