/** States: waiting until something is so, asked whenever something has changed, with a deadline. */

const waitMsDefault = 20_000;

export class States {
  readonly #watchers = new Set<() => void>();

  /** To be called when anything that somebody may wait for has changed. */
  changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** Resolves when `isSo()`. Rejects when it throws, or after `waitMs` with what `tell` says of the state by then. */
  async until(isSo: () => boolean, { waitMs = waitMsDefault, tell }: { waitMs?: number; tell: (waitedMs: number) => string }): Promise<void> {
    if (isSo()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const watcher = (): void => {
      try {
        if (isSo()) resolve();
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(() => reject(new Error(tell(waitMs))), waitMs);
    this.#watchers.add(watcher);
    try {
      await promise;
    } finally {
      this.#watchers.delete(watcher);
      clearTimeout(timer);
    }
  }
}
