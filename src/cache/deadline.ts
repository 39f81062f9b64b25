/** Deadline: the end of a piece of work that asks upstream more than once, each time with a limit of its own. */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";

/** What is not held gets its first byte, or an error, within this time: clients wait 20 s and more. */
export const answerDeadlineMs = 18_000;

/** Its signal aborts with `UPSTREAM_TIMEOUT` after `answerDeadlineMs`, or with `signal`'s reason. Dispose of it when the work is done. */
export function startDeadline({ clock, signal, what }: { clock: Clock; signal: AbortSignal; what: string }): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const late = (): void => controller.abort(new OciError("UPSTREAM_TIMEOUT", `no answer for ${what} within ${answerDeadlineMs} ms`, { source: "upstream" }));
  const cancel = clock.after(answerDeadlineMs, late);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      cancel();
      signal.removeEventListener("abort", onAbort);
    },
  };
}
