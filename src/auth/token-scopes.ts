/** Scopes: what a client asks a token for. Docker's "Token Scope Documentation": `repository:samalba/my-app:pull,push`. */

export interface Scope {
  /** `repository`, `registry`; the class that some write behind it (`repository(plugin)`) means nothing any more. */
  readonly type: string;
  /** May hold a colon: that of a port. */
  readonly name: string;
  readonly actions: readonly string[];
}

/** Scopes of one request: an image is one, a copy from another repository two. */
export const scopesMax = 64;
const scopeLengthMax = 1_024;

/** Reads the values of all `scope` parameters, each a list between blanks. Undefined when one is none, or there are too many. */
export function parseScopes(values: readonly string[]): readonly Scope[] | undefined {
  // Some clients ask twice for what was refused.
  const written = new Set(values.flatMap((value) => value.split(" ")).filter((scope) => scope !== ""));
  if (written.size > scopesMax) return undefined;
  const scopes = [...written].map(parseScope);
  return scopes.every((scope) => scope !== undefined) ? scopes : undefined;
}

/** The form in which a granted scope is told. */
export function writeScope({ type, name, actions }: Scope): string {
  return `${type}:${name}:${actions.join(",")}`;
}

function parseScope(written: string): Scope | undefined {
  if (written.length > scopeLengthMax) return undefined;
  const [, type = "", name = "", actions = ""] = /^([a-z0-9]+)(?:\([a-z0-9]+\))?:(.+):([a-z*,]*)$/.exec(written) ?? [];
  if (type === "" || name === "") return undefined;
  return { type, name, actions: [...new Set(actions.split(",").filter((action) => action !== ""))] };
}
