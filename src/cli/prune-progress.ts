/** PruneProgressLines: what a prune is doing while it prints nothing: a changing line on a terminal, elsewhere one every few seconds. */
import type { PruneProgress } from "../cache/eviction/prune.ts";
import type { Clock } from "../oci/clock.ts";
import { countText } from "./amounts.ts";
import type { CommandIo } from "./command-io.ts";
import { LiveLines } from "./live-lines.ts";

/** A line that goes into a file or a pipe is said this often. */
const everyMs = 5_000;

export class PruneProgressLines implements Disposable {
  readonly #io: CommandIo;
  readonly #clock: Clock;
  readonly #live: LiveLines;
  #text = "looking through what is held";
  #cancel: () => void = () => {};

  /** Says so at once. */
  constructor({ io, clock }: { readonly io: CommandIo; readonly clock: Clock }) {
    this.#io = io;
    this.#clock = clock;
    this.#live = new LiveLines(io);
    this.#say();
  }

  tell(progress: PruneProgress): void {
    const isNews = progress.kind === "waiting";
    this.#text = textOf(progress);
    this.#live.set(this, this.#text);
    if (isNews && !this.#io.isTerminal) this.#io.writeError(`${this.#text}\n`);
  }

  /** Something is about to be printed. */
  clear(): void {
    this.#live.end();
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#live.end();
  }

  #say(): void {
    this.#live.set(this, this.#text);
    if (this.#io.isTerminal) return;
    this.#io.writeError(`${this.#text}\n`);
    this.#cancel = this.#clock.after(everyMs, () => this.#say());
  }
}

function textOf(progress: PruneProgress): string {
  if (progress.kind === "looking") return `looking through what is held: ${countText(progress.images, "image")} so far`;
  return "a process of another machine or container removes images, or died at it: waiting up to 75 s until it is done or known to be dead";
}
