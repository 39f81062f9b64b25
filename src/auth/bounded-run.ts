/** Runs what may take for ever, and stops it: macros within macros, regular expressions that try every way. */
import { createContext, Script } from "node:vm";

/**
 * Returns what `run` returns. Throws what it throws, and an Error when it takes longer than `timeoutMs`: nothing else runs meanwhile.
 * Costs about 0.15 ms, since another thread has to keep the time.
 */
export type Watch = (run: () => unknown, timeoutMs: number) => unknown;

/** Costs some hundred KiB, so that there is one for all, made with its first use. */
export function createWatch(): Watch {
  let script: Script | undefined;
  const context: { run?: () => unknown } = {};
  return (run, timeoutMs) => {
    if (!script) createContext(context);
    script ??= new Script("run()");
    context.run = run;
    return script.runInContext(context, { timeout: timeoutMs });
  };
}
