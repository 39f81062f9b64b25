/** Waits that end: by a budget of time for a whole call, by a limit of their own, or because the caller has gone. */
import type { Clock } from "./clock.ts";
import type { OciError } from "./errors.ts";

/** A share of time. Its signal aborts when the time is over, with `late`, or when the caller aborts, with the caller's reason. */
export interface Budget extends Disposable {
  readonly signal: AbortSignal;
  remainingMs(): number;
}

/** Begins now. Dispose of it when what it was for is done. */
export function startBudget({ clock, limitMs, signal, late }: { clock: Clock; limitMs: number; signal: AbortSignal; late: () => OciError }): Budget {
  const untilMs = clock.elapsed() + limitMs;
  const controller = new AbortController();
  const cancel = clock.after(limitMs, () => controller.abort(late()));
  const onAbort = (): void => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  return {
    signal: controller.signal,
    remainingMs: () => Math.max(0, untilMs - clock.elapsed()),
    [Symbol.dispose]() {
      cancel();
      signal.removeEventListener("abort", onAbort);
    },
  };
}

/** `work`, or a rejection with the signal's reason, whichever comes first; the work goes on and must have another owner. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** `work`, or "late" when it takes longer than `limitMs`; the work goes on then and must have another owner. */
export function atMost<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T | "late"> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => resolve("late"));
    work.then(resolve, reject).finally(cancel);
  });
}
