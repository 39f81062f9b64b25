/**
 * Wiring: from a configuration to running parts. The only file that knows every implementation: which registry stands in front of
 * which, what is begun in which order, and what a reload may change.
 */
import { basename } from "node:path";
import { Administration } from "./administration.ts";
import type { SignInOffer } from "./auth/sign-in.ts";
import { findDiskSpace } from "./cache/disk-space.ts";
import { Store } from "./cache/store.ts";
import { StoredBrowsing } from "./cache/stored-browsing.ts";
import { StoreTotals } from "./cache/store-totals.ts";
import { StoredHoldings } from "./cache/stored-holdings.ts";
import type { Config } from "./config/config.ts";
import { packageVersion } from "./config/package-version.ts";
import { registriesWithCredentials, resolveUnlisted } from "./config/unlisted-registries.ts";
import { Background } from "./oci/background.ts";
import type { Overview } from "./oci/overview.ts";
import { systemClock, type Clock } from "./oci/clock.ts";
import { Guards, tellGuards } from "./guards.ts";
import { silentLog, type Log } from "./oci/log.ts";
import type { Registry } from "./oci/registry.ts";
import type { Status } from "./oci/views.ts";
import { Audit } from "./operations/audit.ts";
import { createLogging } from "./operations/logging.ts";
import { meteredRegistry } from "./operations/metered-registry.ts";
import { Metrics } from "./operations/metrics.ts";
import { RecentActivity } from "./operations/recent-activity.ts";
import { Pruning } from "./pruning.ts";
import { openPullPath } from "./pull-path.ts";
import { listeningTlsOf, Reloading } from "./reloading.ts";
import { readRules, type Rules } from "./rules.ts";
import { openAdminSocket } from "./server/admin-socket.ts";
import { createAdminApp, createApp, createProbeApp, type AppOptions } from "./server/app.ts";
import { Draining } from "./server/draining.ts";
import { listen, type Listener } from "./server/listening.ts";
import type { CredentialTrial } from "./upstream/credential-trials.ts";
import type { Preload, PreloadParts } from "./transfer/preload.ts";
import type { VerifySummary } from "./transfer/verify.ts";
import { Upstreams } from "./upstream/upstreams.ts";
import { scheduleVerification } from "./verification.ts";
import { loadAssets } from "./web/assets.ts";
import { Pages } from "./web/pages.ts";

export type { CredentialTrial };

export interface ProgramOptions {
  readonly config: Config;
  /** What the configuration says now. Rejects when it cannot be used. */
  readonly reload: () => Promise<Config>;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock?: Clock;
}

export interface Program {
  /** Where the main port listens in fact. */
  readonly host: string;
  readonly port: number;
  /** Resolves, to why, when somebody asks it to stop who is no signal: an administrator. */
  readonly stopAsked: Promise<string>;
  /** Reads the configuration again and takes it over whole or not at all; logs which, and why. Reopens the log file. Never rejects. */
  reload(reason: string): Promise<void>;
  /** Drains: resolves when every connection, download and file is closed. */
  stop(reason: string): Promise<void>;
}

