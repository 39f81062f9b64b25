/** Background: the owner of work that outlives the request that began it. */
import type { Log } from "./log.ts";

export class Background {
  readonly #log: Log;
  readonly #running = new Set<Promise<void>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Takes ownership of `work`; a failure is logged under `name`, never thrown. */
  run(name: string, work: Promise<unknown>): void {
    const owned: Promise<void> = work.then(
      () => {},
      (error: unknown) => this.#log.warn({ work: name, error }, "background work failed"),
    );
    this.#running.add(owned);
    void owned.then(() => this.#running.delete(owned));
  }

  /** Resolves when nothing is running any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
