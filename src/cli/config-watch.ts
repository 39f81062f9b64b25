/**
 * ConfigWatch: notices that the configuration file says something else. It watches the file's folder (editors rename, Kubernetes swaps a
 * symlink beside the file) and also looks every few seconds, since a watch may be refused, or silent on a network's file system.
 */
import { hash } from "node:crypto";
import { watch, type FSWatcher } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Clock } from "../oci/clock.ts";

/** What Kubernetes swaps: `config.yaml -> ..data/config.yaml`, `..data -> ..2026_11_22_...`. */
const kubernetesLink = "..data";

export interface ConfigWatchOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Called once for each new content, after it has stayed the same for `settleMs`. */
  readonly onChange: () => void;
  readonly pollMs?: number;
  readonly settleMs?: number;
}

export class ConfigWatch {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #pollMs: number;
  readonly #settleMs: number;
  #watcher: FSWatcher | undefined;
  #cancelTimer: () => void = () => {};
  /** A look is due within `settleMs`: neither events nor the end of a look that ran when they came may put it off. */
  #isDue = false;
  #isStopped = false;
  /** What was last told of. A file that is not there is not told of: something may be replacing it. */
  #told: string | undefined;
  /** What was seen last, and not told of yet. */
  #seen: string | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor({ path, clock, onChange, pollMs = 5_000, settleMs = 100 }: ConfigWatchOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#onChange = onChange;
    this.#pollMs = pollMs;
    this.#settleMs = settleMs;
  }

  /** Takes what the file says now as known. To be called before the file is loaded: what changes in between is then told of. */
  async remember(): Promise<void> {
    this.#told = await this.#read();
  }

  start(): void {
    this.#watchFolder();
    this.#lookIn(this.#settleMs);
  }

  /** Resolves when nothing is called any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#watcher?.close();
    this.#cancelTimer();
    await this.#looking;
  }

  #watchFolder(): void {
    try {
      this.#watcher = watch(dirname(this.#path), { persistent: false }, (_, name) => {
        if (name === null || name === basename(this.#path) || name === kubernetesLink) this.#lookIn(this.#settleMs);
      });
      this.#watcher.on("error", () => this.#watcher?.close()); // The regular look goes on.
    } catch {
      // No watch to be had (inotify's limits, an odd file system): the regular look has to do.
    }
  }

  #lookIn(delayMs: number): void {
    if (this.#isStopped || this.#isDue) return;
    this.#cancelTimer();
    this.#isDue = delayMs <= this.#settleMs;
    this.#cancelTimer = this.#clock.after(delayMs, () => {
      this.#isDue = false;
      this.#looking = this.#looking.then(() => this.#look());
    });
  }

  /** New content is looked at twice, `settleMs` apart: one that is being written must not be taken for whole. */
  async #look(): Promise<void> {
    const content = await this.#read();
    if (this.#isStopped) return;
    const isNew = content !== undefined && content !== this.#told;
    if (!isNew || content !== this.#seen) {
      this.#seen = content;
      return this.#lookIn(isNew ? this.#settleMs : this.#pollMs);
    }
    this.#told = content;
    this.#onChange();
    this.#lookIn(this.#pollMs);
  }

  /** The digest of the content: what it says may be secret. */
  async #read(): Promise<string | undefined> {
    try {
      return hash("sha256", await readFile(this.#path));
    } catch {
      return undefined; // Whatever the reason, there is nothing to be told of; loading it says why.
    }
  }
}
