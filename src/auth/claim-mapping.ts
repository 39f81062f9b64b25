/**
 * ClaimMapping: what a workload is called, and its groups, by CEL expressions over the claims of its token: zot's `claimMapping`.
 * `variables` first, in their order, then `validations`, which must all be true, then `username` and `groups`.
 */
import type { Environment, ParseResult } from "@marcbachmann/cel-js";
import { isUserName } from "./access-tokens.ts";
import { createWatch } from "./bounded-run.ts";
import { expressionLengthMax } from "./conditions.ts";
import type { Claims } from "./token-verifier.ts";

/** An expression that fails names its claim only where the claim is missing; evaluating all of them may take this long. */
const mappingTimeoutMs = 100;
const groupsMax = 1_000;

export interface WrittenClaimMapping {
  readonly variables: readonly { readonly name: string; readonly expression: string }[];
  readonly validations: readonly { readonly expression: string; readonly message: string }[];
  /** Default: `claims.iss + "/" + claims.sub`. */
  readonly username: string | undefined;
  /** Default: none. */
  readonly groups: string | undefined;
}

export type Mapped =
  | { readonly kind: "mapped"; readonly name: string; readonly groups: readonly string[] }
  /** For the audit line. */
  | { readonly kind: "refused"; readonly reason: string };

/** Never throws. */
export type ClaimMapping = (claims: Claims) => Mapped;

/** Reads a mapping; rejects with an Error that says which expression is wrong, and why. */
export async function loadClaimMapping({ variables, validations, username, groups }: WrittenClaimMapping): Promise<ClaimMapping> {
  const isPlain = variables.length === 0 && validations.length === 0 && username === undefined && groups === undefined;
  // The library is there for those who write expressions.
  if (isPlain) return (claims) => finish(plainName(claims), []);
  const { Environment } = await import("@marcbachmann/cel-js");
  const environment = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits: { maxAstNodes: 1_000, maxDepth: 64 } })
    .registerVariable("claims", "map<string, dyn>")
    .registerVariable("vars", "map<string, dyn>");
  const compiled = {
    variables: variables.map(({ name, expression }) => ({ name, run: compile(environment, expression, `variable "${name}"`) })),
    validations: validations.map(({ expression, message }) => ({ message, run: compile(environment, expression, `validation "${message}"`) })),
    username: username === undefined ? undefined : compile(environment, username, "username"),
    groups: groups === undefined ? undefined : compile(environment, groups, "groups"),
  };
  const watch = createWatch();
  return (claims) => {
    try {
      const outcome: { mapped?: Mapped } = {};
      watch(() => (outcome.mapped = evaluate(compiled, claims)), mappingTimeoutMs);
      return outcome.mapped ?? { kind: "refused", reason: "the claim mapping gave nothing" };
    } catch (error) {
      // A claim that is not there, a value of another kind, too much time.
      return { kind: "refused", reason: `the claim mapping failed: ${error instanceof Error ? firstLine(error.message) : String(error)}` };
    }
  };
}

interface Compiled {
  readonly variables: readonly { readonly name: string; readonly run: ParseResult }[];
  readonly validations: readonly { readonly message: string; readonly run: ParseResult }[];
  readonly username: ParseResult | undefined;
  readonly groups: ParseResult | undefined;
}

function evaluate({ variables, validations, username, groups }: Compiled, claims: Claims): Mapped {
  const vars = new Map<string, unknown>();
  const context = { claims, vars };
  for (const { name, run } of variables) vars.set(name, run(context));
  for (const { message, run } of validations) if (run(context) !== true) return { kind: "refused", reason: message };
  const list: unknown = groups ? groups(context) : [];
  return finish(username ? username(context) : plainName(claims), list);
}

function plainName({ iss, sub }: Claims): string | undefined {
  return typeof iss === "string" && typeof sub === "string" && sub !== "" ? `${iss}/${sub}` : undefined;
}

function finish(name: unknown, groups: unknown): Mapped {
  if (!isUserName(name)) return { kind: "refused", reason: "the token gives no user name" };
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === "string")) return { kind: "refused", reason: "groups is no list of texts" };
  if (groups.length > groupsMax) return { kind: "refused", reason: `${groups.length} groups: at most ${groupsMax}` };
  return { kind: "mapped", name, groups };
}

function compile(environment: Environment, expression: string, what: string): ParseResult {
  if (expression.length > expressionLengthMax) throw new Error(`${what}: an expression of ${expression.length} characters: at most ${expressionLengthMax}`);
  const { valid, error } = environment.check(expression);
  if (!valid) throw new Error(`${what}: ${error?.summary ?? "not an expression"}`);
  return environment.parse(expression);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
