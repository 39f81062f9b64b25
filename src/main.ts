/** The process: its arguments, environment and signals, and the only exit. */
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import type { CommandIo } from "./cli/command-io.ts";

// File reads, hashing and name look-ups share this pool; four threads would let slow ones hold up the rest. Before its first use.
process.env["UV_THREADPOOL_SIZE"] ??= "32";

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
  columns: process.stdout.columns ?? 80,
  onSignal(signal, listener) {
    process.on(signal, listener);
    return () => process.off(signal, listener);
  },
  exit: (code) => process.exit(code),
};

process.exit(await run(process.argv.slice(2), io));
