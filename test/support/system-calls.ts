/** The system calls by which a process uses files, by strace: to prove in which order things reach the disk, and to let the disk fail. */
import { readFile } from "node:fs/promises";
import { startProcess } from "./processes.ts";

export interface SystemCall {
  readonly name: string;
  /** For a rename: from and to. For an fsync: the file or folder. */
  readonly paths: readonly string[];
  /** Lines of the trace: one call was over before another began if its `endedAt` is less than the other's `beganAt`. */
  readonly beganAt: number;
  readonly endedAt: number;
}

export interface Trace {
  /** Ends the tracing, and tells the calls that succeeded. */
  stop(): Promise<readonly SystemCall[]>;
}

/** Traces the process `pid`, all its threads, from the moment this resolves on. Needs strace. */
export async function traceFileCalls(pid: number, { file }: { file: string }): Promise<Trace> {
  const calls = "trace=fsync,fdatasync,rename,renameat,renameat2";
  const strace = await startProcess({
    command: "strace",
    args: ["-f", "-y", "-s", "4096", "-e", calls, "-o", file, "-p", String(pid)],
    ready: { output: /attached/ },
  });
  return {
    async stop() {
      await strace.kill("SIGINT");
      return parseTrace(await readFile(file, "utf8"));
    },
  };
}

/** Lets every one of these calls of the process `pid`, in all its threads, fail with `error`, until it is disposed of. Needs strace. */
export async function injectFailure(pid: number, { calls, error }: { calls: readonly string[]; error: string }): Promise<AsyncDisposable> {
  const set = calls.join(",");
  const strace = await startProcess({
    command: "strace",
    args: ["-f", "-e", `trace=${set}`, "-e", `inject=${set}:error=${error}`, "-o", "/dev/null", "-p", String(pid)],
    ready: { output: /attached/ },
  });
  return { [Symbol.asyncDispose]: () => strace.kill("SIGINT") };
}

/** Lets these calls of one thread wait, as for a disk that hangs, until it is disposed of. Needs strace. */
export async function holdCalls(threadId: number, { calls }: { calls: readonly string[] }): Promise<AsyncDisposable> {
  const set = calls.join(",");
  const strace = await startProcess({
    command: "strace",
    args: ["-e", `trace=${set}`, "-e", `inject=${set}:delay_enter=${heldMicroseconds}`, "-o", "/dev/null", "-p", String(threadId)],
    ready: { output: /attached/ },
  });
  // While it holds a call it hears no other signal.
  return { [Symbol.asyncDispose]: () => strace.kill("SIGKILL") };
}

/** Longer than any test. */
const heldMicroseconds = 600_000_000;

/** A call that other threads' calls come between is told in two lines: `23 fsync(5</a> <unfinished ...>`, `23 <... fsync resumed>) = 0`. */
function parseTrace(text: string): readonly SystemCall[] {
  const begun = new Map<string, { readonly line: string; readonly at: number }>();
  return text.split("\n").flatMap((whole, at) => {
    const [, thread = "", line = ""] = /^(\d+) +(.*)$/.exec(whole) ?? [];
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(line)?.[1];
    if (unfinished !== undefined) {
      begun.set(thread, { line: unfinished, at });
      return [];
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(line)?.[1];
    const before = resumed === undefined ? undefined : begun.get(thread);
    return findCall((before?.line ?? "") + (resumed ?? line), before?.at ?? at, at);
  });
}

function findCall(line: string, beganAt: number, endedAt: number): readonly SystemCall[] {
  const [, name, rest] = /^(\w+)\((.*)\) += 0$/.exec(line) ?? [];
  if (name === undefined || rest === undefined) return [];
  const quoted = [...rest.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "");
  const paths = quoted.length > 0 ? quoted : [...rest.matchAll(/<([^>]*)>/g)].map((match) => match[1] ?? "");
  return [{ name, paths, beganAt, endedAt }];
}
