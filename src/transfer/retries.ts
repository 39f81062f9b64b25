/** withRetries: tries again what failed because somebody else was away, ill or busy. */
import { delay, type Clock } from "../oci/clock.ts";
import { isOutage, OciError } from "../oci/errors.ts";

export interface RetryOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What is told of a try that failed and is followed by another. */
  readonly onRetry?: (retry: { readonly error: OciError; readonly delayMs: number }) => void;
}

/** Tries in all. */
const triesMax = 4;
const firstDelayMs = 1_000;
/** Who asks for more patience than this is not waited for. */
const delayMsMax = 2 * 60_000;
/** How long one waits for one's turn behind others, which is no failure. */
const queueMsMax = 15 * 60_000;

/** Throws what the last try threw, or the signal's reason. Only outages are tried again: a refusal stays one. */
export async function withRetries<T>(run: () => Promise<T>, { clock, signal, onRetry }: RetryOptions): Promise<T> {
  const startedAtMs = clock.elapsed();
  for (let failures = 0; ;) {
    signal.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OciError) || !isOutage(error)) throw error;
      const isQueue = error.code === "OVERLOADED" && clock.elapsed() - startedAtMs < queueMsMax;
      if (!isQueue) failures += 1;
      const delayMs = Math.max(firstDelayMs * 2 ** Math.max(0, failures - 1), error.retryAfterMs ?? 0);
      if (failures >= triesMax || delayMs > delayMsMax) throw error;
      onRetry?.({ error, delayMs });
      await delay(clock, delayMs, signal);
    }
  }
}
