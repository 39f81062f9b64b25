/**
 * Guards: from `auth` and `accessControl` to the gate that the server asks, and what a reload exchanges of it. Libraries of methods
 * that are not configured are never loaded.
 */
import { readAccess, type Access } from "./access.ts";
import type { Authenticator } from "./auth/authenticator.ts";
import type { TokenIssuer } from "./auth/bearer.ts";
import { FailDelay } from "./auth/fail-delay.ts";
import { Gate, type GateOptions } from "./auth/gate.ts";
import type { Htpasswd } from "./auth/htpasswd.ts";
import type { Ldap, LdapService } from "./auth/ldap.ts";
import type { Passwords } from "./auth/passwords.ts";
import type { BearerConfig, ClientAuthConfig, LdapConfig } from "./config/client-auth-config.ts";
import { ConfigError } from "./config/config-error.ts";
import type { Config } from "./config/config.ts";
import { readLdapCredentials } from "./config/ldap-credentials.ts";
import { readNamedFile } from "./config/named-file.ts";
import { readSecret } from "./config/named-secrets.ts";
import { packageVersion } from "./config/package-version.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { RegistryNames } from "./oci/registry-names.ts";
import { proxiesOf } from "./rules.ts";
import { OperatorFetch } from "./upstream/operator-fetch.ts";

export interface GuardsOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  readonly names: () => RegistryNames;
}

/** How clients are known: what lives longer than one set of rules. */
interface Methods extends Pick<GateOptions, "headerMethods" | "certificates" | "challenge" | "failDelay"> {
  /** What of the configuration it was made from. */
  readonly fingerprint: string;
  readonly htpasswd: Htpasswd | undefined;
  close(): Promise<void>;
}

/** What a configuration becomes, ready to be taken over. */
export interface PreparedGuards {
  readonly config: Config;
  readonly access: Access | undefined;
  readonly methods: Methods | undefined;
  readonly gate: Gate | undefined;
}

export class Guards {
  readonly #options: GuardsOptions;
  #current: PreparedGuards | undefined;

  constructor(options: GuardsOptions) {
    this.#options = options;
  }

  /** Undefined: everybody is let in. */
  get gate(): Gate | undefined {
    return this.#current?.gate;
  }

