/** From the words of the schema to what the program takes. Trusts what has been parsed and cross-checked. */
import { join } from "node:path";
import { accessControlOf, clientAuthOf } from "./client-auth-of.ts";
import type { Config, EndpointConfig, RegistryConfig, ServerTlsConfig, TagTtl, UpstreamTlsConfig, VerifyConfig } from "./config.ts";
import { findPlatform, type Platform } from "../oci/platform.ts";
import type { ScopedAuthConfig } from "./credential-config.ts";
import { authOf } from "./credential-of.ts";
import type { KeyPath } from "./key-path.ts";
import { pruneConfigOf } from "./prune-config.ts";
import type { ParsedConfig } from "./schema.ts";

type ParsedRegistry = ParsedConfig["registries"][number];
type ParsedTls = NonNullable<ParsedRegistry["tls"]>;

const defaultTagTtlMs = 60_000;

interface ConfigOptions {
  readonly configFile: string | undefined;
  /** Whether somebody wrote the key at a path, be it in the words of its default. */
  readonly isWritten: (path: KeyPath) => boolean;
}

export function configOf(parsed: ParsedConfig, { configFile, isWritten }: ConfigOptions): Config {
  const tagTtl = tagTtlOf(parsed.tagTtl);
  const auth = clientAuthOf(parsed);
  return {
    configFile,
    imagePath: parsed.imagePath,
    statePath: parsed.statePath ?? join(parsed.imagePath, "state"),
    host: parsed.host.replace(/^\[(.*)\]$/, "$1"),
    port: parsed.port,
    healthPort: parsed.health || undefined,
    metricsPort: parsed.metrics || undefined,
    logLevel: parsed.logLevel,
    logFile: parsed.logFile,
    logFormat: parsed.logFormat,
    defaultNs: parsed.defaultNs,
    unlistedRegistries: parsed.unlistedRegistries,
    airGapped: parsed.airGapped,
    alwaysPullLatest: parsed.alwaysPullLatest,
    tagTtl: { patterns: tagTtl.patterns, defaultMs: tagTtl.defaultMs ?? defaultTagTtlMs },
    staleIfErrorMs: parsed.staleIfError,
    whenDeniedMs: parsed.whenDenied,
    whenGoneMs: goneAge(parsed.whenGone),
    pullTimeoutMs: parsed.pullTimeout,
    helloWorld: parsed.helloWorld,
    platforms: platformsOf(parsed),
    ownPlatform: ownPlatformOf(parsed),
    preloadImages: parsed.preloadImages,
    preloadRequired: parsed.preloadRequired,
    imageFile: parsed.imageFile,
    resolveRef: parsed.resolveRef,
    registries: parsed.registries.map(registryOf),
    serverTls: serverTlsOf(parsed.serverTlsConfig),
    trustedProxies: parsed.trustedProxies,
    proxyProtocol: parsed.proxyProtocol,
    adminApi: parsed.adminApi,
    pages: parsed.pages,
    prune: pruneConfigOf(parsed.pruneConfig),
    verify: verifyOf(parsed.verifyConfig),
    list: parsed.listConfig,
    shutdownDelayMs: parsed.shutdownDelay,
    drainTimeoutMs: parsed.drainTimeout,
    externalUrl: parsed.externalUrl?.replace(/\/+$/, ""),
    allowedOrigins: parsed.http.allowOrigin.length === 0 ? undefined : parsed.http.allowOrigin,
    auth,
    authIsEmpty: auth === undefined && isWritten(["auth"]),
    accessControl: accessControlOf(parsed.accessControl),
  };
}

function platformsOf(parsed: ParsedConfig): Config["platforms"] {
  const named = parsed.platforms.filter((platform) => platform !== "all");
  if (named.length < parsed.platforms.length) return "all";
  return named.length > 0 ? named : [ownPlatformOf(parsed)];
}

function ownPlatformOf({ os, arch }: ParsedConfig): Platform {
  return findPlatform(`${os}/${arch}`) ?? { os, architecture: arch };
}

function goneAge(whenGone: ParsedConfig["whenGone"]): number {
  return whenGone === "serve" ? Infinity : 0;
}

function registryOf(registry: ParsedRegistry): RegistryConfig {
  return {
    name: registry.name,
    description: registry.description,
    scheme: registry.scheme,
    endpoints: registry.endpoints.map(endpointOf),
    originFallback: registry.originFallback,
    aliases: registry.aliases,
    tagTtl: registry.tagTtl === undefined ? undefined : tagTtlOf(registry.tagTtl),
    staleIfErrorMs: registry.staleIfError,
    whenDeniedMs: registry.whenDenied,
    whenGoneMs: registry.whenGone && goneAge(registry.whenGone),
    redirectHosts: registry.redirectHosts,
    public: registry.public,
    fillsMax: registry.fillsMax,
    maxSizeBytes: registry.maxSize,
    auth: authOf(registry.auth),
    credentials: registry.credentials.flatMap(scopedAuthOf),
    tls: upstreamTlsOf(registry.tls),
  };
}

function scopedAuthOf({ match, auth }: ParsedRegistry["credentials"][number]): readonly ScopedAuthConfig[] {
  const read = authOf(auth);
  return read ? [{ match, auth: read }] : [];
}

function endpointOf(endpoint: ParsedRegistry["endpoints"][number]): EndpointConfig {
  if (typeof endpoint === "string") return { url: endpoint, auth: undefined, tls: undefined };
  return { url: endpoint.url, auth: authOf(endpoint.auth), tls: upstreamTlsOf(endpoint.tls) };
}

function tagTtlOf(written: ParsedConfig["tagTtl"]): TagTtl {
  if (typeof written === "number") return { defaultMs: written, patterns: [] };
  const { default: defaultMs, ...byPattern } = written;
  return { defaultMs, patterns: Object.entries(byPattern).map(([pattern, ttlMs]) => ({ pattern, ttlMs })) };
}

/** Undefined when it says nothing: the Go ociregistry's examples write out empty keys. */
function upstreamTlsOf(tls: ParsedTls | undefined): UpstreamTlsConfig | undefined {
  if (!tls || (tls.ca === undefined && tls.cert === undefined && !tls.insecureSkipVerify)) return undefined;
  return { ca: tls.ca, cert: tls.cert, key: tls.key, insecureSkipVerify: tls.insecureSkipVerify };
}

function verifyOf({ schedule, timezone, bytesPerSecond, repair }: ParsedConfig["verifyConfig"]): VerifyConfig {
  return { schedule, timezone, bytesPerSecond: bytesPerSecond === 0 ? Infinity : bytesPerSecond, repair };
}

function serverTlsOf({ cert, key, ca, clientAuth }: ParsedConfig["serverTlsConfig"]): ServerTlsConfig | undefined {
  return cert === undefined || key === undefined ? undefined : { cert, key, ca: clientAuth === "none" ? undefined : ca, clientAuth };
}
