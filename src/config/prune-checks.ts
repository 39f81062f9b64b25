/** What is wrong with a `pruneConfig` beyond single keys: what contradicts itself, and what would prune nothing or everything by mistake. */
import { ConfigError } from "./config-error.ts";
import type { Finding } from "./finding.ts";
import { compileGoPatterns } from "./go-patterns.ts";
import type { KeyPath } from "./key-path.ts";
import type { ParsedConfig } from "./schema.ts";

/** `isWritten`: whether somebody wrote the key at a path, be it in the words of its default. */
export function checkPrune({ pruneConfig, registries }: ParsedConfig, isWritten: (path: KeyPath) => boolean): readonly Finding[] {
  const { enabled, type, expr, schedule, frequency, maxSize, keep } = pruneConfig;
  const at = (key: string, message: string): Finding => ({ path: ["pruneConfig", key], message: `pruneConfig.${key} ${message}` });
  const findings: Finding[] = [];
  if (schedule !== undefined && isWritten(["pruneConfig", "frequency"]))
    findings.push(at("frequency", "and pruneConfig.schedule both say when: keep one of them"));
  if (schedule === undefined && frequency === 0) findings.push(at("frequency", "must be above 0"));
  if (enabled && type === "pattern" && expr === undefined) findings.push(at("expr", "must say what to prune, for type pattern"));
  if (maxSize === 0) findings.push(at("maxSize", "must be above 0; without it the store may grow as large as the disk"));
  for (const [index, { maxSize: ofRegistry }] of registries.entries()) {
    if (ofRegistry === 0) findings.push({ path: ["registries", index, "maxSize"], message: `registries[${index}].maxSize must be above 0` });
  }
  for (const [index, { pattern, lastTags, pinned }] of keep.entries()) {
    const path = ["pruneConfig", "keep", index];
    if (pattern === undefined && lastTags === undefined && pinned === undefined)
      findings.push({ path, message: `pruneConfig.keep[${index}] keeps nothing: write pattern or lastTags` });
    if (pinned === false)
      findings.push({ path: [...path, "pinned"], message: `pruneConfig.keep[${index}].pinned: what is pinned is kept in any case: unpin it` });
  }
  return [...findings, ...checkExpression(expr)];
}

function checkExpression(expr: string | undefined): readonly Finding[] {
  try {
    if (expr !== undefined) compileGoPatterns(expr, { what: "pruneConfig.expr" });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [{ path: ["pruneConfig", "expr"], message: error.message }];
  }
}
