/** What one key alone cannot show: names that clash, ports taken twice, halves without their other half. */
import { RegistryNames, type ListedRegistry } from "../oci/registry-names.ts";
import { OciError } from "../oci/errors.ts";
import { findPlatform } from "../oci/platform.ts";
import type { ParsedAuth } from "./auth-schema.ts";
import { checkAuth, noticesOfAuth } from "./auth-checks.ts";
import { checkClientAuth, noticesOfClientAuth } from "./client-auth-checks.ts";
import { authOf } from "./credential-of.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { checkPattern } from "./patterns.ts";
import { checkPrune } from "./prune-checks.ts";
import type { ParsedConfig } from "./schema.ts";

type ParsedRegistry = ParsedConfig["registries"][number];
type ParsedTls = NonNullable<ParsedRegistry["tls"]>;

/** Everything because of which `parsed` cannot be used. `isWritten` tells what was written from what is there by default. */
export function crossCheck(parsed: ParsedConfig, isWritten: (path: KeyPath) => boolean): readonly Finding[] {
  return [
    ...checkPorts(parsed),
    ...checkServerTls(parsed.serverTlsConfig),
    ...checkNames(parsed),
    ...checkPlatform(parsed),
    ...checkClientAuth(parsed),
    ...checkPrune(parsed, isWritten),
    ...parsed.registries.flatMap((registry, index) => checkRegistry(registry, ["registries", index])),
  ];
}

function checkPlatform({ os, arch }: ParsedConfig): readonly Finding[] {
  const isOs = !os.includes("/") && findPlatform(`${os}/amd64`) !== undefined;
  if (isOs && findPlatform(`${os}/${arch}`)) return [];
  const key = isOs ? "arch" : "os";
  return [{ path: [key], message: `${key}: "${key === "os" ? os : arch}" is no word of a platform, such as linux/arm64` }];
}

/** What is allowed and yet perhaps not meant. */
export function noticesOf(parsed: ParsedConfig, isWritten: (path: KeyPath) => boolean): readonly Finding[] {
  const { serverTlsConfig, health, registries } = parsed;
  const notices: Finding[] = [...noticesOfClientAuth(parsed, isWritten)];
  if (serverTlsConfig.clientAuth === "verify" && health === 0) {
    notices.push({ path: ["serverTlsConfig", "clientAuth"], message: "clientAuth: verify without a health port: probes need a client certificate too" });
  }
  if (serverTlsConfig.ca !== undefined && serverTlsConfig.clientAuth === "none") {
    notices.push({ path: ["serverTlsConfig", "ca"], message: "serverTlsConfig.ca has no effect while clientAuth is none" });
  }
  for (const [index, registry] of registries.entries()) {
    const path = ["registries", index];
    const { name, scheme, auth, tls, opts } = registry;
    notices.push(...authsOf(registry, path).flatMap((one) => noticesOfAuth(one.auth, one.path)));
    const credential = authOf(auth)?.credential;
    if (scheme === "http" && credential) {
      const what = credential.kind === "password" ? "password" : "token";
      notices.push({ path: [...path, "scheme"], message: `the ${what} for ${name} travels over plain http` });
    }
    if (scheme === "http" && tls !== undefined) notices.push({ path: [...path, "tls"], message: `tls has no effect for ${name}: its scheme is http` });
    if (tls?.insecureSkipVerify) notices.push({ path: [...path, "tls", "insecureSkipVerify"], message: `any certificate is trusted for ${name}` });
    if (opts !== undefined) notices.push({ path: [...path, "opts"], message: "opts has no effect" });
  }
  return notices;
}

/** `health` and `metrics` may share one: every extra port serves both. */
function checkPorts({ port, health, metrics }: ParsedConfig): readonly Finding[] {
  return Object.entries({ health, metrics }).flatMap(([key, extra]) =>
    extra !== 0 && extra === port ? [{ path: [key], message: `${key} and port are both ${port}` }] : [],
  );
}

function checkServerTls({ cert, key, ca, clientAuth }: ParsedConfig["serverTlsConfig"]): readonly Finding[] {
  const path = ["serverTlsConfig"];
  const halves = checkHalves({ cert, key }, path);
  if (halves.length > 0) return halves;
  if (clientAuth !== "none" && cert === undefined)
    return [{ path: [...path, "clientAuth"], message: `serverTlsConfig.clientAuth is ${clientAuth}, but there is no cert and key` }];
  if (clientAuth !== "none" && ca === undefined)
    return [{ path: [...path, "clientAuth"], message: `serverTlsConfig.clientAuth is ${clientAuth}, but there is no ca to check clients by` }];
  return [];
}

/** Hosts, aliases, `defaultNs`, and patterns that are written with an alias. */
function checkNames({ defaultNs, registries, tagTtl, pruneConfig }: ParsedConfig): readonly Finding[] {
  const clashes = checkRegistryNames(registries);
  if (clashes.length > 0) return clashes;
  const problem = problemWith(defaultNs, registries);
  if (problem !== undefined) return [{ path: ["defaultNs"], message: problem }];
  const names = new RegistryNames({ defaultNs, registries });
  const ttlPatterns = patternsOfTtl(tagTtl, ["tagTtl"]);
  const keepPatterns = pruneConfig.keep.flatMap(({ pattern }, index) =>
    pattern === undefined ? [] : { pattern, path: ["pruneConfig", "keep", index, "pattern"] },
  );
  return checkPatterns([...ttlPatterns, ...keepPatterns], names, registries);
}

