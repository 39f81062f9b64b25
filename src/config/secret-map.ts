/** A small file of secrets that a configuration names: a few keys, as JSON or YAML. */
import { ConfigError } from "./config-error.ts";
import { readYaml } from "./yaml-source.ts";

/**
 * The texts of `names`, and of those of `optional` that are there, whatever the case of the file's own spelling. Throws `ConfigError` that
 * begins with `key`, when one is missing or there is another; it quotes nothing of the file.
 */
export function readSecretMap<Name extends string, Optional extends string = never>(
  key: string,
  text: string,
  names: readonly Name[],
  optional: readonly Optional[] = [],
): Readonly<Record<Name, string> & Partial<Record<Optional, string>>> {
  const values = new Map(Object.entries(parse(key, text)).map(([name, value]) => [name.toLowerCase(), value]));
  const found = names.map((name) => [name, values.get(name.toLowerCase())] as const);
  if (found.some(([, value]) => typeof value !== "string" || value === "")) throw new ConfigError([`${key}: it needs ${names.join(" and ")}`]);
  const known: readonly string[] = [...names, ...optional];
  if ([...values.keys()].some((name) => !known.some((one) => one.toLowerCase() === name)))
    throw new ConfigError([`${key}: it has a key that is neither ${known.join(" nor ")}`]);
  const more = optional.flatMap((name) => (values.has(name.toLowerCase()) ? [[name, values.get(name.toLowerCase())] as const] : []));
  if (more.some(([, value]) => typeof value !== "string" || value === "")) throw new ConfigError([`${key}: ${optional.join(" and ")} must be text`]);
  return Object.fromEntries([...found, ...more]) as Record<Name, string> & Partial<Record<Optional, string>>; // Each was just found to be text.
}

/** JSON is read as such: a password may look like a variable of ours. */
function parse(key: string, text: string): object {
  const { tree, problems } = text.trimStart().startsWith("{") ? { tree: findJson(text), problems: [] } : readYaml(text, { environment: {} });
  if (problems.length > 0 || typeof tree !== "object" || tree === null) throw new ConfigError([`${key}: it is neither JSON nor YAML`]);
  return tree;
}

function findJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The parser's words would quote the password.
  }
}
