/** What is wrong with an `auth` though each of its keys is right: halves without their other half, two where one is enough, options of another provider. */
import type { ParsedAuth, ParsedOptions, ParsedToken } from "./auth-schema.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { noSuchOption, providerNames, providerOptions, type ProviderName } from "./provider-options.ts";

/** A key inside what is checked, and what is wrong with it: the words that follow the checked key's name. */
type Problem = readonly [key: string, words: string];

/** Everything because of which `auth` cannot be used; `path` leads to it. */
export function checkAuth(auth: ParsedAuth | undefined, path: KeyPath): readonly Finding[] {
  if (!auth) return [];
  if (!auth.token || !saysSomething(auth.token)) return findings(path, passwordProblems(auth));
  const tokenPath = [...path, "token"];
  const { provider, providerOpts = {} } = auth.token;
  const problems = findings(tokenPath, tokenProblems(auth.token));
  if (problems.length > 0 || provider === undefined || hasStatic(auth.token)) return problems;
  return checkOptions(provider, providerOpts, [...tokenPath, "providerOpts"]);
}

/** What of `auth` has no effect, or is risky. */
export function noticesOfAuth(auth: ParsedAuth | undefined, path: KeyPath): readonly Finding[] {
  const { token, user, password, passwordFromEnv } = auth ?? {};
  const idle = (keys: readonly string[], because: string): Finding => {
    const key = [...path, ...keys];
    return { path: key, message: `${formatKeyPath(key)} has no effect: ${because}` };
  };
  if (!token || !saysSomething(token)) {
    return password !== undefined && passwordFromEnv !== undefined ? [idle(["password"], "passwordFromEnv wins")] : [];
  }
  const besideToken = user === undefined ? [] : [idle(["user"], "there is a token")];
  const { provider, expiry, providerOpts = {} } = token;
  if (hasStatic(token)) return provider === undefined ? besideToken : [...besideToken, idle(["token", "provider"], "there is a static token")];
  const besideFile = provider === "docker-config" && expiry !== undefined ? [idle(["token", "expiry"], "docker-config is read again whenever it changes")] : [];
  return [...besideToken, ...besideFile, ...plainHttpNotices(providerOpts, [...path, "token", "providerOpts"])];
}

function plainHttpNotices({ endpoint, tokenUrl }: ParsedOptions, path: KeyPath): readonly Finding[] {
  const notice = (key: string, words: string): Finding => ({ path: [...path, key], message: `${formatKeyPath([...path, key])} ${words}` });
  return [
    ...(isPlainHttp(endpoint) ? [notice("endpoint", "is plain http: tokens travel so")] : []),
    ...(isPlainHttp(tokenUrl) ? [notice("tokenUrl", "is plain http, which is refused for a registry that is reached by https")] : []),
  ];
}

/** True when there is something in it to fetch or to send. */
function saysSomething({ expiry, scheme, providerOpts, provider, ...given }: ParsedToken): boolean {
  return [provider, expiry, scheme, ...Object.values(given), ...Object.values(providerOpts ?? {})].some((value) => value !== undefined);
}

function hasStatic({ static: text, staticFromEnv, staticFile }: ParsedToken): boolean {
  return text !== undefined || staticFromEnv !== undefined || staticFile !== undefined;
}

function passwordProblems({ user, password, passwordFromEnv, passwordFile }: ParsedAuth): readonly Problem[] {
  const passwords = written({ password: passwordFromEnv === undefined ? password : undefined, passwordFromEnv, passwordFile });
  const [first, second] = passwords;
  if (second !== undefined) return [[second, `has ${passwords.join(" and ")}: one is enough`]];
  if (user !== undefined && first === undefined) return [["user", "has a user and no password"]];
  if (user === undefined && first !== undefined) return [[first, "has a password and no user"]];
  return [];
}

function tokenProblems(token: ParsedToken): readonly Problem[] {
  const { provider, providerOpts, expiry, scheme, static: text, staticFromEnv, staticFile } = token;
  const statics = written({ static: text, staticFromEnv, staticFile });
  if (statics[1] !== undefined) return [[statics[1], `has ${statics.join(" and ")}: one is enough`]];
  if (statics.length > 0) return [];
  const [lonely] = written({ providerOpts, expiry, scheme });
  if (provider === undefined) return [[lonely ?? "provider", `has ${lonely} and no provider, which is one of ${providerNames.join(", ")}`]];
  return scheme === undefined ? [] : [["scheme", `has a scheme, which is for static tokens, and the provider ${provider}`]];
}

function checkOptions(provider: ProviderName, options: ParsedOptions, path: KeyPath): readonly Finding[] {
  const known: readonly string[] = providerOptions[provider];
  const unknown = written(options).filter((option) => !known.includes(option));
  if (unknown.length > 0) return unknown.map((option) => ({ path: [...path, option], message: noSuchOption(formatKeyPath(path), option, provider) }));
  return findings(path, optionProblems(provider, options));
}

