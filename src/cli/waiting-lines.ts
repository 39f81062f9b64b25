/** WaitingLines: what a command is doing while it prints nothing: a changing line on a terminal, elsewhere one every few seconds. */
import type { Clock } from "../oci/clock.ts";
import type { CommandIo } from "./command-io.ts";
import { LiveLines } from "./live-lines.ts";

export interface WaitingLinesOptions {
  readonly io: CommandIo;
  readonly clock: Clock;
  /** What it does first. */
  readonly text: string;
  /** Who waits for less is not told; 0: at once. */
  readonly afterMs?: number;
}

/** A line that goes into a file or a pipe is said this often. */
const everyMs = 5_000;

export class WaitingLines implements Disposable {
  readonly #io: CommandIo;
  readonly #clock: Clock;
  readonly #live: LiveLines;
  #text: string;
  #cancel: () => void = () => {};

  constructor({ io, clock, text, afterMs = 0 }: WaitingLinesOptions) {
    this.#io = io;
    this.#clock = clock;
    this.#live = new LiveLines(io);
    this.#text = text;
    if (afterMs === 0) this.#say();
    else this.#sayAfter(afterMs);
  }

  /** With `isNews` said at once wherever it goes. */
  tell(text: string, { isNews = false }: { readonly isNews?: boolean } = {}): void {
    this.#text = text;
    this.#live.set(this, text);
    if (isNews && !this.#io.isTerminal) this.#io.writeError(`${text}\n`);
  }

  /** Something is about to be printed. */
  clear(): void {
    this.#live.end();
  }

  /** Prints above the line. */
  above(print: () => void): void {
    this.#live.above(print);
  }

  /** From now on what is printed speaks for itself. */
  end(): void {
    this.#cancel();
    this.#live.end();
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #say(): void {
    this.#live.set(this, this.#text);
    if (this.#io.isTerminal) return;
    this.#io.writeError(`${this.#text}\n`);
    this.#sayAfter(everyMs);
  }

  #sayAfter(delayMs: number): void {
    this.#cancel = this.#clock.after(delayMs, () => this.#say());
  }
}
