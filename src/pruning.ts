/**
 * Pruning: what a configuration says about removing images, done: once, for a command; by a schedule and by size, in a server. A reload
 * exchanges what holds.
 */
import type { FillRoom } from "./cache/fill-room.ts";
import { Evictor, type EvictionFigures, type EvictorSettings } from "./cache/eviction/evictor.ts";
import { prune, PruneBusy, type PruneEvent, type PruneProgress } from "./cache/eviction/prune.ts";
import { HeldImages } from "./cache/held-images.ts";
import type { Store } from "./cache/store.ts";
import type { Config } from "./config/config.ts";
import { compileKeep, compilePruneRules, sizeLimitsOf } from "./config/prune-rules.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { RegistryNames } from "./oci/registry-names.ts";
import { repositoryName } from "./oci/repository.ts";
import { Schedule } from "./operations/schedule.ts";

/** What somebody asks for by name and date. */
export interface AskedPrune {
  /** Undefined: any name. */
  readonly matches: ((name: string) => boolean) | undefined;
  /** Milliseconds since 1970; undefined: whenever it came. */
  readonly heldBeforeMs: number | undefined;
}

export interface PruneParts {
  readonly config: Config;
  readonly names: RegistryNames;
  readonly store: Store;
  readonly clock: Clock;
}

/** One prune: of what was asked for, or, with nothing asked, of what `pruneConfig` says. See `prune`, for what it throws too. */
export function pruneStore(
  { config, names, store, clock }: PruneParts,
  {
    asked,
    dryRun,
    signal,
    restFactor,
    onProgress,
  }: { asked?: AskedPrune | undefined; dryRun: boolean; signal?: AbortSignal; restFactor?: number; onProgress?: (progress: PruneProgress) => void },
): AsyncGenerator<PruneEvent> {
  const keep = compileKeep(config.prune.keep, names);
  const common = { store, images: new HeldImages({ store, clock }), clock, dryRun, signal, onProgress, ...(restFactor === undefined ? {} : { restFactor }) };
  if (!asked) {
    // Whether it is done or only told has been decided: a rehearsal of sizes tells of them too.
    const limits = sizeLimitsOf({ ...config, prune: { ...config.prune, dryRun: false } }, names);
    return prune({ ...common, rules: compilePruneRules(config.prune, { keep, nowMs: clock.now() }), limits });
  }
  const { matches, heldBeforeMs } = asked;
  return prune({ ...common, tellsStaying: true, rules: { keep, ...(matches ? { matches } : {}), ...(heldBeforeMs === undefined ? {} : { heldBeforeMs }) } });
}

interface PruningRules {
  readonly config: Config;
  readonly names: RegistryNames;
}

export interface PruningOptions {
  /** What holds now: a reload may exchange it. */
  readonly rules: () => PruningRules;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** A server's own: prunes when it is time, and keeps the store within its size. */
export class Pruning {
  readonly #options: PruningOptions;
  readonly #evictor: Evictor;
  #schedule: Schedule | undefined;
  #rhythm = "";

  constructor(options: PruningOptions) {
    const { store, clock, log, background } = options;
    this.#options = options;
    this.#evictor = new Evictor({ store, images: new HeldImages({ store, clock }), clock, log, background, settings: settingsOf(options.rules()) });
    this.#begin();
  }

  /** Gives room to what is downloaded. */
  get room(): FillRoom {
    return this.#evictor;
  }

  figures(): EvictionFigures {
    return this.#evictor.figures();
  }

  /** What these rules come to, to be called once they hold. Throws an Error for a pattern that is none. */
  prepare(rules: PruningRules): () => Promise<void> {
    const settings = settingsOf(rules);
    return async () => {
      this.#evictor.reconfigure(settings);
      const { enabled, rhythm } = rules.config.prune;
      if (this.#rhythm === rhythmText(enabled, rhythm)) return;
      await this.#schedule?.close();
      this.#begin();
    };
  }

  async close(): Promise<void> {
    await this.#schedule?.close();
    await this.#evictor.close();
  }

  #begin(): void {
    const { rules, clock, log, background } = this.#options;
    const { enabled, rhythm } = rules().config.prune;
    this.#rhythm = rhythmText(enabled, rhythm);
    this.#schedule = enabled ? new Schedule({ name: "prune", rhythm, clock, log, background, work: (signal) => this.#prune(signal) }) : undefined;
  }

  async #prune(signal: AbortSignal): Promise<void> {
    const { rules, store, clock, log } = this.#options;
    const { config, names } = rules();
    const { dryRun } = config.prune;
    const told = ({ kind }: PruneProgress): void => {
      if (kind === "waiting") log.info({}, "a process of another machine or container prunes, or died at it: waiting until it is known");
    };
    try {
      for await (const event of pruneStore({ config, names, store, clock }, { dryRun, signal, restFactor, onProgress: told })) {
        if (event.kind === "stays") continue;
        if (event.kind === "done") {
          const { images, blobs, freedBytes } = event;
          log.info({ images, files: blobs, bytes: freedBytes, dryRun }, dryRun ? "images would be pruned" : "images pruned");
          continue;
        }
        const { repository, tags, digest, why } = event;
        log.info({ repository: repositoryName(repository), tags, digest, why }, dryRun ? "an image would be pruned" : "an image was pruned");
      }
    } catch (error) {
      if (!(error instanceof PruneBusy)) throw error;
      log.info({ problem: error.message }, "images not pruned this time");
    }
  }
}

function settingsOf({ config, names }: PruningRules): EvictorSettings {
  return { limits: sizeLimitsOf(config, names), keep: compileKeep(config.prune.keep, names) };
}

/** While it serves, for each millisecond of looking so many of rest. */
const restFactor = 4;

function rhythmText(enabled: boolean, rhythm: Config["prune"]["rhythm"]): string {
  return JSON.stringify([enabled, rhythm]);
}
