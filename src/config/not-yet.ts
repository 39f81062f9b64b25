/**
 * Keys whose feature is not built yet: they parse, and are refused as soon as they say something other than their default.
 * This table is the only place that knows; a feature that is built takes its line out.
 */
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { isList, type RawMap, type RawValue } from "./yaml-source.ts";

/** `[]` stands for each item of a list, `*` for each key of a map. */
const keysNotYet: readonly string[] = ["auth.bearer.awsSecretsManager", "auth.bearer.upstreamTokenEndpoint"];

/**
 * The paths of what is set in `tree`, is not built yet, and differs from what `defaultOf` (in the words of those who write) says.
 * Nothing written, `""`, `[]` and `{}` are no demand.
 */
export function findKeysNotYet(tree: RawMap, defaultOf: (path: KeyPath) => unknown): readonly KeyPath[] {
  return keysNotYet
    .flatMap((key) => [...matches(tree, key.split("."), [])])
    .filter(({ path, value }) => demands(value, defaultOf(path)))
    .map(({ path }) => path);
}

/** `not supported yet: http.auth.openid (line 3)`, as it was written; the line is added by who knows it. */
export function notYetFinding(path: KeyPath, written: KeyPath): Finding {
  return { path, message: `not supported yet: ${formatKeyPath(written)}`, namesLine: true };
}

/** True for a key (written `pruneConfig.enabled`) that is refused unless it has its default. */
export function isNotYet(name: string): boolean {
  return keysNotYet.some((key) => {
    const written = key.replaceAll(".[]", "[]");
    const parent = written.endsWith(".*") ? written.slice(0, -2) : undefined;
    return (
      name === written ||
      name.startsWith(`${written}.`) ||
      name.startsWith(`${written}[]`) ||
      (parent !== undefined && (name === parent || name.startsWith(`${parent}.`)))
    );
  });
}

function* matches(value: RawValue | undefined, [segment, ...rest]: readonly string[], path: KeyPath): Generator<{ path: KeyPath; value: RawValue }> {
  if (value === undefined) return;
  if (segment === undefined) return yield { path, value };
  if (typeof value === "string" || isList(value) !== (segment === "[]")) return;
  if (isList(value)) {
    for (const [index, item] of value.entries()) yield* matches(item, rest, [...path, index]);
    return;
  }
  for (const key of segment === "*" ? Object.keys(value) : [segment]) yield* matches(value[key], rest, [...path, key]);
}

function demands(value: RawValue, fallback: unknown): boolean {
  if (typeof value !== "string") return Object.keys(value).length > 0;
  const unsaid = typeof fallback === "string" || typeof fallback === "number" || typeof fallback === "boolean" ? String(fallback) : "";
  return value !== "" && value.toLowerCase() !== unsaid;
}
