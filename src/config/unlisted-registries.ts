/** What holds for registries that the configuration does not list. */
import type { Config, UnlistedPolicy } from "./config.ts";

export interface UnlistedDecision {
  readonly policy: UnlistedPolicy;
  /** A clause for people: "no registry has credentials". */
  readonly because: string;
}

/**
 * `unlistedRegistries` as written; else `public` in air-gapped mode; else `deny` as soon as a registry is private (somebody who may ask us would borrow our
 * credentials) or clients are told apart, or an HTTP proxy connects in our place (then nobody checks the addresses that names lead to); else `public`.
 */
export function resolveUnlisted(
  config: Pick<Config, "unlistedRegistries" | "airGapped" | "registries" | "auth" | "authIsEmpty" | "accessControl">,
  environment: NodeJS.ProcessEnv,
): UnlistedDecision {
  if (config.unlistedRegistries) return { policy: config.unlistedRegistries, because: `unlistedRegistries is ${config.unlistedRegistries}` };
  if (config.airGapped) return { policy: "public", because: "in air-gapped mode nobody is asked, and what was carried in is served" };
  const withCredentials = registriesWithCredentials(config);
  if (withCredentials.length > 0) return { policy: "deny", because: `there are credentials for ${withCredentials.join(", ")}` };
  if (config.auth) return { policy: "deny", because: "clients are asked who they are" };
  if (config.authIsEmpty) return { policy: "deny", because: "there is an auth, though it names no way to log in" };
  if (config.accessControl) return { policy: "deny", because: "there is an accessControl" };
  const proxy = proxyVariables.find((variable) => environment[variable]);
  if (proxy) return { policy: "deny", because: `${proxy} is set, and behind a proxy addresses cannot be checked` };
  return { policy: "public", because: "no registry has credentials" };
}

/** The names of registries for which we hold a credential or a client certificate. */
export function registriesWithCredentials({ registries }: Pick<Config, "registries">): readonly string[] {
  const isPrivate = ({ auth, credentials, tls, endpoints }: Config["registries"][number]): boolean =>
    auth !== undefined ||
    credentials.length > 0 ||
    tls?.cert !== undefined ||
    endpoints.some((endpoint) => endpoint.auth !== undefined || endpoint.tls?.cert !== undefined);
  return registries.filter(isPrivate).map(({ name }) => name);
}

const proxyVariables = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] as const;
