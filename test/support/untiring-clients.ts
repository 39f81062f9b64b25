/** Untiring clients: they go on until the test is over, also where it fails: those who were left behind would starve the tests after it. */

export interface UntiringClients extends AsyncDisposable {
  /** How long the slowest visit took so far: what a machine that others use too adds to whatever is timed beside it. */
  readonly worstMs: number;
  /** Ends them, and waits for what is under way. Rejects with what a client threw. */
  stop(): Promise<void>;
}

/** So many clients that each do `once` again and again. Dispose of it. */
export function startUntiringClients(clients: number, once: (client: number) => Promise<unknown>): UntiringClients {
  let isOver = false;
  let worstMs = 0;
  const running = Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      while (!isOver) {
        const startMs = performance.now();
        await once(client);
        worstMs = Math.max(worstMs, performance.now() - startMs);
      }
    }),
  );
  running.catch(() => {}); // Whoever stops it hears of it.
  const stop = async (): Promise<void> => {
    isOver = true;
    await running;
  };
  return {
    get worstMs() {
      return worstMs;
    },
    stop,
    [Symbol.asyncDispose]: () => stop().catch(() => {}), // The test has failed of itself, or has heard of it.
  };
}
