/** The time, injected, so that tests own it. */

export interface Clock {
  /** Milliseconds since 1970, for what is persisted or printed. May jump. */
  now(): number;
  /** Milliseconds that only ever grow, for deadlines and lifetimes within the process. */
  elapsed(): number;
  /** Calls `wake` once, `delayMs` from now; never keeps the process alive. The result cancels it. */
  after(delayMs: number, wake: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(delayMs, wake) {
    let immediate: NodeJS.Immediate | undefined;
    // A process that stood still finds its timers due and its sockets full: what has arrived is read before anybody is judged late. That
    // turn is not put off: one that is unreferenced would wait for the next event, whenever that comes.
    const timer = setTimeout(() => (immediate = setImmediate(wake)), Math.min(delayMs, 2_147_483_647)).unref();
    return () => {
      clearTimeout(timer);
      clearImmediate(immediate);
    };
  },
};

/** Resolves after `delayMs` of `clock`, or rejects with the signal's reason. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    function onAbort(): void {
      cancel();
      reject(signal?.reason as Error);
    }
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
