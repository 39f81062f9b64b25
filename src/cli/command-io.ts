/** What a command touches of the process it runs in, so that tests can run one in theirs. */
import type { Writable } from "node:stream";

export type StopSignal = "SIGTERM" | "SIGINT" | "SIGHUP";

export interface CommandIo {
  readonly environment: NodeJS.ProcessEnv;
  /** The result. Whole lines, ends included. */
  writeOut(text: string): void;
  /** The talk. */
  writeError(text: string): void;
  /**
   * A line that is not for other eyes: typed at the terminal after `prompt`, without being shown, or the first one of stdin when that is
   * no terminal. Rejects when there is none, or none that ends.
   */
  readHidden(prompt: string): Promise<string>;
  /** What comes by stdin, to be read once. */
  input(): AsyncIterable<Uint8Array>;
  /** Where a result goes that is no text. */
  output(): Writable;
  /** What is written as talk is seen at once by somebody, on a terminal that can take a line back. */
  readonly isTerminal: boolean;
  /** Somebody sits there, and may mistype. */
  readonly isInteractive: boolean;
  /** How wide help may be. */
  readonly columns: number;
  /** From now on this process lets others go first, where the system can do that. */
  stepBack(): void;
  /** Calls `listener` on every such signal, until the result is called. */
  onSignal(signal: StopSignal, listener: () => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** What the exit code says. */
export const exitCodes = { done: 0, failed: 1, misuse: 2 } as const;

/** What a slow reader has not taken waits in his pipe, not here: to be awaited after each line of a long result. */
export async function taken(io: CommandIo): Promise<void> {
  const output = io.output();
  if (output.writableNeedDrain) await new Promise((resolve) => output.once("drain", resolve));
}
