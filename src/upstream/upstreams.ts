/** Upstreams: every registry there is, as one `Registry`: each repository's host says which is asked. */
import { LRUCache } from "lru-cache";
import { Background } from "../oci/background.ts";
import { delay } from "../oci/clock.ts";
import { digestOf } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { Registry } from "../oci/registry.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import type { UpstreamStatus } from "../oci/views.ts";
import { AddressPolicy, ListedAddresses } from "./address-policy.ts";
import { credentialKey, credentialsOf, type Connect } from "./credential-kinds.ts";
import { tryCredential, type CredentialTrial } from "./credential-trials.ts";
import { Endpoint } from "./endpoint.ts";
import { HttpClient } from "./http-client.ts";
import { NameLookup } from "./name-lookup.ts";
import { Proxies } from "./proxies.ts";
import { accessesOf, authOf, originOf, placesOf, type Place } from "./registry-places.ts";
import {
  defaultDeadlines,
  defaultPullTimeoutMs,
  type Deadlines,
  type EndpointOptions,
  type UpstreamOptions,
  type UpstreamRegistryOptions,
} from "./upstream-options.ts";
import { TokenManagers } from "./token-managers.ts";
import { UpstreamRegistry } from "./upstream-registry.ts";

/** Registries that are not listed, and are remembered since somebody asked for them. */
const unlistedMax = 256;
const settleMs = 1_000;

interface Listed {
  readonly registry: UpstreamRegistry;
  /** What it was made of, to tell whether new options change it. */
  readonly fingerprint: string;
}

/** Built, and not asked by anybody yet: either is called once. */
export interface PreparedUpstreams {
  /** From now on these are asked. Cannot fail. */
  adopt(): void;
  /** Leaves nothing of what was built. */
  discard(): void;
}

/** What new options come to. */
interface Settled {
  readonly options: UpstreamOptions;
  readonly addresses: ListedAddresses;
  readonly listed: ReadonlyMap<RegistryHost, Listed>;
  /** What all of them are made of. */
  readonly common: string;
}

export class Upstreams implements Registry {
  readonly #background: Background;
  readonly #listedNames: NameLookup;
  readonly #unlistedNames: NameLookup;
  readonly #unlisted: LRUCache<RegistryHost, UpstreamRegistry>;
  readonly #leaving = new Set<UpstreamRegistry>();
  readonly #managers: TokenManagers;
  #options: UpstreamOptions;
  #common = "";
  #addresses = new ListedAddresses();
  #listed: ReadonlyMap<RegistryHost, Listed> = new Map();

