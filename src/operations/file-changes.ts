/** FileChanges: notices that files (certificates, keys, passwords) say something else, by looking every few seconds. */
import { stat } from "node:fs/promises";
import type { Clock } from "../oci/clock.ts";

export interface FileChangesOptions {
  readonly everyMs: number;
  readonly clock: Clock;
  /** One of the files changed, and was the same in two looks since. */
  readonly onChange: (path: string) => void;
}

export class FileChanges {
  readonly #options: FileChangesOptions;
  #files = new Map<string, { told: string | undefined; seen: string | undefined }>();
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: FileChangesOptions) {
    this.#options = options;
    this.#lookAgain();
  }

  /**
   * From now on these; those that are new as they are now: to be awaited before they are read, so that what changes in between is told of.
   * What has changed of the others and was not told of yet still is.
   */
  async watch(paths: readonly string[]): Promise<void> {
    const entries = paths.map(async (path) => {
      const known = this.#files.get(path);
      if (known) return [path, known] as const;
      const now = await signatureOf(path);
      return [path, { told: now, seen: now }] as const;
    });
    this.#files = new Map(await Promise.all(entries));
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #lookAgain(): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.after(this.#options.everyMs, () => {
      void this.#look().finally(() => this.#lookAgain());
    });
  }

  async #look(): Promise<void> {
    for (const [path, file] of this.#files) {
      const now = await signatureOf(path);
      const isSettled = now !== undefined && now === file.seen;
      file.seen = now;
      if (!isSettled || now === file.told) continue;
      file.told = now;
      this.#options.onChange(path);
    }
  }
}

async function signatureOf(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino}:${size}:${mtimeMs}`;
  } catch {
    return undefined; // Whatever the reason, there is nothing to be told of: something may be replacing it.
  }
}
