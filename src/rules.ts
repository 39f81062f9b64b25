/**
 * Rules: what follows from a configuration and can be exchanged while requests run: which registries there are, how each is asked,
 * and when.
 */
import type { FreshnessOptions } from "./cache/freshness.ts";
import type { Config, RegistryConfig } from "./config/config.ts";
import type { AuthConfig, CredentialConfig, SecretSource } from "./config/credential-config.ts";
import { readTlsTexts } from "./config/named-files.ts";
import { readSecret } from "./config/named-secrets.ts";
import { packageVersion } from "./config/package-version.ts";
import { byLength, compilePattern } from "./config/patterns.ts";
import { createTagTtl } from "./config/tag-ttl.ts";
import { resolveUnlisted } from "./config/unlisted-registries.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import { RegistryNames } from "./oci/registry-names.ts";
import type { RegistryHost } from "./oci/repository.ts";
import type { Secret } from "./oci/secret.ts";
import type { CredentialOptions, ProxyOptions, ScopedAuth, UpstreamAuth, UpstreamOptions, UpstreamRegistryOptions } from "./upstream/upstream-options.ts";

export interface Rules {
  readonly config: Config;
  readonly names: RegistryNames;
  readonly unlisted: "public" | "deny";
  readonly freshness: FreshnessOptions;
  readonly upstream: UpstreamOptions;
}

/** Reads everything that a configuration names and checks it, so that what is taken over is taken over whole. Throws `ConfigError` or `OciError`. */
export async function readRules(config: Config, { environment, clock, log }: { environment: NodeJS.ProcessEnv; clock: Clock; log: Log }): Promise<Rules> {
  const names = new RegistryNames({ defaultNs: config.defaultNs, registries: config.registries });
  const unlisted = resolveUnlisted(config, environment).policy;
  const listed = await Promise.all(config.registries.map((registry) => readUpstreamRegistry(registry, names, environment)));
  const isDefaultListed = listed.some(({ host }) => host === names.defaultHost);
  return {
    config,
    names,
    unlisted,
    freshness: freshnessOf(config, names),
    upstream: {
      registries: isDefaultListed ? listed : [...listed, { host: names.defaultHost }],
      unlisted,
      pullTimeoutMs: config.pullTimeoutMs,
      proxy: proxiesOf(environment),
      clock,
      log,
      userAgent: `ociregistry/${packageVersion()}`,
    },
  };
}

async function readUpstreamRegistry(registry: RegistryConfig, names: RegistryNames, environment: NodeJS.ProcessEnv): Promise<UpstreamRegistryOptions> {
  const { scheme, originFallback, redirectHosts, public: isPublic } = registry;
  const endpoints = await Promise.all(registry.endpoints.map(async (endpoint) => ({ url: endpoint.url, ...(await readAccess(endpoint, environment)) })));
  const scopedAuth = await readScopedAuth(registry, environment);
  const access = await readAccess(registry, environment);
  return { host: hostOf(registry, names), scheme, endpoints, originFallback, redirectHosts, public: isPublic, scopedAuth, ...access };
}

async function readAccess(
  { auth, tls }: Pick<RegistryConfig, "auth" | "tls">,
  environment: NodeJS.ProcessEnv,
): Promise<Pick<UpstreamRegistryOptions, "auth" | "tls">> {
  const texts = tls && (await readTlsTexts(tls));
  return {
    ...(auth ? { auth: await readAuth(auth, environment) } : {}),
    ...(tls && texts ? { tls: { ...defined(texts), insecureSkipVerify: tls.insecureSkipVerify } } : {}),
  };
}

/** The longest pattern first: upstream takes the first that matches. */
function readScopedAuth({ credentials }: RegistryConfig, environment: NodeJS.ProcessEnv): Promise<readonly ScopedAuth[]> {
  const sorted = credentials.toSorted((one, other) => byLength(one.match, other.match));
  return Promise.all(sorted.map(async ({ match, auth }) => ({ match, matches: compilePattern(match), auth: await readAuth(auth, environment) })));
}

async function readAuth({ credential, realmHosts }: AuthConfig, environment: NodeJS.ProcessEnv): Promise<UpstreamAuth> {
  return { credential: await readCredential(credential, environment), realmHosts };
}

async function readCredential(credential: CredentialConfig, environment: NodeJS.ProcessEnv): Promise<CredentialOptions> {
  const read = (name: string, source: SecretSource): Promise<Secret> => readSecret(source, { name, environment });
  switch (credential.kind) {
    case "password":
      return { ...credential, password: await read("password", credential.password) };
    case "static":
      return { ...credential, token: await read("token.static", credential.token) };
    case "azure":
    case "oauth2":
      return { ...credential, clientSecret: credential.clientSecret && (await read("token.providerOpts.clientSecret", credential.clientSecret)) };
    default:
      return credential;
  }
}

function defined({ ca, cert, key }: { ca: string | undefined; cert: string | undefined; key: string | undefined }): {
  ca?: string;
  cert?: string;
  key?: string;
} {
  return { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

function freshnessOf(config: Config, names: RegistryNames): FreshnessOptions {
  const ttlMs = createTagTtl(config, names);
  const byHost = new Map(config.registries.map((registry) => [hostOf(registry, names), registry]));
  return {
    airGapped: config.airGapped,
    alwaysPullLatest: config.alwaysPullLatest,
    rulesOf(host) {
      const own = byHost.get(host);
      return {
        tagTtlMs: (repository) => ttlMs(repository),
        staleIfErrorMs: own?.staleIfErrorMs ?? config.staleIfErrorMs,
        whenDeniedMs: own?.whenDeniedMs ?? config.whenDeniedMs,
        whenGoneMs: own?.whenGoneMs ?? config.whenGoneMs,
      };
    },
  };
}

/** The proxies that an environment names, in their usual variables. */
export function proxiesOf(environment: NodeJS.ProcessEnv): ProxyOptions {
  return {
    httpsProxy: environment["HTTPS_PROXY"] || environment["https_proxy"],
    httpProxy: environment["HTTP_PROXY"] || environment["http_proxy"],
    noProxy: environment["NO_PROXY"] || environment["no_proxy"],
  };
}

const fillsMaxDefault = 16;

/** How many downloads a registry serves at once. */
export function fillsMaxOf({ config, names }: Rules, host: RegistryHost): number {
  return config.registries.find((registry) => hostOf(registry, names) === host)?.fillsMax ?? fillsMaxDefault;
}

function hostOf({ name }: RegistryConfig, names: RegistryNames): RegistryHost {
  const host = names.find(name);
  if (!host) throw new Error(`registries: "${name}" is not a host[:port]`); // RegistryNames took it a moment ago.
  return host;
}
