/** Deadline: the end of a piece of work that asks upstream more than once, each time with a limit of its own. */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { startBudget, type Budget } from "../oci/waiting.ts";

/** What is not held gets its first byte, or an error, within this time: clients wait 20 s and more. */
export const answerDeadlineMs = 18_000;

/** Its signal aborts with `UPSTREAM_TIMEOUT` after `answerDeadlineMs`, or with `signal`'s reason. Dispose of it when the work is done. */
export function startDeadline({ clock, signal, what }: { clock: Clock; signal: AbortSignal; what: string }): Budget {
  const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `no answer for ${what} within ${answerDeadlineMs} ms`, { source: "upstream" });
  return startBudget({ clock, limitMs: answerDeadlineMs, signal, late });
}
