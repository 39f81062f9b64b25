/**
 * PullPath: the cache in front of the upstreams, as a configuration wants them: what the server serves, and what a command that
 * fetches pulls through.
 */
import { join } from "node:path";
import { CachingRegistry } from "./cache/caching-registry.ts";
import type { FillRoom } from "./cache/fill-room.ts";
import type { Store } from "./cache/store.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { Registry } from "./oci/registry.ts";
import { fillsMaxOf, type Rules } from "./rules.ts";
import { HelloWorld } from "./upstream/hello-world.ts";
import { OfflineRegistry } from "./upstream/offline.ts";
import { Upstreams } from "./upstream/upstreams.ts";

export interface PullPathOptions {
  /** What holds now: a reload may exchange it. */
  readonly rules: () => Rules;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** Who says whether there is room for what is downloaded. */
  readonly room?: FillRoom;
  /** Stands between the cache and the upstreams. */
  readonly around?: (upstream: Registry) => Registry;
}

export interface PullPath {
  readonly cache: CachingRegistry;
  /** Whom the cache asks: for commands that look before they keep. */
  readonly upstream: Registry;
  /** Undefined in air-gapped mode: nobody is asked for anything, no registry, and nobody who would give us a credential for one. */
  readonly upstreams: Upstreams | undefined;
  /** Stops downloads and keeps what has come of them; closes every connection. */
  close(): Promise<void>;
}

const helloWorldFiles = join(import.meta.dirname, "..", "assets", "hello-world");

/** Dials nobody. */
export function openPullPath({ rules, store, clock, log, background, room, around = (upstream) => upstream }: PullPathOptions): PullPath {
  const { config, freshness, upstream: options } = rules();
  const upstreams = config.airGapped ? undefined : new Upstreams(options);
  const next = around(upstreams ?? new OfflineRegistry());
  const upstream = config.helloWorld ? new HelloWorld({ next, files: helloWorldFiles }) : next;
  const cache = new CachingRegistry({
    upstream,
    store,
    freshness,
    pullTimeoutMs: config.pullTimeoutMs,
    fillsMax: (host) => fillsMaxOf(rules(), host),
    room,
    clock,
    log,
    background,
  });
  return {
    cache,
    upstream,
    upstreams,
    async close() {
      await cache.close();
      await upstreams?.close();
    },
  };
}
