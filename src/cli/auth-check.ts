/** `ociregistry auth check` */
import type { AccessAnswer, AccessInquiry } from "../access.ts";
import { loadConfig } from "../config/load.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";

export interface AuthCheckOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  readonly user?: string;
  /** Each a list with commas, or one name that has `=` in it, as a directory's do. */
  readonly groups?: readonly string[];
  readonly repository: string;
  readonly action: string;
  /** For conditions: what is asked for in the repository, and by whom. */
  readonly reference?: string;
  readonly client?: string;
  /** Print the result as JSON. */
  readonly json?: boolean;
}

/** Says what the server would decide and which rule decides: 0 allowed, 1 denied. Asks nobody. Throws `ConfigError`. */
export async function authCheck({ flags, io, json = false, ...question }: AuthCheckOptions): Promise<number> {
  const { user, groups = [], repository, action, reference, client } = question;
  const { config, describe } = await loadConfig({ environment: io.environment, flags });
  const { inquire } = await import("../access.ts");
  const inquiry = { user, groups: groups.flatMap(splitGroups), repository, action, reference, client };
  const answer = await inquire(config, inquiry, { environment: io.environment, nowMs: Date.now(), describe });
  for (const notice of answer.notices) io.writeError(`ociregistry: notice: ${notice}\n`);
  io.writeOut(json ? `${JSON.stringify(resultOf(inquiry, answer), undefined, 2)}\n` : `${sentenceOf(inquiry, answer)}\n`);
  return answer.isAllowed ? exitCodes.done : exitCodes.failed;
}

function splitGroups(written: string): readonly string[] {
  const names = written.includes("=") ? [written] : written.split(",");
  return names.map((name) => name.trim()).filter((name) => name !== "");
}

/** `alice may read docker.io/library/alpine: repositories["library/**"].policies[0]` */
function sentenceOf({ user, action }: AccessInquiry, { isAllowed, repository, rule, reason, failedCondition }: AccessAnswer): string {
  const because = failedCondition === undefined ? (reason === undefined ? "" : ` (${reason})`) : ` (${failedCondition} could not be evaluated)`;
  return `${user ?? "somebody without a name"} may ${isAllowed ? "" : "not "}${action} ${repository}: ${rule}${because}`;
}

function resultOf({ user, action }: AccessInquiry, { isAllowed, groups, repository, policyName, rule, reason, failedCondition }: AccessAnswer): object {
  return { allowed: isAllowed, user, groups, action, repository, policyName, rule, reason, failedCondition };
}