  constructor(options: UpstreamOptions) {
    const { clock, log, resolve } = options;
    const { lookupMs } = { ...defaultDeadlines, ...options.deadlines };
    this.#options = options;
    this.#background = new Background(log);
    const lookups = { clock, background: this.#background, lookupMs, ...(resolve ? { resolve } : {}) };
    this.#managers = new TokenManagers({ clock, log, background: this.#background });
    // Names that strangers make up wait for one another, never the operator's own.
    this.#listedNames = new NameLookup(lookups);
    this.#unlistedNames = new NameLookup(lookups);
    this.#unlisted = new LRUCache({ max: unlistedMax, dispose: (registry) => this.#leave(registry) });
    this.reconfigure(options);
  }

  getManifest: Registry["getManifest"] = async (repository, reference, call) => this.#registry(repository).getManifest(repository, reference, call);

  headManifest: Registry["headManifest"] = async (repository, reference, call) => this.#registry(repository).headManifest(repository, reference, call);

  getBlob: Registry["getBlob"] = async (repository, digest, call) => this.#registry(repository).getBlob(repository, digest, call);

  headBlob: Registry["headBlob"] = async (repository, digest, call) => this.#registry(repository).headBlob(repository, digest, call);

  listTags: Registry["listTags"] = async (repository, call) => this.#registry(repository).listTags(repository, call);

  listReferrers: Registry["listReferrers"] = async (repository, digest, call) => this.#registry(repository).listReferrers(repository, digest, call);

  /** How each registry that is listed, or was asked lately, stands. */
  status(): readonly UpstreamStatus[] {
    return [...[...this.#listed.values()].map(({ registry }) => registry), ...this.#unlisted.values()].map((registry) => registry.status());
  }

  /** `prepare` and `adopt` in one. Throws what `prepare` throws. */
  reconfigure(options: UpstreamOptions): void {
    this.prepare(options).adopt();
  }

  /**
   * Builds what new options take; a registry whose own did not change keeps its connections, tokens and breakers. Throws an Error that
   * names the registry for an endpoint or a proxy that is no URL, or a certificate without its key; nothing is left then of what was built.
   */
  prepare(options: UpstreamOptions): PreparedUpstreams {
    const proxies = new Proxies(options.proxy);
    const addresses = listedAddresses(options.registries);
    const common = JSON.stringify([options.proxy, options.pullTimeoutMs, options.deadlines, options.userAgent]);
    using undo = new DisposableStack();
    const build = (registry: UpstreamRegistryOptions): UpstreamRegistry =>
      undo.adopt(this.#buildNamed(registry, { options, proxies, isListed: true }), (built) => this.#discard(built));
    const listed = new Map<RegistryHost, Listed>();
    for (const registry of options.registries) {
      const fingerprint = `${common} ${fingerprintOf(registry)}`;
      const known = this.#listed.get(registry.host);
      listed.set(registry.host, known?.fingerprint === fingerprint ? known : { registry: build(registry), fingerprint });
    }
    const built = undo.move();
    return {
      adopt: () => this.#adopt({ options, addresses, listed, common }),
      discard: () => built.dispose(),
    };
  }

  /** Those that go finish what they have begun. */
  #adopt({ options, addresses, listed, common }: Settled): void {
    const gone = [...this.#listed].filter(([host, { registry }]) => listed.get(host)?.registry !== registry);
    const strangersStay = options.unlisted === "public" && common === this.#common;
    this.#options = options;
    this.#addresses = addresses;
    this.#listed = listed;
    this.#common = common;
    const leaving = [...this.#unlisted.keys()].filter((host) => !strangersStay || listed.has(host));
    for (const host of leaving) this.#unlisted.delete(host);
    for (const [, { registry }] of gone) this.#leave(registry);
  }

  /** Tries every credential of the listed `hosts` wherever it is for, all at once, each for `limitMs` at most. Never rejects. */
  async tryCredentials(hosts: ReadonlySet<RegistryHost>, limitMs: number): Promise<readonly CredentialTrial[]> {
    const options = this.#options;
    const subjects = options.registries.flatMap((registry) => {
      if (!hosts.has(registry.host)) return [];
      const build = this.#endpointBuilder(registry, { options, proxies: new Proxies(options.proxy), isListed: true });
      const { mirrors, origin = [] } = placesOf(registry);
      return [mirrors, origin].flat().flatMap((place) =>
        accessesOf(place.access).map(({ match, access }) => ({
          host: registry.host,
          mirror: place === origin ? undefined : place.url.href,
          match,
          auth: access.auth,
          endpoint: build({ ...place, access }),
        })),
      );
    });
    return Promise.all(subjects.map((subject) => tryCredential(subject, { clock: options.clock, limitMs })));
  }

  /** Ends every connection and background probe. */
  async close(): Promise<void> {
    const listed = [...this.#listed.values()].map(({ registry }) => registry);
    this.#listed = new Map();
    this.#unlisted.clear();
    await Promise.all([...listed, ...this.#leaving].map((registry) => registry.close()));
    // A resolver that hangs cannot be told to stop; nobody waits for it.
    await Promise.race([this.#background.settled(), delay(this.#options.clock, settleMs)]);
  }

  #leave(registry: UpstreamRegistry): void {
    this.#leaving.add(registry);
    this.#background.run(
      "leaving a registry",
      registry.leave().finally(() => this.#leaving.delete(registry)),
    );
  }

  /** Built beside something that could not be: nobody has asked it anything. */
  #discard(built: UpstreamRegistry | Endpoint): void {
    this.#background.run("discarding a registry", built.close());
  }

  /** Connections to one place that the operator named, for what a credential takes beside the registry's own. */
  #connector({ proxies, deadlines }: { proxies: Proxies; deadlines: Deadlines }): Connect {
    const { clock } = this.#options;
    return (to, tls) => {
      const listed = new ListedAddresses();
      listed.addUrl(to);
      const policy = new AddressPolicy({ listed: () => listed, own: to, isListed: true });
      return new HttpClient({ policy, names: this.#listedNames, proxies, tls, clock, background: this.#background, deadlines });
    };
  }

  /** Throws `DENIED` when the registry may not be asked. */
  #registry({ host }: Repository): UpstreamRegistry {
    const known = this.#listed.get(host)?.registry ?? this.#unlisted.get(host);
    if (known) return known;
    const options = this.#options;
    if (options.unlisted === "deny") throw new OciError("DENIED", `${host} is not one of the registries listed here`);
    // 0x7f.1, 2130706433, [::ffff:127.0.0.1]: a host that a URL would write otherwise is a trick.
    if (URL.parse(`https://${host}`)?.host !== host) throw new OciError("DENIED", `${host} is not how a registry's host is written`);
    const built = this.#build({ host }, { options, proxies: new Proxies(options.proxy), isListed: false });
    this.#unlisted.set(host, built);
    return built;
  }

  #buildNamed(registry: UpstreamRegistryOptions, context: BuildContext): UpstreamRegistry {
    try {
      return this.#build(registry, context);
    } catch (error) {
      throw new Error(`registry ${registry.host}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  #build(registry: UpstreamRegistryOptions, context: BuildContext): UpstreamRegistry {
    const { clock, deadlines, pullTimeoutMs = defaultPullTimeoutMs } = context.options;
    using undo = new DisposableStack();
    const endpointAt = this.#endpointBuilder(registry, context);
    const build = (place: Place): Endpoint => undo.adopt(endpointAt(place), (built) => this.#discard(built));
    const { mirrors, origin } = placesOf(registry);
    const [mirrorEndpoints, originEndpoint] = [mirrors.map(build), origin && build(origin)];
    undo.move();
    return new UpstreamRegistry({
      host: registry.host,
      endpoints: originEndpoint ? [...mirrorEndpoints, originEndpoint] : mirrorEndpoints,
      origin: originEndpoint,
      clock,
      totalMs: { ...defaultDeadlines, ...deadlines }.totalMs,
      pullTimeoutMs,
    });
  }

  #endpointBuilder(registry: UpstreamRegistryOptions, { options, proxies, isListed }: BuildContext): (place: Place) => Endpoint {
    const deadlines = { ...defaultDeadlines, ...options.deadlines };
    const { clock, log, userAgent = "ociregistry" } = options;
    const common = {
      isListed,
      isDeclaredPublic: registry.public === true,
      listed: () => this.#addresses,
      names: isListed ? this.#listedNames : this.#unlistedNames,
      proxies,
      clock,
      background: this.#background,
      log,
      deadlines,
      userAgent,
    };
    const context = { managers: this.#managers, clock, log, background: this.#background, userAgent, connect: this.#connector({ proxies, deadlines }) };
    return ({ host, url, source, access }) => {
      const { tls } = access;
      using undo = new DisposableStack();
      const credentials = undo.adopt(credentialsOf(access, { ...context, host, origin: url, tls }), (opened) => opened.close());
      const endpoint = new Endpoint({ ...common, url, source, tls, credentials, authOf: authOf(access) });
      undo.move();
      return endpoint;
    };
  }
}

interface BuildContext {
  readonly options: UpstreamOptions;
  readonly proxies: Proxies;
  readonly isListed: boolean;
}

function listedAddresses(registries: readonly UpstreamRegistryOptions[]): ListedAddresses {
  const addresses = new ListedAddresses();
  for (const registry of registries) {
    addresses.addUrl(originOf(registry));
    for (const { url } of registry.endpoints ?? []) addresses.addUrl(new URL(url));
    const auths: readonly (UpstreamRegistryOptions | EndpointOptions)[] = [registry, ...(registry.endpoints ?? [])];
    for (const host of [...(registry.redirectHosts ?? []), ...auths.flatMap(({ auth }) => auth?.realmHosts ?? [])]) addresses.addHost(host);
  }
  return addresses;
}

/** A digest of everything that a registry is made of, passwords included. */
function fingerprintOf(registry: UpstreamRegistryOptions): string {
  return digestOf(Buffer.from(credentialKey(registry)));
}