  /** Reads everything that the configuration names. What is the same as now is kept, with all that it remembers. Throws `ConfigError`. */
  async prepare(config: Config, names: RegistryNames): Promise<PreparedGuards> {
    const access = await readAccess(config, names);
    const methods = await this.#prepareMethods(config);
    return { config, access, methods, gate: this.#gateOf(methods, access) };
  }

  /** From now on this is asked. */
  async adopt(prepared: PreparedGuards): Promise<void> {
    const before = this.#current?.methods;
    this.#current = prepared;
    if (before && before !== prepared.methods) await before.close();
    if (before && before === prepared.methods) await this.reloadPasswords();
  }

  /** Gives up what was prepared and is not taken over. */
  async discard({ methods }: PreparedGuards): Promise<void> {
    if (methods && methods !== this.#current?.methods) await methods.close();
  }

  /** The password file says something else. A broken one changes nothing, and the log says why. Never rejects. */
  async reloadPasswords(): Promise<void> {
    const { config, methods } = this.#current ?? {};
    const path = config?.auth?.htpasswd?.path;
    if (path === undefined || !methods?.htpasswd) return;
    try {
      methods.htpasswd.reload(await readNamedFile("auth.htpasswd.path", path));
    } catch (error) {
      this.#options.log.error({ path, problem: wordsOf(error) }, "password file cannot be read: the users stay as they were");
    }
  }

  async close(): Promise<void> {
    await this.#current?.methods?.close();
  }

  #gateOf(methods: Methods | undefined, access: Access | undefined): Gate | undefined {
    if (!methods && !access) return undefined;
    const { clock, names } = this.#options;
    const open = { headerMethods: [], certificates: undefined, challenge: { kind: "basic", realm: "Authorization Required" } as const };
    const { headerMethods, certificates, challenge, failDelay } = methods ?? { ...open, failDelay: new FailDelay({ delayMs: 0, clock }) };
    return new Gate({
      headerMethods,
      certificates,
      challenge,
      failDelay,
      names,
      now: () => clock.now(),
      access: access && { policy: access.policy, hasConditions: hasConditions(access) },
    });
  }

  async #prepareMethods(config: Config): Promise<Methods | undefined> {
    const { auth, externalUrl } = config;
    if (!auth) return undefined;
    const fingerprint = await this.#fingerprintOf(auth, externalUrl);
    if (this.#current?.methods?.fingerprint === fingerprint) return this.#current.methods;
    return auth.bearer ? await this.#tokenMethods(auth, auth.bearer, fingerprint) : await this.#passwordMethods(auth, fingerprint);
  }

  /** Secrets and the files that methods read once count as what they say; the password file is followed by itself. */
  async #fingerprintOf(auth: ClientAuthConfig, externalUrl: string | undefined): Promise<string> {
    const paths = [auth.ldap?.caCertPath, auth.ldap?.bind?.kind === "file" ? auth.ldap.bind.path : undefined, auth.bearer?.traditional?.certPath];
    const authorities = auth.bearer?.oidc.map(({ certificateAuthorityPath }) => certificateAuthorityPath) ?? [];
    const texts = await Promise.all([...paths, ...authorities].map(async (path) => (path === undefined ? "" : await readNamedFile("auth", path))));
    const bind = auth.ldap && (await this.#serviceOf(auth.ldap));
    return JSON.stringify([auth, externalUrl, texts, bind?.dn, bind?.password.reveal()]);
  }

  async #passwordMethods(auth: ClientAuthConfig, fingerprint: string): Promise<Methods> {
    const { clock, log, background } = this.#options;
    const htpasswd = auth.htpasswd && (await this.#htpasswdOf(auth.htpasswd.path));
    const directory = auth.ldap && (await this.#directoryOf(auth.ldap));
    const passwords = htpasswd || directory ? await this.#passwordsOf(auth, htpasswd, directory) : undefined;
    return {
      fingerprint,
      headerMethods: passwords ? [passwords] : [],
      certificates: await certificatesOf(auth),
      challenge: { kind: "basic", realm: auth.realm },
      failDelay: new FailDelay({ delayMs: auth.failDelayMs, clock }),
      htpasswd,
      async close() {
        passwords?.close();
        directory?.close();
        if (htpasswd) background.run("closing the password file", htpasswd[Symbol.asyncDispose]());
        log.debug({}, "methods of authentication closed");
      },
    };
  }

  async #htpasswdOf(path: string): Promise<Htpasswd> {
    const { clock, log } = this.#options;
    const { Htpasswd: Users } = await import("./auth/htpasswd.ts");
    const text = await readNamedFile("auth.htpasswd.path", path);
    return inWords("auth.htpasswd.path", () => new Users({ text, path, clock, log }));
  }

  async #directoryOf(ldap: LdapConfig): Promise<Ldap> {
    const { clock, log } = this.#options;
    const { address, caCertPath, bind: _, ...options } = ldap;
    const { openLdap } = await import("./auth/ldap.ts");
    const authority = caCertPath === undefined ? undefined : await readNamedFile("auth.ldap.caCert", caCertPath);
    const service = await this.#serviceOf(ldap);
    return await inWords("auth.ldap", () => openLdap({ ...options, host: address, authority, service, clock, log }));
  }

