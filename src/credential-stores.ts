/**
 * Credential stores: the programs that keep docker's logins in a key ring (`docker-credential-<suffix>`), told to keep one, asked for one, told to
 * forget one. The protocol is that of docker-credential-helpers. They run as on the person's own command line: they may have to ask him.
 */
import type { Clock } from "./oci/clock.ts";
import { helperProgram, identityUser, parseHelperAnswer } from "./upstream/credential-helper.ts";
import { complaint } from "./upstream/program-complaint.ts";
import { runProgram, type Outcome } from "./upstream/run-program.ts";

/** What a client shows to a registry. */
export interface StoredLogin {
  readonly user: string;
  readonly secret: string;
}

export interface StoreOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Whoever has to unlock his key ring takes a while. */
const limitMs = 120_000;

/** Keeps it for `server`, as clients name it, in place of another. Throws an `OciError` that says what the program lacks. */
export async function storeLogin(suffix: string, server: string, { user, secret }: StoredLogin, options: StoreOptions): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: user, Secret: secret });
  const outcome = await runStore(suffix, "store", { ...options, input });
  if (outcome.exitCode !== 0) throw complained(outcome, suffix, "store");
}

/** Undefined: the program has none for `server`, or nothing that could be kept again. Throws as `storeLogin`. */
export async function findStoredLogin(suffix: string, server: string, options: StoreOptions): Promise<StoredLogin | undefined> {
  const outcome = await runStore(suffix, "get", { ...options, input: server });
  if (outcome.exitCode !== 0) {
    if (isNotFound(outcome)) return undefined;
    throw complained(outcome, suffix, "get");
  }
  const content = parseHelperAnswer(outcome.stdout);
  if (content === undefined || typeof content === "string") return undefined;
  if (content.kind === "identity") return { user: identityUser, secret: content.token };
  return content.kind === "basic" ? { user: content.user, secret: content.password } : undefined;
}

/** Forgets what it has for `server`; that it has nothing is no error. Throws as `storeLogin`. */
export async function eraseStoredLogin(suffix: string, server: string, options: StoreOptions): Promise<void> {
  const outcome = await runStore(suffix, "erase", { ...options, input: server });
  if (outcome.exitCode !== 0 && !isNotFound(outcome)) throw complained(outcome, suffix, "erase");
}

async function runStore(suffix: string, verb: string, { input, environment, clock, signal }: StoreOptions & { readonly input: string }): Promise<Outcome> {
  const { command } = helperProgram(suffix);
  const shown = Object.fromEntries(Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  return await runProgram({ command, args: [verb] }, { input, environment: shown, what: command, clock, limitMs }, signal);
}

function isNotFound({ stdout, stderr }: Outcome): boolean {
  return /credentials not found/i.test(`${stdout.toString("utf8")}${stderr.toString("utf8")}`);
}

function complained(outcome: Outcome, suffix: string, verb: string): Error {
  const { command } = helperProgram(suffix);
  return complaint(outcome, command, `${command} ${verb}`);
}
