/**
 * Reloading: the configuration is read again, and taken over whole or not at all. First all of it is prepared, by steps that may fail and
 * leave nothing behind; then all of it is exchanged, by steps that cannot. The files that it names are looked at, each as often as it matters.
 */
import type { CachingRegistry } from "./cache/caching-registry.ts";
import type { Config } from "./config/config.ts";
import { namedFiles } from "./config/named-files.ts";
import type { Guards } from "./guards.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import { FileChanges } from "./operations/file-changes.ts";
import type { Logging } from "./operations/logging.ts";
import type { Pruning } from "./pruning.ts";
import { readRules, type Rules } from "./rules.ts";
import type { Listener, ListeningTls } from "./server/listening.ts";
import type { Upstreams } from "./upstream/upstreams.ts";

export interface ReloadingOptions {
  /** What holds at the start. */
  readonly config: Config;
  /** What the configuration says now. Rejects when it cannot be used. */
  readonly read: () => Promise<Config>;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly logging: Logging;
  readonly background: Background;
  readonly guards: Guards;
}

/** What is there once everything runs. */
export interface ReloadedParts {
  readonly listeners: readonly Listener[];
  /** Undefined in air-gapped mode. */
  readonly upstreams: Upstreams | undefined;
  readonly cache: CachingRegistry;
  readonly pruning: Pruning;
  /** From now on these are the rules. Must not throw. */
  readonly adopt: (rules: Rules) => void;
}

/** How often certificates and the like are looked at. */
const filesEveryMs = 5_000;
/** How often the file of passwords is: whoever is taken out of it is out soon. */
const passwordsEveryMs = 500;
/** Settings that a reload takes over; a change of any other is told, and waits for a restart. */
const reloadable: ReadonlySet<keyof Config> = new Set([
  "configFile",
  "logLevel",
  "registries",
  "defaultNs",
  "unlistedRegistries",
  "alwaysPullLatest",
  "tagTtl",
  "staleIfErrorMs",
  "whenDeniedMs",
  "whenGoneMs",
  "prune",
  "auth",
  "accessControl",
  "externalUrl",
]);

export class Reloading {
  readonly #options: ReloadingOptions;
  readonly #log: Log;
  readonly #files: FileChanges;
  readonly #passwords: FileChanges;
  #current: Config;
  readonly #running = Promise.withResolvers<ReloadedParts>();
  /** One at a time: each begins with what the one before has left. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: ReloadingOptions) {
    const { config, clock, logging, background, guards } = options;
    this.#options = options;
    this.#log = logging.log;
    this.#current = config;
    this.#files = new FileChanges({ everyMs: filesEveryMs, clock, onChange: (path) => background.run("reload", this.reload(`${path} changed`)) });
    this.#passwords = new FileChanges({ everyMs: passwordsEveryMs, clock, onChange: () => background.run("reading passwords", guards.reloadPasswords()) });
  }

  /** From now on the files that the configuration names are looked at: to be awaited before they are read. */
  async watch(): Promise<void> {
    await this.#watch([this.#current]);
  }

  /** Everything runs: what was asked for until now is done. */
  begin(parts: ReloadedParts): void {
    this.#running.resolve(parts);
  }

  /** Reads the configuration again and takes it over whole or not at all; logs which, and why. Reopens the log file. Never rejects. */
  reload(reason: string): Promise<void> {
    this.#last = this.#last.then(() => this.#reload(reason));
    return this.#last;
  }

  /** Looks at no file any more. */
  close(): void {
    this.#files.close();
    this.#passwords.close();
  }

  async #reload(reason: string): Promise<void> {
    const { logging } = this.#options;
    try {
      logging.reopen();
      const registries = await this.#exchange();
      this.#log.info({ reason, registries }, "configuration reloaded");
    } catch (error) {
      this.#log.error({ reason, problem: error instanceof Error ? error.message : String(error) }, "configuration not reloaded: the old one stays");
    }
  }

  /** Resolves to how many registries are listed. */
  async #exchange(): Promise<number> {
    const { config: first, read, environment, clock, logging, guards } = this.#options;
    const { listeners, upstreams, cache, pruning, adopt } = await this.#running.promise;
    const config = await read();
    // What the old one names stays watched until it has gone; and should this one be refused, its cure may be in a file that it names.
    await this.#watch([this.#current, config]);
    // Whether there is an upstream at all was settled at the start: the rules go by that, whatever the file says meanwhile.
    const rules = await readRules({ ...config, airGapped: first.airGapped }, { environment, clock, log: this.#log });
    await using undo = new AsyncDisposableStack();
    const guarded = undo.adopt(await guards.prepare(config, rules.names), (prepared) => guards.discard(prepared));
    const upstream = upstreams && undo.adopt(upstreams.prepare(rules.upstream), (prepared) => prepared.discard());
    const tls = listeningTlsOf(config);
    const shown = await Promise.all(listeners.map((listener) => listener.prepare(tls)));
    const pruned = pruning.prepare(rules);
    undo.move();

    adopt(rules);
    const isGuarded = guards.adopt(guarded);
    upstream?.adopt();
    for (const show of shown) show();
    cache.reconfigure(rules.freshness);
    cache.forgetDenials();
    logging.setLevel(config.logLevel);
    this.#current = config;
    tellUnchangeable(first, config, this.#log);
    await Promise.all([isGuarded, pruned(), this.#watch([config])]);
    return config.registries.length;
  }

  async #watch(configs: readonly Config[]): Promise<void> {
    const passwords = new Set(configs.flatMap(({ auth }) => (auth?.htpasswd ? [auth.htpasswd.path] : [])));
    const files = configs.flatMap((config) => namedFiles(config).flatMap(({ path }) => (passwords.has(path) ? [] : [path])));
    await Promise.all([this.#files.watch(files), this.#passwords.watch([...passwords])]);
  }
}

/** The server's own TLS; undefined: none. */
export function listeningTlsOf({ serverTls, auth }: Pick<Config, "serverTls" | "auth">): ListeningTls | undefined {
  if (!serverTls) return undefined;
  const { cert, key, ca, clientAuth } = serverTls;
  const crl = auth?.mtls?.crlPath;
  return { cert, key, clientAuth, ...(ca === undefined ? {} : { ca }), ...(crl === undefined ? {} : { crl }) };
}

function tellUnchangeable(before: Config, after: Config, log: Log): void {
  const [one, other] = [fixedOf(before), fixedOf(after)];
  const keys = (Object.keys(after) as (keyof Config)[]).filter((key) => !reloadable.has(key) && JSON.stringify(one[key]) !== JSON.stringify(other[key]));
  if (keys.length > 0) log.warn({ settings: keys }, "these settings changed, and take effect at the next start");
}

/** Of the server's own TLS only the files may be others while it listens. */
function fixedOf(config: Config): Readonly<Record<keyof Config, unknown>> {
  return { ...config, serverTls: config.serverTls?.clientAuth };
}