  async #serviceOf({ bind }: LdapConfig): Promise<LdapService | undefined> {
    if (!bind) return undefined;
    if (bind.kind === "file") return readLdapCredentials("auth.ldap.credentialsFile", await readNamedFile("auth.ldap.credentialsFile", bind.path));
    return { dn: bind.dn, password: await readSecret(bind.password, { name: "auth.ldap.bindPassword", environment: this.#options.environment }) };
  }

  async #passwordsOf(auth: ClientAuthConfig, htpasswd: Htpasswd | undefined, directory: Ldap | undefined): Promise<Passwords> {
    const { clock, background } = this.#options;
    const { Passwords: Basic } = await import("./auth/passwords.ts");
    return new Basic({ htpasswd, directory, budget: auth.failBudget, clock, background });
  }

  /** Tokens of others replace passwords and certificates, as in zot. */
  async #tokenMethods(auth: ClientAuthConfig, bearer: BearerConfig, fingerprint: string): Promise<Methods> {
    const { clock } = this.#options;
    const fetches: OperatorFetch[] = [];
    const issuers = [...(await this.#workloadIssuers(bearer, fetches)), ...(await this.#traditionalIssuers(bearer, fetches))];
    const { BearerAuthenticator } = await import("./auth/bearer.ts");
    const { realm, traditional } = bearer;
    return {
      fingerprint,
      headerMethods: [new BearerAuthenticator({ issuers, otherSchemes: "refused" }) satisfies Authenticator],
      certificates: undefined,
      challenge: { kind: "bearer", realm: () => realm, service: traditional?.service ?? "" },
      failDelay: new FailDelay({ delayMs: auth.failDelayMs, clock }),
      htpasswd: undefined,
      async close() {
        await Promise.all(fetches.map((fetch) => fetch.close()));
      },
    };
  }

  async #traditionalIssuers({ traditional }: BearerConfig, fetches: OperatorFetch[]): Promise<readonly TokenIssuer[]> {
    if (!traditional) return [];
    const { clock, log, background } = this.#options;
    const { AccessTokens } = await import("./auth/access-tokens.ts");
    const { TokenVerifier } = await import("./auth/token-verifier.ts");
    const { parseTokenKeys } = await import("./auth/token-keys.ts");
    const { RemoteKeys } = await import("./auth/remote-keys.ts");
    const { fetchJson } = await import("./auth/json-fetch.ts");
    const { certPath, jwksUri, issuer, service } = traditional;
    const verifierOf = (keys: ConstructorParameters<typeof TokenVerifier>[0]["keys"]): TokenIssuer =>
      new AccessTokens({ verifier: new TokenVerifier({ keys, issuer, audiences: [service], clock }), clock, method: "bearer" });
    if (certPath !== undefined) {
      const text = await readNamedFile("auth.bearer.cert", certPath);
      return [verifierOf(inWords(`auth.bearer.cert: ${certPath}`, () => parseTokenKeys(text)))];
    }
    const { fetch } = this.#fetch(undefined, fetches);
    const source = jwksUri ?? "";
    return [verifierOf(new RemoteKeys({ source, load: () => fetchJson(source, { fetch, clock }), clock, background, log }))];
  }

  async #workloadIssuers({ oidc }: BearerConfig, fetches: OperatorFetch[]): Promise<readonly TokenIssuer[]> {
    if (oidc.length === 0) return [];
    const { clock, log, background } = this.#options;
    const { WorkloadTokens } = await import("./auth/workload-tokens.ts");
    const { loadClaimMapping } = await import("./auth/claim-mapping.ts");
    return await Promise.all(
      oidc.map(async ({ claimMapping, certificateAuthority, certificateAuthorityPath: path, ...trusted }, at) => {
        const key = `auth.bearer.oidc[${at}]`;
        const ca = path === undefined ? certificateAuthority : await readNamedFile(`${key}.certificateAuthorityFile`, path);
        const mapping = await inWords(`${key}.claimMapping`, () => loadClaimMapping(claimMapping));
        return new WorkloadTokens({ ...trusted, mapping, fetch: this.#fetch(ca, fetches).fetch, clock, background, log });
      }),
    );
  }

  #fetch(ca: string | undefined, fetches: OperatorFetch[]): OperatorFetch {
    const { clock, background, environment } = this.#options;
    const fetch = new OperatorFetch({ ca, proxy: proxiesOf(environment), userAgent: `ociregistry/${packageVersion()}`, clock, background });
    fetches.push(fetch);
    return fetch;
  }
}

/** What guards a server, in a few words for its first lines. */
export function methodsOf({ auth, accessControl }: Pick<Config, "auth" | "accessControl">): readonly string[] {
  if (!auth) return accessControl ? ["accessControl for people without a name"] : [];
  if (auth.bearer) return [...(auth.bearer.traditional ? ["bearer tokens"] : []), ...(auth.bearer.oidc.length > 0 ? ["workload tokens"] : [])];
  return [
    ...(auth.tokenService === "builtin" ? ["our own tokens"] : []),
    ...(auth.htpasswd ? ["htpasswd"] : []),
    ...(auth.ldap ? ["ldap"] : []),
    ...(auth.mtls ? ["client certificates"] : []),
  ];
}

async function certificatesOf({ mtls }: ClientAuthConfig): Promise<Authenticator | undefined> {
  if (!mtls) return undefined;
  const { MtlsAuthenticator } = await import("./auth/mtls.ts");
  return new MtlsAuthenticator(mtls);
}

function hasConditions({ rules: { repositories, adminPolicy } }: Access): boolean {
  const policies = [...repositories.flatMap(({ policies: own }) => own), ...(adminPolicy ? [adminPolicy] : [])];
  return policies.some(({ conditions }) => conditions.length > 0);
}

/** `make`, whose complaint becomes one about the configuration. */
function inWords<Made>(key: string, make: () => Made): Made {
  const told = (error: unknown): ConfigError => (error instanceof ConfigError ? error : new ConfigError([`${key}: ${wordsOf(error)}`], { cause: error }));
  try {
    const made = make();
    if (made instanceof Promise) {
      return made.catch((error: unknown) => {
        throw told(error);
      }) as Made;
    }
    return made;
  } catch (error) {
    throw told(error);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
