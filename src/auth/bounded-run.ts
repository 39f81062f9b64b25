/** Runs what may take for ever, and stops it: macros within macros, regular expressions that try every way. */
import { createContext, Script } from "node:vm";

/**
 * Returns what `run` returns. Throws what it throws, and an Error when it takes more of the processor than `timeoutMs`: nothing else runs
 * meanwhile. While others have the processor it is begun again, a few times: it must be the same each time. Costs about 0.15 ms, since
 * another thread has to keep the time.
 */
export type Watch = (run: () => unknown, timeoutMs: number) => unknown;

/** However little of the processor it was given. */
const attemptsMax = 5;

/** Costs some hundred KiB, so that there is one for all, made with its first use. */
export function createWatch(): Watch {
  let script: Script | undefined;
  const context: { run?: () => unknown } = {};
  return (run, timeoutMs) => {
    if (!script) createContext(context);
    script ??= new Script("run()");
    context.run = run;
    const startMs = processorMs();
    for (let attempt = 1; ; attempt++) {
      try {
        return script.runInContext(context, { timeout: timeoutMs });
      } catch (error) {
        // The timeout is of the wall's clock. Who had less than half of it was kept waiting by others on the machine.
        if (!isTimeout(error) || attempt === attemptsMax || processorMs() - startMs > timeoutMs / 2) throw error;
      }
    }
  };
}

/** How long this thread has had the processor. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** An error of the context's, which is not one of ours by `instanceof`. */
function isTimeout(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
}
