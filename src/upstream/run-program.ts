/**
 * Running a program that answers a question: one text in, one text out, no shell. It has a limited time, may say a limited amount,
 * sees a few variables of our environment, and leaves nothing running behind: it and all that it started end together.
 */
import { spawn, type ChildProcess } from "node:child_process";
// Of other processes: only main.ts ends this one.
import { kill } from "node:process";
import type { Readable } from "node:stream";
import { delay, type Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { startBudget, untilAborted } from "../oci/waiting.ts";

const limitMsDefault = 10_000;
const outputBytesMax = 64 << 10;
/** What it says beside its answer is read to the end, and kept up to here. */
const complaintBytesMax = 16 << 10;
/** So long the output of a program that has ended is waited for: whoever left its group may hold it open. */
const drainMs = 1_000;

export interface Program {
  /** Found in PATH, or given by its path. */
  readonly command: string;
  readonly args: readonly string[];
}

export interface RunOptions {
  /** Written to its standard input, which is closed then. */
  readonly input: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Names the run in errors: `docker-credential-pass for quay.io`. */
  readonly what: string;
  readonly clock: Clock;
  readonly limitMs?: number;
}

export interface Outcome {
  /** Undefined: a signal ended it. */
  readonly exitCode: number | undefined;
  readonly stdout: Buffer;
  /** Its beginning. Both may hold secrets. */
  readonly stderr: Buffer;
}

/**
 * Runs it to its end, whatever its exit code. Rejects with `DENIED` when it cannot be run or says too much, with `UPSTREAM_TIMEOUT`
 * when it takes too long, and with the signal's reason; the program and what it started are killed by then.
 */
export async function runProgram({ command, args }: Program, options: RunOptions, signal: AbortSignal): Promise<Outcome> {
  const { input, what, clock, limitMs = limitMsDefault } = options;
  signal.throwIfAborted();
  const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `${what}: it did not answer within ${limitMs / 1_000} s, and was killed`);
  using budget = startBudget({ clock, limitMs, signal, late });
  const flooded = new AbortController();
  const child = start({ command, args }, options);
  try {
    const flood = (): void => flooded.abort(new OciError("DENIED", `${what}: it said more than ${outputBytesMax >> 10} KiB, and was killed: see what it does`));
    const stdout = collect(child.stdout, outputBytesMax, flood);
    const stderr = collect(child.stderr, complaintBytesMax, () => {});
    child.stdin?.on("error", () => {}); // It need not read what it is told; what it answers counts.
    child.stdin?.end(input);
    const isClosed = new AbortController();
    child.once("close", () => isClosed.abort());
    const exit = await endOf(child, AbortSignal.any([budget.signal, flooded.signal]));
    if (exit.kind === "not run") throw cannotRun(exit.error, what);
    await delay(clock, drainMs, isClosed.signal).catch(() => {}); // All has been read.
    flooded.signal.throwIfAborted();
    return { exitCode: exit.code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
  } finally {
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  }
}

/** In a session of its own: so that it can be killed with all its children, and cannot ask at our terminal. */
function start({ command, args }: Program, { environment, what }: RunOptions): ChildProcess {
  try {
    return spawn(command, [...args], { env: environment, stdio: ["pipe", "pipe", "pipe"], detached: true });
  } catch (error) {
    throw cannotRun(error, what);
  }
}

type Exit = { readonly kind: "ended"; readonly code: number | undefined } | { readonly kind: "not run"; readonly error: Error };

/** Whatever comes of it, nothing of the group runs on. */
async function endOf(child: ChildProcess, signal: AbortSignal): Promise<Exit> {
  const end = new Promise<Exit>((resolve) => {
    child.once("exit", (code) => resolve({ kind: "ended", code: code ?? undefined }));
    child.on("error", (error) => resolve({ kind: "not run", error }));
  });
  try {
    return await untilAborted(end, signal);
  } finally {
    killGroup(child);
  }
}

/** What the stream says, up to so many bytes; then `tooMuch` is called, and the rest is read and dropped. */
function collect(stream: Readable | null, bytesMax: number, tooMuch: () => void): readonly Buffer[] {
  const chunks: Buffer[] = [];
  let leftBytes = bytesMax;
  stream?.on("data", (chunk: Buffer) => {
    if (leftBytes > 0) chunks.push(chunk.subarray(0, leftBytes));
    if (chunk.length > leftBytes) tooMuch();
    leftBytes = Math.max(0, leftBytes - chunk.length);
  });
  stream?.on("error", () => {}); // What came before counts.
  return chunks;
}

/** Kills what is left of the program and its children. Those that began a session of their own (an agent, say) are not among them. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left, or (EPERM) only what has taken on other rights: either way there is nothing that we could do.
  }
}

function cannotRun(error: unknown, what: string): OciError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return new OciError("DENIED", `${what}: there is no such program; install it, or give its whole path (PATH is looked through)`);
  if (code === "EACCES") return new OciError("DENIED", `${what}: it may not be run; make the file executable for the user that we run as`);
  return new OciError("UPSTREAM_UNAVAILABLE", `${what}: it could not be started${typeof code === "string" ? ` (${code})` : ""}`);
}
