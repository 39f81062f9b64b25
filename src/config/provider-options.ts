/** What each `auth.token.provider` can be told in `providerOpts`, and the short form of it: `profile=team-a,region=eu-west-1`. */
import type { RawMap } from "./yaml-source.ts";

const clientSecrets = ["clientSecret", "clientSecretFromEnv", "clientSecretFile"] as const;

/** The options of each provider. */
export const providerOptions = {
  ecr: ["profile", "region", "account", "roleArn", "externalId", "endpoint"],
  "ecr-public": ["profile", "roleArn", "externalId", "endpoint"],
  "docker-config": ["path"],
  exec: ["helper", "command", "args", "protocol"],
  gcp: ["keyFile", "use"],
  azure: ["identity", "tenantId", "clientId", ...clientSecrets, "federatedTokenFile", "authorityHost"],
  oauth2: ["tokenUrl", "grant", "clientId", ...clientSecrets, "assertionFile", "scope", "audience", "use", "user"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type ProviderName = keyof typeof providerOptions;

export const providerNames = ["ecr", "ecr-public", "docker-config", "exec", "gcp", "azure", "oauth2"] as const satisfies readonly ProviderName[];

const optionNames = new Map(Object.values(providerOptions).flatMap((names) => names.map((name): [string, string] => [name.toLowerCase(), name])));

export type OptionsText = { readonly kind: "read"; readonly options: RawMap } | { readonly kind: "failed"; readonly problem: string };

/**
 * `k=v,k=v` as a map: split at commas, then at the first `=`, blanks around both dropped. Names are known in any case (the Go
 * ociregistry's are), values stay as they are. What is wrong is said without quoting: it may be a piece of a secret. Never throws.
 */
export function readOptionsText(text: string): OptionsText {
  const options: Record<string, string> = Object.create(null);
  for (const [index, item] of text.split(",").entries()) {
    const at = item.indexOf("=");
    const written = item.slice(0, Math.max(0, at)).trim();
    const name = optionNames.get(written.toLowerCase());
    // What follows a comma inside a secret looks like an option that nobody knows.
    if (written === "" || (name === undefined && "clientSecret" in options)) return { kind: "failed", problem: notAnOption(index + 1) };
    if ((name ?? written) in options) return { kind: "failed", problem: `has ${name ?? "an option"} twice` };
    options[name ?? written] = item.slice(at + 1).trim();
  }
  return { kind: "read", options };
}

function notAnOption(position: number): string {
  return `must be name=value,name=value, and number ${position} of these is not; values with commas need the form of keys and values`;
}

/** `registries[0].auth.token.providerOpts has no option regoin: ecr takes profile, region, ...`. */
export function noSuchOption(optionsName: string, option: string, provider: ProviderName): string {
  return `${optionsName} has no option ${option}: ${provider} takes ${providerOptions[provider].join(", ")}`;
}

/** The provider that is written so, however its letters are cased. */
export function findProvider(written: unknown): ProviderName | undefined {
  return typeof written === "string" ? providerNames.find((name) => name === written.toLowerCase()) : undefined;
}