/** Longer than a credential and an answer may take together. */
const trialMs = 20_000;
/** Starts everything. Dials nobody, reads nothing of the store. Throws an Error in one line: a busy port, a folder that cannot be read, a missing file. */
export async function startProgram({ config, reload, environment, clock = systemClock }: ProgramOptions): Promise<Program> {
  const logging = createLogging({ level: config.logLevel, format: config.logFormat, ...(config.logFile === undefined ? {} : { file: config.logFile }) });
  const { log } = logging;
  const background = new Background(log);
  let rules: Rules;
  const guards: Guards = new Guards({ environment, clock, log, background, names: () => rules.names });
  const reloading = new Reloading({ config, read: reload, environment, clock, logging, background, guards });
  await reloading.watch();
  rules = await readRules(config, { environment, clock, log });
  const guarded = await guards.prepare(config, rules.names);
  await guards.adopt(guarded);

  const store = await Store.open({ root: config.imagePath, clock, log, background });
  const { writable, reason: storeProblem } = store.status();
  if (!writable) log.warn({ imagePath: config.imagePath, problem: storeProblem }, "the store cannot be written: what it lacks passes through and is not kept");
  const holdings = new StoredHoldings({ store, clock });
  const totals = new StoreTotals({ store, holdings, clock, log, background });
  const parts: { status?: Status } = {};
  const metrics = new Metrics({
    version: packageVersion(),
    clock,
    status: () => parts.status,
    totals: () => totals.latest(),
    eviction: () => pruning.figures(),
  });
  const around = (upstream: Registry): Registry => meteredRegistry(upstream, { observe: (record) => metrics.observeUpstream(record), clock });
  const pruning: Pruning = new Pruning({ rules: () => rules, store, clock, log, background });
  const pullPath = openPullPath({ rules: () => rules, store, clock, log, background, room: pruning.room, around });
  const { cache, upstreams } = pullPath;
  const status: Status = {
    upstreams: () => upstreams?.status() ?? [],
    fills: () => cache.fillCounts(),
    store: () => store.status(),
  };
  parts.status = status;

  const browsing = new StoredBrowsing({ store, clock, log, background });
  const overview: Overview = {
    served: () => metrics.served(),
    downloads: () => cache.downloads(),
    upstreams: () => status.upstreams(),
    store: () => status.store(),
    totals: () => totals.latest(),
    budgets: () => pruning.figures().budgets,
    disk: () => findDiskSpace(config.imagePath),
  };

  const activity = config.pages ? new RecentActivity({ clock }) : undefined;

  const preload = await preloadOf(config, rules, { registry: cache, upstream: pullPath.upstream, store, clock, log });
  const draining = new Draining();
  const stopAsked = Promise.withResolvers<string>();
  const administration = new Administration({ rules: () => rules, store, clock, log, onStop: () => stopAsked.resolve("an administrator has asked for it") });
  const app: AppOptions = {
    registry: cache,
    holdings,
    status,
    names: () => rules.names,
    unlisted: () => rules.unlisted,
    clock,
    log,
    onRequest(record) {
      logging.logRequest(record);
      metrics.observeRequest(record);
    },
    draining: () => draining.started,
    unready: () => (draining.started ? "draining" : config.preloadRequired && preload?.isRunning === true ? "preloading" : undefined),
    metrics: () => metrics.page(),
    trustedProxies: config.trustedProxies,
    stallTimeoutMs: config.pullTimeoutMs,
    version: packageVersion(),
    ...(config.pages ? { pages: await pagesOf(config, { rules: () => rules, guards, browsing, overview, activity, clock }) } : {}),
    gate: () => guards.gate,
    tokens: () => guards.answerTokenRequest,
    signIn: () => guards.signInRoutes,
    apiKeys: () => guards.answerKeyRequest,
    devices: () => guards.devices,
    accounts: () => guards.accounts,
    crossOrigin: config.allowedOrigins && { origins: config.allowedOrigins, withCredentials: config.auth !== undefined },
    audit: new Audit({ log, isDebug: () => logging.isDebug(), recent: activity }),
    admin: { open: config.adminApi, actions: administration },
  };
  const listeners = await listenAll(config, app, log);
  const adminApp = createAdminApp(app, administration);
  const adminSocket = await openAdminSocket({ app: adminApp, statePath: config.statePath, instance: basename(store.instance.path), clock, log });
  const onEnd = (summary: VerifySummary): void => metrics.observeVerification(summary);
  const verification = scheduleVerification({ config, store, registry: cache, clock, log, background, onEnd });

  reloading.begin({ listeners, upstreams, cache, pruning, adopt: (next) => (rules = next) });
  const [main] = listeners;
  tellStart(config, rules, environment, log);
  tellGuards(guarded, log);
  log.info({ host: main.host, port: main.port, imagePath: config.imagePath }, "listening");
  if (preload) background.run("preload", preload.run());
  return {
    host: main.host,
    port: main.port,
    stopAsked: stopAsked.promise,
    reload: (reason) => reloading.reload(reason),
    async stop(reason) {
      log.info({ reason }, "stopping");
      reloading.close();
      totals.close();
      browsing.close();
      preload?.stop();
      await verification?.close();
      await draining.drain({
        listeners: [...listeners, ...(adminSocket ? [adminSocket] : [])],
        shutdownDelayMs: config.shutdownDelayMs,
        drainTimeoutMs: config.drainTimeoutMs,
        clock,
        log,
      });
      await pullPath.close();
      await pruning.close();
      await guards.close();
      await background.settled();
      await store.close();
      log.info({}, "stopped");
      await logging.flush();
    },
  };
}

