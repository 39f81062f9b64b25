/** What a command touches of the process it runs in, so that tests can run one in theirs. */

export type StopSignal = "SIGTERM" | "SIGINT" | "SIGHUP";

export interface CommandIo {
  readonly environment: NodeJS.ProcessEnv;
  /** The result. Whole lines, ends included. */
  writeOut(text: string): void;
  /** The talk. */
  writeError(text: string): void;
  /** How wide help may be. */
  readonly columns: number;
  /** Calls `listener` on every such signal, until the result is called. */
  onSignal(signal: StopSignal, listener: () => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** What the exit code says. */
export const exitCodes = { done: 0, failed: 1, misuse: 2 } as const;
