/** The process: its arguments, environment and signals, and the only exit. */
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import type { CommandIo } from "./cli/command-io.ts";
import { stepBack } from "./oci/step-back.ts";

goOnWithSmallHeap(process.argv.slice(2));

// File reads, hashing and name look-ups share this pool; four threads would let slow ones hold up the rest. Before its first use.
process.env["UV_THREADPOOL_SIZE"] ??= "32";

// Whoever runs it next may be another user of the same group (a random one of group 0): what we make, that group may change too.
process.umask(process.umask() & ~0o070);

// Sources are compiled once, not at every start: a third less memory, half of the time. Where that folder cannot be written nothing is lost.
enableCompileCache(join(import.meta.dirname, "..", "node_modules", ".cache", "compiled"));

const { run } = await import("./cli/program.ts");

const io: CommandIo = {
  environment: process.env,
  writeOut(text) {
    process.stdout.write(text);
  },
  writeError(text) {
    process.stderr.write(text);
  },
  async readHidden(prompt) {
    const { readHiddenLine } = await import("./cli/hidden-line.ts");
    return await readHiddenLine({ input: process.stdin, output: process.stderr, prompt });
  },
  input: () => process.stdin,
  output: () => process.stdout,
  isTerminal: process.stderr.isTTY,
  isInteractive: process.stdin.isTTY === true,
  columns: process.stdout.columns ?? 80,
  stepBack,
  onSignal(signal, listener) {
    process.on(signal, listener);
    return () => process.off(signal, listener);
  },
  exit: (code) => process.exit(code),
};

// Whoever read our result has seen enough: `list | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (process.stdout.listenerCount("error") > 1) return; // Who streams there minds it himself.
  if (error.code !== "EPIPE") process.stderr.write(`ociregistry: stdout: ${error.message}\n`);
  process.exit(1);
});

// Our timers keep no process alive: a command that waits is not over.
setInterval(() => {}, 2 ** 30);
const code = await run(process.argv.slice(2), io);
// Who reads a pipe slowly has not got all of it yet.
for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write("", resolve));
process.exit(code);

/**
 * A server's garbage, and that of who looks at everything, is young and plenty: left alone, V8 gives it 100 MiB to lie in, lets what survived it grow to several times what is
 * alive, and malloc takes an arena for each thread. All can only be told at the start of a process, so a process that is to do such work becomes
 * another with the same pid.
 */
function goOnWithSmallHeap(args: readonly string[]): void {
  const flag = "--max-semi-space-size";
  const isTold = process.execArgv.some((arg) => arg.startsWith(flag)) || process.env["NODE_OPTIONS"]?.includes(flag) === true;
  if (isTold || !["serve", "list", "prune", "verify"].some((command) => args.includes(command)) || process.platform === "win32" || process.execve === undefined)
    return;
  process.execve(process.execPath, [process.execPath, `${flag}=4`, "--heap-growing-percent=40", ...process.execArgv, ...process.argv.slice(1)], {
    MALLOC_ARENA_MAX: "2",
    ...process.env,
  });
}