/** One by one only where something is wrong: which of them it is takes a look at all before it. */
function checkRegistryNames(registries: readonly ListedRegistry[]): readonly Finding[] {
  if (problemWith("docker.io", registries) === undefined) return [];
  const good: ListedRegistry[] = [];
  return registries.flatMap((registry, index) => {
    const problem = problemWith("docker.io", [...good, registry]);
    if (problem !== undefined) return [{ path: ["registries", index, "name"], message: problem }];
    good.push(registry);
    return [];
  });
}

function problemWith(defaultNs: string, registries: readonly ListedRegistry[]): string | undefined {
  try {
    new RegistryNames({ defaultNs, registries });
    return undefined;
  } catch (error) {
    if (error instanceof OciError) return error.message;
    throw error;
  }
}

interface PatternAt {
  readonly pattern: string;
  readonly path: KeyPath;
}

function patternsOfTtl(tagTtl: ParsedConfig["tagTtl"] | undefined, path: KeyPath): readonly PatternAt[] {
  return typeof tagTtl === "object" ? Object.keys(tagTtl).map((pattern) => ({ pattern, path: [...path, pattern] })) : [];
}

function checkPatterns(patterns: readonly PatternAt[], names: RegistryNames, registries: readonly ParsedRegistry[]): readonly Finding[] {
  const aliases = new Set(registries.flatMap((registry) => registry.aliases.map((alias) => alias.toLowerCase())));
  return patterns.flatMap(({ pattern, path }) => {
    const problems = checkPattern(pattern, path);
    if (problems.length > 0) return problems;
    const [first = "", ...rest] = pattern.split("/");
    if (rest.length === 0 || !aliases.has(first.toLowerCase())) return [];
    const host = names.find(first);
    const canonical = host === names.defaultHost ? rest.join("/") : [host, ...rest].join("/");
    return [{ path, message: `${path[0]}: the pattern "${pattern}" begins with an alias; write "${canonical}"` }];
  });
}

function checkRegistry(registry: ParsedRegistry, path: KeyPath): readonly Finding[] {
  const findings = [
    ...authsOf(registry, path).flatMap((one) => checkAuth(one.auth, one.path)),
    ...checkMatches(registry, [...path, "credentials"]),
    ...patternsOfTtl(registry.tagTtl, [...path, "tagTtl"]).flatMap((one) => checkPattern(one.pattern, one.path)),
    ...checkHalves(registry.tls, [...path, "tls"]),
  ];
  if (!registry.originFallback && registry.endpoints.length === 0) {
    findings.push({ path: [...path, "originFallback"], message: `originFallback is false, but ${registry.name} has no endpoints to ask instead` });
  }
  for (const [index, endpoint] of registry.endpoints.entries()) {
    if (typeof endpoint !== "string") findings.push(...checkHalves(endpoint.tls, [...path, "endpoints", index, "tls"]));
  }
  return findings;
}

/** Every `auth` in a registry's entry. */
function authsOf(
  { auth, endpoints, credentials }: ParsedRegistry,
  path: KeyPath,
): readonly { readonly auth: ParsedAuth | undefined; readonly path: KeyPath }[] {
  return [
    { auth, path: [...path, "auth"] },
    ...endpoints.map((endpoint, at) => ({ auth: typeof endpoint === "string" ? undefined : endpoint.auth, path: [...path, "endpoints", at, "auth"] })),
    ...credentials.map((scoped, at) => ({ auth: scoped.auth, path: [...path, "credentials", at, "auth"] })),
  ];
}

/** Patterns that can never match, or of which nobody could say which wins. */
function checkMatches({ name, credentials }: ParsedRegistry, path: KeyPath): readonly Finding[] {
  return credentials.flatMap(({ match, auth }, at) => {
    const key = formatKeyPath([...path, at]);
    if (match.toLowerCase().startsWith(`${name.toLowerCase()}/`)) {
      return [{ path: [...path, at, "match"], message: `${key}.match begins with the registry; write "${match.slice(name.length + 1)}"` }];
    }
    if (credentials.findIndex((one) => one.match === match) < at)
      return [{ path: [...path, at, "match"], message: `${key}.match: "${match}" is written twice` }];
    const problems = checkPattern(match, [...path, at, "match"]);
    if (problems.length > 0) return problems;
    const saysNothing = authOf(auth) === undefined && checkAuth(auth, []).length === 0;
    return saysNothing ? [{ path: [...path, at, "auth"], message: `${key}.auth has neither a user nor a token` }] : [];
  });
}

function checkHalves(tls: Pick<ParsedTls, "cert" | "key"> | undefined, path: KeyPath): readonly Finding[] {
  if (!tls || (tls.cert === undefined) === (tls.key === undefined)) return [];
  const [there, missing] = tls.cert === undefined ? (["key", "cert"] as const) : (["cert", "key"] as const);
  return [{ path: [...path, there], message: `${formatKeyPath(path)} has a ${there} and no ${missing}` }];
}
