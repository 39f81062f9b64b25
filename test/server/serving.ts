/** The app in front of a registry in memory, with what it told of each request; by `app.request`, or on a real port. */
import type { AdminActions, AdminBlob, AdminManifest, AdminPruned } from "../../src/server/admin.ts";
import { createApp, type App, type AppOptions, type ExchangeSettings } from "../../src/server/app.ts";
import { listen, type Listener, type ListeningOptions } from "../../src/server/listening.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import type { Registry } from "../../src/oci/registry.ts";
import { RegistryNames, type ListedRegistry } from "../../src/oci/registry-names.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import type { RequestRecord } from "../../src/oci/request-record.ts";
import { MemoryRegistry } from "../support/memory-registry.ts";

export interface Serving {
  readonly app: App;
  readonly registry: MemoryRegistry;
  readonly records: RequestRecord[];
  /** Resolves when so many requests have been told of. */
  readonly told: (count: number) => Promise<void>;
}

export function repository(host: string, path: string): Repository {
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
}

export const alpine = repository("docker.io", "library/alpine");

export const imageManifest = JSON.stringify({
  schemaVersion: 2,
  config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: `sha256:${"a".repeat(64)}`, size: 2 },
  layers: [],
});

export function serving({ registries = [], ...options }: Partial<AppOptions> & { readonly registries?: readonly ListedRegistry[] } = {}): Serving {
  const registry = new MemoryRegistry();
  const records: RequestRecord[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const app = createApp({
    ...appOptions({ registry, registries }),
    onRequest: (record) => {
      records.push(record);
      for (const { count, resolve } of waiting) if (records.length >= count) resolve();
    },
    ...options,
  });
  return {
    app,
    registry,
    records,
    told: (count) => (records.length >= count ? Promise.resolve() : new Promise((resolve) => waiting.push({ count, resolve }))),
  };
}

/** An app in front of `registry` that tells nobody. */
export function appOptions({ registry, registries = [] }: { readonly registry: Registry; readonly registries?: readonly ListedRegistry[] }): AppOptions {
  const names = new RegistryNames({ defaultNs: "docker.io", registries });
  return {
    registry,
    holdings: { listRepositories: async () => ({ repositories: [] }) },
    ...exchangeSettings(),
    names: () => names,
    unlisted: () => "public",
    admin: { open: "off", actions: recordedActions() },
    stallTimeoutMs: 60_000,
    stallTimeoutMinMs: 0,
    version: "1.2.3",
  };
}

/** What every app needs, telling nobody. */
export function exchangeSettings(): ExchangeSettings {
  return {
    status: { upstreams: () => [], fills: () => ({ running: 0, waiting: 0, publishing: 0, readers: 0 }), store: () => ({ writable: true }) },
    clock: systemClock,
    log: silentLog,
    onRequest: () => {},
    metrics: async () => ({ contentType: "text/plain; version=0.0.4", text: "# none\n" }),
    unready: () => undefined,
    draining: () => false,
  };
}

export interface RecordedActions extends AdminActions {
  /** What was asked for, without its signal. */
  readonly calls: (readonly [string, unknown?])[];
  manifests: readonly AdminManifest[];
  blobs: readonly AdminBlob[];
  pruned: readonly AdminPruned[];
  stayingCount: number;
}

/** Administrative actions that do nothing but remember. */
export function recordedActions(): RecordedActions {
  const calls: (readonly [string, unknown?])[] = [];
  const record = (name: string, asked: { readonly signal: AbortSignal }): void => {
    const { signal: _, ...query } = asked;
    calls.push([name, query]);
  };
  const actions: RecordedActions = {
    calls,
    manifests: [],
    blobs: [],
    pruned: [],
    stayingCount: 0,
    async listManifests(query) {
      record("listManifests", query);
      return actions.manifests;
    },
    async listBlobs(query) {
      record("listBlobs", query);
      return actions.blobs;
    },
    async prune(query) {
      record("prune", query);
      return {
        dryRun: query.dryRun ?? false,
        images: actions.pruned,
        sizeBytes: actions.pruned.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        stayingCount: actions.stayingCount,
      };
    },
    stop: () => void calls.push(["stop"]),
  };
  return actions;
}

/** Listens on a free port of 127.0.0.1; closes, cutting what is open, when disposed of. */
export async function listening(
  app: App,
  options: Partial<ListeningOptions> = {},
): Promise<Listener & AsyncDisposable & { readonly origin: string; readonly at: string }> {
  const listener = await listen({ app, host: "127.0.0.1", port: 0, log: silentLog, ...options });
  const at = `127.0.0.1:${listener.port}`;
  return {
    ...listener,
    at,
    origin: `${options.tls ? "https" : "http"}://${at}`,
    async [Symbol.asyncDispose]() {
      const closed = listener.close();
      listener.destroyConnections();
      await closed;
    },
  };
}
