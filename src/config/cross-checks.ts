/** What one key alone cannot show: names that clash, ports taken twice, halves without their other half. */
import { RegistryNames, type ListedRegistry } from "../oci/registry-names.ts";
import { OciError } from "../oci/errors.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import type { ParsedConfig } from "./schema.ts";

type ParsedRegistry = ParsedConfig["registries"][number];
type ParsedAuth = NonNullable<ParsedRegistry["auth"]>;
type ParsedTls = NonNullable<ParsedRegistry["tls"]>;

/** Everything because of which `parsed` cannot be used. */
export function crossCheck(parsed: ParsedConfig): readonly Finding[] {
  return [
    ...checkPorts(parsed),
    ...checkServerTls(parsed.serverTlsConfig),
    ...checkNames(parsed),
    ...parsed.registries.flatMap((registry, index) => checkRegistry(registry, ["registries", index])),
  ];
}

/** What is allowed and yet perhaps not meant. */
export function noticesOf(parsed: ParsedConfig): readonly Finding[] {
  const { serverTlsConfig, health, registries } = parsed;
  const notices: Finding[] = [];
  if (serverTlsConfig.clientAuth === "verify" && health === 0) {
    notices.push({ path: ["serverTlsConfig", "clientAuth"], message: "clientAuth: verify without a health port: probes need a client certificate too" });
  }
  if (serverTlsConfig.ca !== undefined && serverTlsConfig.clientAuth === "none") {
    notices.push({ path: ["serverTlsConfig", "ca"], message: "serverTlsConfig.ca has no effect while clientAuth is none" });
  }
  for (const [index, { name, scheme, auth, tls, opts }] of registries.entries()) {
    const path = ["registries", index];
    if (scheme === "http" && auth?.user !== undefined) notices.push({ path: [...path, "scheme"], message: `the password for ${name} travels over plain http` });
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
function checkNames({ defaultNs, registries, tagTtl }: ParsedConfig): readonly Finding[] {
  const good: ListedRegistry[] = [];
  const findings: Finding[] = [];
  for (const [index, registry] of registries.entries()) {
    const problem = problemWith("docker.io", [...good, registry]);
    if (problem === undefined) good.push(registry);
    if (problem !== undefined) findings.push({ path: ["registries", index, "name"], message: problem });
  }
  if (findings.length > 0) return findings;
  const problem = problemWith(defaultNs, good);
  if (problem !== undefined) return [{ path: ["defaultNs"], message: problem }];
  return checkPatterns(tagTtl, new RegistryNames({ defaultNs, registries: good }), registries);
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

function checkPatterns(tagTtl: ParsedConfig["tagTtl"], names: RegistryNames, registries: readonly ParsedRegistry[]): readonly Finding[] {
  if (typeof tagTtl === "number") return [];
  const aliases = new Set(registries.flatMap((registry) => registry.aliases.map((alias) => alias.toLowerCase())));
  return Object.keys(tagTtl).flatMap((pattern) => {
    const [first = "", ...rest] = pattern.split("/");
    if (rest.length === 0 || !aliases.has(first.toLowerCase())) return [];
    const host = names.find(first);
    const canonical = host === names.defaultHost ? rest.join("/") : [host, ...rest].join("/");
    return [{ path: ["tagTtl", pattern], message: `tagTtl: the pattern "${pattern}" begins with an alias; write "${canonical}"` }];
  });
}

function checkRegistry(registry: ParsedRegistry, path: KeyPath): readonly Finding[] {
  const findings = [...checkAuth(registry.auth, [...path, "auth"]), ...checkHalves(registry.tls, [...path, "tls"])];
  if (!registry.originFallback && registry.endpoints.length === 0) {
    findings.push({ path: [...path, "originFallback"], message: `originFallback is false, but ${registry.name} has no endpoints to ask instead` });
  }
  for (const [index, endpoint] of registry.endpoints.entries()) {
    if (typeof endpoint === "string") continue;
    const endpointPath = [...path, "endpoints", index];
    findings.push(...checkAuth(endpoint.auth, [...endpointPath, "auth"]), ...checkHalves(endpoint.tls, [...endpointPath, "tls"]));
  }
  return findings;
}

function checkAuth(auth: ParsedAuth | undefined, path: KeyPath): readonly Finding[] {
  if (!auth || auth.token) return [];
  const { user, password, passwordFromEnv, passwordFile } = auth;
  const passwords = Object.entries({ password, passwordFromEnv, passwordFile }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  const name = formatKeyPath(path);
  if (passwords.length > 1) return [{ path: [...path, passwords[1] ?? ""], message: `${name} has ${passwords.join(" and ")}: one is enough` }];
  if (user !== undefined && passwords.length === 0) return [{ path: [...path, "user"], message: `${name} has a user and no password` }];
  if (user === undefined && passwords.length > 0) return [{ path: [...path, passwords[0] ?? ""], message: `${name} has a password and no user` }];
  return [];
}

function checkHalves(tls: Pick<ParsedTls, "cert" | "key"> | undefined, path: KeyPath): readonly Finding[] {
  if (!tls || (tls.cert === undefined) === (tls.key === undefined)) return [];
  const [there, missing] = tls.cert === undefined ? (["key", "cert"] as const) : (["cert", "key"] as const);
  return [{ path: [...path, there], message: `${formatKeyPath(path)} has a ${there} and no ${missing}` }];
}