function optionProblems(provider: ProviderName, options: ParsedOptions): readonly Problem[] {
  switch (provider) {
    case "ecr":
    case "ecr-public":
      return options.externalId !== undefined && options.roleArn === undefined ? [["externalId", "has an externalId and no roleArn to assume with it"]] : [];
    case "docker-config":
      return [];
    case "exec":
      return execProblems(options);
    case "gcp":
      return gcpProblems(options);
    case "azure":
      return secretProblems(options) ?? azureProblems(options);
    case "oauth2":
      return secretProblems(options) ?? oauth2Problems(options);
    default:
      return provider satisfies never;
  }
}

function execProblems({ helper, command, args, protocol }: ParsedOptions): readonly Problem[] {
  if (helper !== undefined && command !== undefined) return [["command", "has helper and command: one is enough"]];
  if (helper !== undefined) {
    if (!/^[a-z0-9-]+$/.test(helper))
      return [["helper", "has a helper that is no name of letters, digits and -; name a path as command, with protocol: docker"]];
    if (protocol === "kubelet") return [["protocol", "has a helper, which speaks docker, and protocol: kubelet; name the plugin as command"]];
    return args === undefined ? [] : [["args", "has args and no command; a helper takes none"]];
  }
  if (command === undefined) return [["helper", "needs a helper (ecr-login for docker-credential-ecr-login), or a command and its protocol"]];
  return protocol === undefined ? [["command", "has a command and no protocol, which is docker or kubelet"]] : [];
}

function gcpProblems({ keyFile, use }: ParsedOptions): readonly Problem[] {
  if (use === "bearer" || use === "basic") return [["use", `has use: ${use}; gcp takes token or json-key`]];
  return use === "json-key" && keyFile === undefined ? [["use", "has use: json-key and no keyFile"]] : [];
}

/** Undefined: the client's secret is in one place, or nowhere. */
function secretProblems({ clientSecret, clientSecretFromEnv, clientSecretFile }: ParsedOptions): readonly Problem[] | undefined {
  const secrets = written({ clientSecret, clientSecretFromEnv, clientSecretFile });
  return secrets[1] === undefined ? undefined : [[secrets[1], `has ${secrets.join(" and ")}: one is enough`]];
}

function azureProblems(options: ParsedOptions): readonly Problem[] {
  const { identity, tenantId, clientId, federatedTokenFile, authorityHost } = options;
  const secret = secretKeyOf(options);
  if (authorityHost !== undefined && !/^https:/i.test(authorityHost)) return [["authorityHost", "has an authorityHost without https"]];
  if (secret !== undefined && federatedTokenFile !== undefined) return [["federatedTokenFile", `has ${secret} and federatedTokenFile: one is enough`]];
  const needsSecret = identity === "service-principal" || (identity === undefined && secret !== undefined);
  if (needsSecret) {
    const missing = Object.entries({ tenantId, clientId, clientSecret: secret }).flatMap(([key, value]) => (value === undefined ? [key] : []));
    return missing.length === 0 ? [] : [[secret ?? "identity", `has no ${missing.join(" and no ")}, which a service principal needs`]];
  }
  const foreign = written({ [secret ?? "clientSecret"]: secret, ...(identity === "managed" ? { federatedTokenFile, tenantId } : {}) });
  return foreign.map((key): Problem => [key, `has ${key}, which identity: ${identity} does not take`]);
}

function oauth2Problems(options: ParsedOptions): readonly Problem[] {
  const { tokenUrl, grant, clientId, assertionFile, use, user } = options;
  const secret = secretKeyOf(options);
  if (tokenUrl === undefined) return [["tokenUrl", "has no tokenUrl"]];
  if (use === "token" || use === "json-key") return [["use", `has use: ${use}; oauth2 takes bearer or basic`]];
  if (use === "basic" && user === undefined) return [["use", "has use: basic and no user"]];
  if (use === "bearer" && user !== undefined) return [["user", "has use: bearer and a user: a bearer token has none"]];
  if (secret !== undefined && clientId === undefined) return [[secret, `has ${secret} and no clientId`]];
  if (grant === undefined && assertionFile !== undefined) {
    return [["assertionFile", "has an assertionFile and no grant, which is jwt-bearer, token-exchange, or client-credentials"]];
  }
  if (grant === "jwt-bearer" || grant === "token-exchange") return assertionFile === undefined ? [["grant", `has grant: ${grant} and no assertionFile`]] : [];
  if (secret !== undefined && assertionFile !== undefined) return [["assertionFile", `has ${secret} and assertionFile: one is enough`]];
  return secret === undefined && assertionFile === undefined ? [["tokenUrl", "has neither a clientSecret nor an assertionFile to show"]] : [];
}

function secretKeyOf({ clientSecret, clientSecretFromEnv, clientSecretFile }: ParsedOptions): string | undefined {
  return written({ clientSecret, clientSecretFromEnv, clientSecretFile })[0];
}

function isPlainHttp(url: string | undefined): boolean {
  return url !== undefined && /^http:\/\/(?!localhost[:/]|127\.|\[::1\])/i.test(url);
}

/** The keys that say something. */
function written(values: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [key]));
}

function findings(path: KeyPath, problems: readonly Problem[]): readonly Finding[] {
  return problems.map(([key, words]) => ({ path: [...path, key], message: `${formatKeyPath(path)} ${words}` }));
}
