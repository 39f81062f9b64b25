/** TokenIssuers: from `auth.bearer` to those whose tokens are taken: a token service of Docker's kind, and issuers of workload tokens. */
import type { TokenIssuer } from "./auth/bearer.ts";
import type { TokenKeys } from "./auth/token-keys.ts";
import type { BearerConfig } from "./config/client-auth-config.ts";
import { ConfigError } from "./config/config-error.ts";
import { readNamedFile } from "./config/named-file.ts";
import { packageVersion } from "./config/package-version.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import { proxiesOf } from "./rules.ts";
import { OperatorFetch } from "./upstream/operator-fetch.ts";

export interface TokenIssuersOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

export interface TokenIssuers {
  /** In the order in which they are asked. */
  readonly issuers: readonly TokenIssuer[];
  /** Those of them whose tokens say who it is, and nothing of what it may do. */
  readonly workloads: readonly TokenIssuer[];
  close(): Promise<void>;
}

/** Dials nobody. Throws `ConfigError`. Close them. */
export async function openTokenIssuers(bearer: BearerConfig, options: TokenIssuersOptions): Promise<TokenIssuers> {
  const fetches: OperatorFetch[] = [];
  const fetchBy = (ca: string | undefined): OperatorFetch => {
    const { environment, clock, background } = options;
    const fetch = new OperatorFetch({ ca, proxy: proxiesOf(environment), userAgent: `ociregistry/${packageVersion()}`, clock, background });
    fetches.push(fetch);
    return fetch;
  };
  const workloads = await workloadIssuers(bearer, fetchBy, options);
  return {
    issuers: [...workloads, ...(await traditionalIssuer(bearer, fetchBy, options))],
    workloads,
    async close() {
      await Promise.all(fetches.map((fetch) => fetch.close()));
    },
  };
}

type FetchBy = (ca: string | undefined) => OperatorFetch;

async function traditionalIssuer({ traditional }: BearerConfig, fetchBy: FetchBy, options: TokenIssuersOptions): Promise<readonly TokenIssuer[]> {
  if (!traditional) return [];
  const { AccessTokens } = await import("./auth/access-tokens.ts");
  const { TokenVerifier } = await import("./auth/token-verifier.ts");
  const { certPath, jwksUri, issuer, service } = traditional;
  const { clock } = options;
  const keys = certPath === undefined ? await remoteKeys(jwksUri ?? "", fetchBy, options) : await keysIn(certPath);
  return [new AccessTokens({ verifier: new TokenVerifier({ keys, issuer, audiences: [service], clock }), clock, method: "bearer" })];
}

async function keysIn(path: string): Promise<TokenKeys> {
  const { parseTokenKeys } = await import("./auth/token-keys.ts");
  const text = await readNamedFile("auth.bearer.cert", path);
  return inWords(`auth.bearer.cert: ${path}`, () => parseTokenKeys(text));
}

async function remoteKeys(source: string, fetchBy: FetchBy, { clock, background, log }: TokenIssuersOptions): Promise<TokenKeys> {
  const { RemoteKeys } = await import("./auth/remote-keys.ts");
  const { fetchJson } = await import("./auth/json-fetch.ts");
  const { fetch } = fetchBy(undefined);
  return new RemoteKeys({ source, load: () => fetchJson(source, { fetch, clock }), clock, background, log });
}

async function workloadIssuers({ oidc }: BearerConfig, fetchBy: FetchBy, { clock, log, background }: TokenIssuersOptions): Promise<readonly TokenIssuer[]> {
  if (oidc.length === 0) return [];
  const { WorkloadTokens } = await import("./auth/workload-tokens.ts");
  const { loadClaimMapping } = await import("./auth/claim-mapping.ts");
  return await Promise.all(
    oidc.map(async ({ claimMapping, certificateAuthority, certificateAuthorityPath: path, ...trusted }, at) => {
      const key = `auth.bearer.oidc[${at}]`;
      const ca = path === undefined ? certificateAuthority : await readNamedFile(`${key}.certificateAuthorityFile`, path);
      const mapping = await inWords(`${key}.claimMapping`, () => loadClaimMapping(claimMapping));
      return new WorkloadTokens({ ...trusted, mapping, fetch: fetchBy(ca).fetch, clock, background, log });
    }),
  );
}

/** What `make` gives; its complaint becomes one about the configuration's `key`. */
export async function inWords<Made>(key: string, make: () => Made | Promise<Made>): Promise<Made> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`${key}: ${error instanceof Error ? error.message : String(error)}`], { cause: error });
  }
}