async function pagesOf(
  { airGapped }: Config,
  {
    rules,
    guards,
    ...parts
  }: {
    readonly rules: () => Rules;
    readonly guards: Guards;
    readonly browsing: StoredBrowsing;
    readonly overview: Overview;
    readonly activity: RecentActivity | undefined;
    readonly clock: Clock;
  },
): Promise<Pages> {
  const externalUrl = (): string | undefined => rules().config.externalUrl;
  const signIn = (query: URLSearchParams): SignInOffer | undefined => guards.signInRoutes?.offer(query);
  return new Pages({ ...parts, assets: await loadAssets(), version: packageVersion(), isAirGapped: airGapped, externalUrl, signIn });
}

/** Imported when it is needed: most servers preload nothing. */
async function preloadOf(config: Config, { names }: Rules, parts: PreloadParts): Promise<Preload | undefined> {
  const { preloadImages: sources, platforms, resolveRef } = config;
  if (sources === undefined) return undefined;
  const { Preload: Preloading } = await import("./transfer/preload.ts");
  return new Preloading({ sources, platforms, resolveRef, names, ...parts });
}

export interface TryOptions {
  readonly config: Config;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock?: Clock;
}

/** How each credential of the configuration fares where it is for. Dials the registries. Throws `ConfigError` when a file or a variable is missing. */
export async function tryCredentials({ config, environment, clock = systemClock }: TryOptions): Promise<readonly CredentialTrial[]> {
  const rules = await readRules(config, { environment, clock, log: silentLog });
  const upstreams = new Upstreams(rules.upstream);
  try {
    return await upstreams.tryCredentials(new Set(config.registries.flatMap(({ name }) => rules.names.find(name) ?? [])), trialMs);
  } finally {
    await upstreams.close();
  }
}

async function listenAll(config: Config, app: AppOptions, log: Log): Promise<readonly [Listener, ...Listener[]]> {
  const common = { host: config.host, log };
  const tls = listeningTlsOf(config);
  const main = await listen({
    ...common,
    app: createApp(app),
    port: config.port,
    proxyProtocol: config.proxyProtocol,
    ...(tls ? { tls } : {}),
  });
  const listeners: [Listener, ...Listener[]] = [main];
  try {
    const ports = [config.healthPort, config.metricsPort].filter((port) => port !== undefined);
    for (const port of new Set(ports)) listeners.push(await listen({ ...common, app: createProbeApp(app), port }));
    return listeners;
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
}

/** What an operator wants to know at the start, in a line or two. */
function tellStart(config: Config, rules: Rules, environment: NodeJS.ProcessEnv, log: Log): void {
  const { airGapped } = config;
  const { policy, because } = resolveUnlisted(config, environment);
  log.info(
    { ...(airGapped ? { airGapped } : {}), unlistedRegistries: policy, because, defaultRegistry: rules.names.defaultHost },
    airGapped
      ? "air-gapped: nobody is asked, only what is held is served"
      : policy === "deny"
        ? "only listed registries are served"
        : "any registry at a public address is served",
  );
  const withCredentials = registriesWithCredentials(config);
  if (withCredentials.length === 0 || config.auth) return;
  log.warn({ registries: withCredentials }, "everybody who can reach this port reads what these credentials can read: clients are not authenticated");
}
