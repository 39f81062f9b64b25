/** untilStopped: a signal for a command's work, aborted by SIGINT or SIGTERM; a second one ends the process at once. */
import { exitCodes, type CommandIo } from "./command-io.ts";

/** Dispose of it. */
export function untilStopped(io: CommandIo): Disposable & { readonly signal: AbortSignal } {
  const stopping = new AbortController();
  const forget = (["SIGINT", "SIGTERM"] as const).map((name) =>
    io.onSignal(name, () => {
      if (stopping.signal.aborted) io.exit(exitCodes.failed);
      stopping.abort(new Error(`stopped by ${name}`));
    }),
  );
  return {
    signal: stopping.signal,
    [Symbol.dispose]: () => {
      for (const forgetOne of forget) forgetOne();
    },
  };
}
