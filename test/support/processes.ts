/** Real programs as children: started, awaited, listened to, and ended by their own id, never by name. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { isErrno } from "../../src/oci/errno.ts";
import { lookUntil } from "./looking.ts";
import { States } from "./states.ts";

export interface StartOptions {
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to, or (undefined) taken from, what we have. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Ready when it has printed this; or, of a program that says nothing, when it listens on this port of 127.0.0.1. */
  readonly ready?: { readonly output: RegExp } | { readonly port: number };
  readonly readyMs?: number;
}

export interface RunOptions {
  readonly env?: StartOptions["env"];
  readonly cwd?: string;
  readonly deadlineMs?: number;
  /** What it reads. */
  readonly input?: string;
}

export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

const outputCharsMax = 4_000_000;
const killAfterMs = 10_000;

/** Starts a program and resolves when it is ready. Dispose of it. Rejects, with its output, when it ends before or takes too long. */
export async function startProcess({ command, args = [], env = {}, cwd, ready, readyMs = 30_000 }: StartOptions): Promise<RunningProcess> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const running = new RunningProcess(child, [command, ...args].join(" "));
  try {
    await running.waitUntilReady(ready, readyMs);
  } catch (error) {
    await running.kill("SIGKILL");
    throw error;
  }
  return running;
}

/** Runs a program to its end. Ends it by force at the deadline: `code` is null then. */
export async function runProcess(
  command: string,
  args: readonly string[] = [],
  { env = {}, cwd, deadlineMs = 60_000, input }: RunOptions = {},
): Promise<RunResult> {
  const startMs = performance.now();
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {}); // It need not read what it is given.
  child.stdin.end(input ?? "");
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text: Buffer) => (stdout = (stdout + text.toString()).slice(-outputCharsMax)));
  child.stderr.on("data", (text: Buffer) => (stderr = (stderr + text.toString()).slice(-outputCharsMax)));
  const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  clearTimeout(timer);
  return { code, stdout, stderr, ms: performance.now() - startMs };
}

export class RunningProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #states = new States();
  #output = "";
  #hasEnded = false;
  /** Resolves when it has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;

  constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    const onOutput = (text: Buffer): void => {
      this.#output = (this.#output + text.toString()).slice(-outputCharsMax);
      this.#states.changed();
    };
    child.stdout?.on("data", onOutput);
    child.stderr?.on("data", onOutput);
    this.ended = new Promise((resolve) => {
      const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#hasEnded = true;
        this.#states.changed();
        resolve({ code, signal });
      };
      child.once("error", (error) => {
        this.#output += `${error.message}\n`;
        onEnd(null, null);
      });
      child.once("close", onEnd);
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** stdout and stderr, as they came; the last few megabytes. */
  get output(): string {
    return this.#output;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves to the match when the output holds one. Rejects when the program ends, or after `waitMs`. */
  async waitForOutput(pattern: RegExp, { waitMs = 30_000 }: { waitMs?: number } = {}): Promise<RegExpExecArray> {
    const find = (): RegExpExecArray | null => pattern.exec(this.#output);
    const isPrinted = (): boolean => {
      if (find()) return true;
      if (this.#hasEnded) throw this.#failure(`ended before it printed ${String(pattern)}`);
      return false;
    };
    await this.#states.until(isPrinted, { waitMs, tell: (waitedMs) => this.#told(`did not print ${String(pattern)} within ${waitedMs} ms`) });
    return find() ?? Promise.reject(this.#failure(`printed so much after ${String(pattern)} that it is lost`));
  }

  async waitUntilReady(ready: StartOptions["ready"], readyMs: number): Promise<void> {
    if (!ready) return;
    if ("output" in ready) return void (await this.waitForOutput(ready.output, { waitMs: readyMs }));
    const listens = await lookUntil(
      () => canConnect(ready.port),
      (connected) => connected || this.#hasEnded,
      { waitMs: readyMs, everyMs: 20 },
    );
    if (!listens) throw this.#failure(this.#hasEnded ? "ended before it listened" : `did not listen within ${readyMs} ms`);
  }

  /** Sends a signal; with SIGTERM, SIGKILL follows if it is not heeded. Resolves when the program has ended. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), killAfterMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** Sends a signal and goes on: SIGHUP, SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** Resident memory, from /proc. Linux only. */
  async residentBytes(): Promise<number> {
    return kibibytes(await readFile(`/proc/${this.pid}/status`, "utf8"), "VmRSS") * 1024;
  }

  /** The most resident memory it ever had. */
  async residentPeakBytes(): Promise<number> {
    return kibibytes(await readFile(`/proc/${this.pid}/status`, "utf8"), "VmHWM") * 1024;
  }

  /** Processor time that it has used so far, in seconds, to a hundredth. */
  async cpuSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100; // User and system time in USER_HZ, which is 100 wherever Linux runs.
  }

  async threads(): Promise<number> {
    return (await readdir(`/proc/${this.pid}/task`)).length;
  }

  /** How many file descriptors it has open. */
  async openFiles(): Promise<number> {
    return (await readdir(`/proc/${this.pid}/fd`)).length;
  }

  #failure(what: string): Error {
    return new Error(this.#told(what));
  }

  #told(what: string): string {
    return `${this.#name} ${what}; it said:\n${this.#output.slice(-4000)}`;
  }
}

function kibibytes(status: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? NaN);
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/**
 * A port of 127.0.0.1 that nobody listens on, for a program that cannot be told to take any. It lies below those that the system gives to
 * whoever dials out: one of them could be taken by a connection of another test before the program has it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(12_000, 32_768);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve, reject) => {
      server.once("error", (error) => (isErrno(error, "EADDRINUSE") ? resolve(false) : reject(error)));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise<void>((resolve) => server.close(() => resolve()));
    return port;
  }
}
