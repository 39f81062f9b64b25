/**
 * Preload: what the server brings here by itself when it has started, behind everything that clients ask for. Nothing about it stops the
 * server: a bad line is logged, an image that is refused is logged, and what failed because somebody was away is tried again.
 */
import { StoreUnwritable } from "../cache/deposit-failures.ts";
import { delay } from "../oci/clock.ts";
import { isOutage } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { Platform } from "../oci/platform.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { loadArchive } from "./archive-load.ts";
import { readImageLists } from "./image-list.ts";
import type { ListedReference } from "./listed-reference.ts";
import { loadImages, loadPartsOf, type LoadedImage, type LoadParts } from "./load.ts";

export interface PreloadParts extends Omit<LoadParts, "deposits"> {
  readonly log: Log;
}

export interface PreloadOptions extends PreloadParts {
  /** Lists and archives, with commas between. */
  readonly sources: string;
  readonly platforms: readonly Platform[] | "all";
  readonly resolveRef: string | undefined;
  readonly names: RegistryNames;
}

/** Images at once: clients come first. */
const jobs = 4;
const firstDelayMs = 10_000;
const delayMsMax = 5 * 60_000;

export class Preload {
  readonly #options: PreloadOptions;
  readonly #parts: LoadParts;
  readonly #abort = new AbortController();
  #isRunning = true;

  constructor(options: PreloadOptions) {
    this.#options = options;
    this.#parts = loadPartsOf(options);
  }

  /** False when everything is here, or could not be had for a reason that time does not cure. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Resolves when it is over, or stopped. Never rejects for what happens to an image. */
  async run(): Promise<void> {
    const { sources, names, log, clock } = this.#options;
    const { signal } = this.#abort;
    const startedAtMs = clock.elapsed();
    try {
      const lists = await readImageLists([sources], { names, signal });
      for (const { file, line, message } of lists.problems) log.warn({ file, line, problem: message }, "not to be preloaded");
      const archives = await this.#archives(lists.archives);
      const ended = await this.#images(lists.references);
      const count = (verdict: LoadedImage["verdict"]): number => ended.filter((image) => image.verdict === verdict).length;
      const failed = count("failed") + lists.problems.length + archives.failed;
      log.info({ loaded: count("loaded") + archives.loaded, held: count("held"), failed, ms: Math.round(clock.elapsed() - startedAtMs) }, "preloading is over");
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  /** What has arrived stays, for the next start. */
  stop(): void {
    this.#abort.abort(new Error("the server is shutting down"));
  }

  async #images(references: readonly ListedReference[]): Promise<readonly LoadedImage[]> {
    const { clock } = this.#options;
    const ended: LoadedImage[] = [];
    let waiting = references;
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, delayMsMax)) {
      const loaded = await this.#try(waiting);
      ended.push(...loaded.filter((image) => !mayHeal(image)));
      waiting = loaded.filter(mayHeal).map(({ listed }) => listed);
      if (waiting.length === 0) return ended;
      await delay(clock, delayMs, this.#abort.signal);
    }
  }

  async #try(references: readonly ListedReference[]): Promise<readonly LoadedImage[]> {
    const { platforms } = this.#options;
    const { signal } = this.#abort;
    const loaded = await loadImages(references, this.#parts, { platforms, jobs, referrers: true, dryRun: false, signal, onEnd: (image) => this.#tell(image) });
    signal.throwIfAborted();
    return loaded;
  }

  #tell(image: LoadedImage): void {
    const { log } = this.#options;
    const { name, verdict, digest, fetchedBytes, notes, error, listed, tookMs } = image;
    if (this.#abort.signal.aborted) return;
    for (const note of notes) log.info({ image: name, note }, "preloading leaves something out");
    if (verdict !== "failed") return log.info({ image: name, verdict, digest, bytes: fetchedBytes, ms: tookMs }, "image preloaded");
    log.warn({ image: name, file: listed.file, line: listed.line, problem: reasonOf(error), again: mayHeal(image) }, "image not preloaded");
  }

  async #archives(files: readonly string[]): Promise<{ readonly loaded: number; readonly failed: number }> {
    const { names, resolveRef, log } = this.#options;
    const { signal } = this.#abort;
    const counts = { loaded: 0, failed: 0 };
    for (const file of files) {
      try {
        const { images, nameless } = await loadArchive({ source: { path: file }, deposits: this.#parts.deposits, names, resolveRef, signal });
        counts.loaded += images.length;
        counts.failed += nameless.length;
        log.info({ file, images: images.length, nameless: nameless.length }, "archive preloaded");
      } catch (error) {
        signal.throwIfAborted();
        counts.failed += 1;
        log.warn({ file, problem: reasonOf(error) }, "archive not preloaded");
      }
    }
    return counts;
  }
}

/** Somebody was away, or the disk was full. */
function mayHeal({ verdict, error }: LoadedImage): boolean {
  return verdict === "failed" && (isOutage(error) || error instanceof StoreUnwritable);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
