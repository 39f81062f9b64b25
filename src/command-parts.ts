/**
 * CommandParts: what a command that works on the store needs: the store, and the cache in front of the upstreams for what it has to
 * fetch. A server may run on the same folder meanwhile: the disk is the truth for both.
 */
import type { CachingRegistry } from "./cache/caching-registry.ts";
import { expectStore } from "./cache/expect-store.ts";
import { HeldImages } from "./cache/held-images.ts";
import { Store } from "./cache/store.ts";
import { StoredHoldings } from "./cache/stored-holdings.ts";
import type { Config } from "./config/config.ts";
import { Background } from "./oci/background.ts";
import { systemClock, type Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { Registry } from "./oci/registry.ts";
import type { RegistryNames } from "./oci/registry-names.ts";
import { createLogging } from "./operations/logging.ts";
import { openPullPath } from "./pull-path.ts";
import { readRules } from "./rules.ts";

export interface CommandPartsOptions {
  readonly config: Config;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock?: Clock;
  /** Make the store when there is none: for what brings something. */
  readonly makesStore?: boolean;
}

/** Dispose of them: what was only noted is written, downloads are kept, the temporary folder is given back. */
export interface CommandParts extends AsyncDisposable {
  readonly config: Config;
  readonly store: Store;
  readonly holdings: StoredHoldings;
  /** What is held, image by image. */
  readonly images: HeldImages;
  /** What the server would serve. Nobody is dialled before it is asked for something. */
  readonly registry: CachingRegistry;
  /** Whom it asks for what is not held. */
  readonly upstream: Registry;
  readonly names: RegistryNames;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** Opens them. Throws an Error in one line: no store, a folder that cannot be read, a store of a newer layout, a file that is missing. */
export async function openCommandParts({ config, environment, clock = systemClock, makesStore = false }: CommandPartsOptions): Promise<CommandParts> {
  const logging = createLogging({ level: config.logLevel, format: config.logFormat, ...(config.logFile === undefined ? {} : { file: config.logFile }) });
  const { log } = logging;
  const background = new Background(log);
  const rules = await readRules(config, { environment, clock, log });
  if (!makesStore) await expectStore(config.imagePath);
  const store = await Store.open({ root: config.imagePath, clock, log, background });
  const path = openPullPath({ rules: () => rules, store, clock, log, background });
  return {
    config,
    store,
    holdings: new StoredHoldings({ store, clock }),
    images: new HeldImages({ store, clock }),
    registry: path.cache,
    upstream: path.upstream,
    names: rules.names,
    clock,
    log,
    background,
    async [Symbol.asyncDispose]() {
      await path.close();
      await background.settled();
      await store.close();
      await logging.flush();
    },
  };
}
