/** A whole cache in front of fake upstreams: real sockets, a real store, a clock of the test's. */
import { CachingRegistry } from "../../src/cache/caching-registry.ts";
import type { FillRoom } from "../../src/cache/fill-room.ts";
import type { FreshnessOptions, FreshnessRules } from "../../src/cache/freshness.ts";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { silentLog, type Log } from "../../src/oci/log.ts";
import type { BlobCall, BlobContent, Call, Registry } from "../../src/oci/registry.ts";
import type { RangeSpec } from "../../src/oci/ranges.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { Upstreams } from "../../src/upstream/upstreams.ts";
import type { UpstreamRegistryOptions } from "../../src/upstream/upstream-options.ts";
import { openTestStore, type TestStore } from "./test-store.ts";
import { TestClock } from "./test-clock.ts";

export interface TestCacheOptions {
  /** `127.0.0.1:PORT` of the fakes that it may ask, or what is special about one. */
  readonly upstreams: readonly (string | (Omit<UpstreamRegistryOptions, "host"> & { readonly host: string }))[];
  /** A folder with an existing store. */
  readonly root?: string;
  readonly clock?: Clock;
  /** The upstreams' own, for what they hold and give up; without it they go by the system's. */
  readonly upstreamClock?: Clock;
  readonly log?: Log;
  readonly rules?: Partial<FreshnessRules>;
  readonly freshness?: Partial<FreshnessOptions>;
  readonly fillsMax?: number;
  readonly pullTimeoutMs?: number;
  /** Who says whether there is room. */
  readonly room?: FillRoom;
  /** Between the cache and the upstreams. */
  readonly wrap?: (upstream: Registry) => Registry;
}

export interface TestCache extends AsyncDisposable {
  readonly cache: CachingRegistry;
  readonly store: TestStore;
  readonly upstreams: Upstreams;
}

const defaultRules: FreshnessRules = { tagTtlMs: () => 60_000, staleIfErrorMs: Infinity, whenDeniedMs: 86_400_000, whenGoneMs: Infinity };

/** Starts one. With the system's clock unless told otherwise: sockets do not wait for a test's. */
export async function startTestCache(options: TestCacheOptions): Promise<TestCache> {
  const {
    clock = systemClock,
    rules = {},
    freshness = {},
    fillsMax = 16,
    pullTimeoutMs = 10_000,
    upstreamClock = systemClock,
    log = silentLog,
    wrap = (upstream) => upstream,
  } = options;
  const store = await openTestStore({
    ...(options.root === undefined ? {} : { root: options.root }),
    ...(clock instanceof TestClock ? { clock } : { systemClock: true }),
  });
  const registries = options.upstreams.map((upstream) => {
    const given = typeof upstream === "string" ? { host: upstream } : upstream;
    return { scheme: "http" as const, ...given, host: parseRegistryHost(given.host) };
  });
  const upstreams = new Upstreams({ registries, unlisted: "deny", pullTimeoutMs, clock: upstreamClock, log });
  const cache = new CachingRegistry({
    upstream: wrap(upstreams),
    store,
    freshness: { airGapped: false, alwaysPullLatest: false, rulesOf: () => ({ ...defaultRules, ...rules }), ...freshness },
    pullTimeoutMs,
    fillsMax: () => fillsMax,
    room: options.room,
    clock,
    log: silentLog,
    background: store.background,
  });
  return {
    cache,
    store,
    upstreams,
    async [Symbol.asyncDispose]() {
      await cache.close();
      await upstreams.close();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** `127.0.0.1:5000/team/app` as a repository. */
export function repositoryAt(host: string, path: string): Repository {
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
}

/** A pull as a client's request makes it. */
export function pullCall(more: Partial<Call> = {}): Call {
  return { signal: new AbortController().signal, requestId: "test", purpose: "pull", mayFetch: true, ...more };
}

export async function pullManifest({ cache }: TestCache, repository: Repository, reference: string, more: Partial<Call> = {}) {
  return await cache.getManifest(repository, parseReference(reference), pullCall(more));
}

/** A blob's bytes (of all ranges, joined) and how they were answered. */
export async function pullBlob({ cache }: TestCache, repository: Repository, digest: string, more: Partial<BlobCall> = {}) {
  await using content = await cache.getBlob(repository, parseDigest(digest), pullCall(more));
  return { bytes: await readBlob(content), kind: content.kind, ranges: content.ranges, outcome: content.outcome, sizeBytes: content.descriptor.sizeBytes };
}

/** Reads all that a content offers. */
export async function readBlob(content: BlobContent, { pieceBytes = 300_000 }: { pieceBytes?: number } = {}): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const spans = content.kind === "full" ? [{ startBytes: 0, endBytes: Infinity }] : content.ranges;
  for (const { startBytes, endBytes } of spans) {
    for (let position = startBytes; position <= endBytes;) {
      const target = Buffer.alloc(Math.min(pieceBytes, endBytes + 1 - position));
      const length = await content.read(target, position);
      if (length === 0) break;
      pieces.push(target.subarray(0, length));
      position += length;
    }
  }
  return Buffer.concat(pieces);
}

export function range(startBytes: number, endBytes?: number): RangeSpec {
  return endBytes === undefined ? { startBytes } : { startBytes, endBytes };
}
