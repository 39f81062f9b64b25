/**
 * Conditions: CEL expressions over a request that must all be true before a policy counts, with the names that zot gives to what they
 * may look at. They are checked when they are read; one that fails later grants nothing; none takes longer than a tenth of a second.
 */
import type { Environment, ParseResult } from "@marcbachmann/cel-js";
import { createWatch, type Watch } from "./bounded-run.ts";

export const expressionLengthMax = 4_096;
const evaluationTimeoutMs = 100;

/** What conditions may look at. */
export interface ConditionFacts {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  /** HTTP's. */
  readonly method: string;
  readonly userAgent: string;
  readonly action: string;
  /** As policies call it. */
  readonly repository: string;
  /** What the request names in it. */
  readonly reference: { readonly kind: "tag" | "digest"; readonly name: string } | undefined;
  readonly user: string;
  readonly groups: readonly string[];
  readonly isAdmin: boolean;
  /** The client's address, as far as proxies are trusted. */
  readonly client: string;
  /** The addresses of X-Forwarded-For, as far as proxies are trusted. */
  readonly forwardedFor: readonly string[];
  /** `1.3`; undefined without TLS. */
  readonly tlsVersion: string | undefined;
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface Condition {
  readonly expression: string;
  /** For people whom it keeps out. */
  readonly message: string | undefined;
  /** Whether it looks at what a listing has not got: a reference, its own method. */
  readonly needsReference: boolean;
  /** Never throws. */
  evaluate(facts: ConditionFacts): boolean | "failed";
}

export interface WrittenCondition {
  readonly expression: string;
  readonly message?: string | undefined;
}

/** Loads the language; the result reads conditions, and throws an Error that says what is wrong with one. */
export async function loadConditions(): Promise<(written: WrittenCondition) => Condition> {
  const { Environment } = await import("@marcbachmann/cel-js");
  const environment = describeRequest(new Environment({ limits: { maxAstNodes: 1_000, maxDepth: 64 } }));
  const watch = createWatch();
  return (written) => compile(written, environment, watch);
}

/** Every field with its type, so that a typing error shows when the rules are read. */
function describeRequest(environment: Environment): Environment {
  return environment.registerVariable({
    name: "req",
    schema: {
      time: "google.protobuf.Timestamp",
      method: "string",
      userAgent: "string",
      action: "string",
      repository: "string",
      reference: "string",
      referenceType: "string",
      tag: "string",
      digest: "string",
      user: { username: "string", groups: "list<string>" },
      auth: { anonymous: "bool", admin: "bool" },
      client: { ip: "string", forwardedFor: "list<string>" },
      tls: { enabled: "bool", version: "string" },
      claims: "map<string, dyn>",
    },
  });
}

function compile({ expression, message }: WrittenCondition, environment: Environment, watch: Watch): Condition {
  if (expression.length > expressionLengthMax) throw new Error(`an expression of ${expression.length} characters: at most ${expressionLengthMax}`);
  const parsed = parse(expression, environment);
  checkCalls(parsed.ast);
  const words = new Set(expression.match(/[A-Za-z_]\w*/g));
  const isSlow = slowWords.some((word) => words.has(word));
  // `req` by any other road than a field could lead to them.
  const needsReference = referenceWords.some((word) => words.has(word)) || /\breq\b(?!\s*\.)/.test(expression);
  return {
    expression,
    message,
    needsReference,
    evaluate(facts) {
      try {
        const request = requestOf(facts);
        const run = (): unknown => parsed({ req: request });
        const verdict = isSlow ? watch(run, evaluationTimeoutMs) : run();
        return typeof verdict === "boolean" ? verdict : "failed";
      } catch {
        // Whatever it was (a claim that is not there, too much time): it grants nothing, and who asked is told so.
        return "failed";
      }
    },
  };
}

function parse(expression: string, environment: Environment): ParseResult {
  const { valid, type, error } = environment.check(expression);
  if (!valid) throw new Error(error?.summary ?? "not an expression");
  if (type !== "bool" && type !== "dyn") throw new Error(`it is a ${type}, and must be true or false`);
  return environment.parse(expression);
}

/** Functions and macros whose time is not in proportion to the expression's length: they run under a watch. */
const slowWords = ["all", "exists", "exists_one", "map", "filter", "bind", "matches", "join", "replace"];
/** A list of all characters of a text that was doubled thirty times ends the process. */
const unstoppableCalls = ["split", "json", "bytes"];
const referenceWords = ["reference", "referenceType", "tag", "digest", "method"];

/** Throws for a regular expression that is none, where it is written out, and for calls that nothing can stop once they have begun. */
function checkCalls(node: unknown): void {
  if (Array.isArray(node)) return node.forEach(checkCalls);
  if (typeof node !== "object" || node === null || !("op" in node) || !("args" in node)) return;
  if ((node.op === "rcall" || node.op === "call") && Array.isArray(node.args)) {
    const [name, , ...others] = node.args as readonly unknown[];
    if (unstoppableCalls.some((call) => call === name)) throw new Error(`${String(name)}() is not for conditions`);
    const pattern = name === "matches" ? literalOf(others.flat()[0]) : undefined;
    if (pattern !== undefined) new RegExp(pattern);
  }
  checkCalls(node.args);
}

function literalOf(node: unknown): string | undefined {
  return typeof node === "object" && node !== null && "op" in node && node.op === "value" && "args" in node && typeof node.args === "string"
    ? node.args
    : undefined;
}

function requestOf(facts: ConditionFacts): object {
  const { timeMs, method, userAgent, action, repository, reference, user, groups, isAdmin, client, forwardedFor, tlsVersion, claims } = facts;
  return {
    time: new Date(timeMs),
    method,
    userAgent,
    action,
    repository,
    reference: reference?.name ?? "",
    referenceType: reference?.kind ?? "",
    tag: reference?.kind === "tag" ? reference.name : "",
    digest: reference?.kind === "digest" ? reference.name : "",
    user: { username: user, groups },
    auth: { anonymous: user === "", admin: isAdmin },
    client: { ip: client, forwardedFor },
    tls: { enabled: tlsVersion !== undefined, version: tlsVersion ?? "" },
    claims,
  };
}
