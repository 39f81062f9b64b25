/** LiveLines: lines at the bottom of a terminal that change while work goes on; what is printed stands above them. Elsewhere: nothing. */
import type { CommandIo } from "./command-io.ts";

const everyMs = 100;

export class LiveLines {
  readonly #io: CommandIo;
  readonly #lines = new Map<unknown, string>();
  #shown = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(io: CommandIo) {
    this.#io = io;
  }

  /** The line of `key` says `text` from now on. */
  set(key: unknown, text: string): void {
    if (!this.#io.isTerminal) return;
    this.#lines.set(key, text);
    this.#timer ??= setTimeout(() => this.#draw(), everyMs);
  }

  remove(key: unknown): void {
    this.#lines.delete(key);
  }

  /** Runs what prints, above the lines. */
  above(print: () => void): void {
    this.#erase();
    print();
    this.#draw();
  }

  /** They are gone. */
  end(): void {
    this.#lines.clear();
    clearTimeout(this.#timer);
    this.#erase();
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#io.isTerminal) return;
    this.#erase();
    const lines = [...this.#lines.values()].map((line) => line.slice(0, this.#io.columns - 1));
    if (lines.length > 0) this.#io.writeError(`${lines.join("\n")}\n`);
    this.#shown = lines.length;
  }

  #erase(): void {
    if (this.#shown > 0) this.#io.writeError(`\u001B[${this.#shown}A\u001B[0J`);
    this.#shown = 0;
  }
}
