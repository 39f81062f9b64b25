/**
 * Guards: from `auth` and `accessControl` to the gate that the server asks, and what a reload exchanges of it while requests run.
 */
import { readAccess, type Access } from "./access.ts";
import type { AccountDesk } from "./auth/account-desk.ts";
import type { KeyAnswer } from "./auth/api-key-service.ts";
import type { DeviceLogins } from "./auth/device-logins.ts";
import { FailDelay } from "./auth/fail-delay.ts";
import { Gate } from "./auth/gate.ts";
import type { SignInRoutes } from "./auth/sign-in.ts";
import { fingerprintOf, openClientMethods, type ClientMethods } from "./client-methods.ts";
import type { Config } from "./config/config.ts";
import { readNamedFile } from "./config/named-file.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { RegistryNames } from "./oci/registry-names.ts";
import type { TokenAnswer } from "./own-token-service.ts";

export interface GuardsOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** What registries are called now. */
  readonly names: () => RegistryNames;
}

/** What a configuration becomes, ready to be taken over. */
export interface PreparedGuards {
  readonly config: Config;
  readonly access: Access | undefined;
  readonly methods: ClientMethods | undefined;
  readonly fingerprint: string | undefined;
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

  /** Our own token service, if there is one. */
  get answerTokenRequest(): TokenAnswer | undefined {
    return this.#current?.methods?.answerTokenRequest;
  }

  /** Where people make keys for themselves, if there are keys. */
  get answerKeyRequest(): KeyAnswer | undefined {
    return this.#current?.methods?.answerKeyRequest;
  }

  /** How terminals get keys, if there are keys. */
  get devices(): DeviceLogins | undefined {
    return this.#current?.methods?.devices;
  }

  /** Where pages ask for what is somebody's own, if anybody has anything. */
  get accounts(): AccountDesk | undefined {
    return this.#current?.methods?.accounts;
  }

  /** How browsers come in and go out, if they do. */
  get signInRoutes(): SignInRoutes | undefined {
    return this.#current?.methods?.signIn;
  }

  /** Reads everything that the configuration names. What is the same as now is kept, with all that it remembers. Throws `ConfigError`. */
  async prepare(config: Config, names: RegistryNames): Promise<PreparedGuards> {
    const access = await readAccess(config, names);
    const { auth, externalUrl, statePath } = config;
    if (!auth) return { config, access, methods: undefined, fingerprint: undefined, gate: this.#gateOf(undefined, access) };
    const fingerprint = await fingerprintOf({ auth, externalUrl, statePath }, this.#options);
    const known = this.#current?.fingerprint === fingerprint ? this.#current.methods : undefined;
    const options = { ...this.#options, access: () => this.#current?.access };
    const methods = known ?? (await openClientMethods({ auth, externalUrl, statePath }, options));
    return { config, access, methods, fingerprint, gate: this.#gateOf(methods, access) };
  }

  /** From now on this is asked. Resolves when what was asked before is closed, or the passwords are read again. Never rejects. */
  async adopt(prepared: PreparedGuards): Promise<void> {
    const before = this.#current?.methods;
    this.#current = prepared;
    if (!before) return;
    if (before !== prepared.methods) this.#options.background.run("closing what clients were told apart by", before.close());
    // While all was prepared the file may have changed, and those that are gone by now were told of it.
    await this.reloadPasswords();
  }

  /** Gives up what was prepared and is not taken over. */
  async discard({ methods }: PreparedGuards): Promise<void> {
    if (methods !== this.#current?.methods) await methods?.close();
  }

  /** The password file says something else. One that is broken or gone changes nothing, and the log says why. Never rejects. */
  async reloadPasswords(): Promise<void> {
    const { config, methods } = this.#current ?? {};
    const path = config?.auth?.htpasswd?.path;
    if (path === undefined || !methods?.htpasswd) return;
    try {
      methods.htpasswd.reload(await readNamedFile("auth.htpasswd.path", path));
    } catch (error) {
      this.#options.log.error({ path, error }, "password file cannot be read: the users stay as they were");
    }
  }

  async close(): Promise<void> {
    await this.#current?.methods?.close();
  }

  #gateOf(methods: ClientMethods | undefined, access: Access | undefined): Gate | undefined {
    if (!methods && !access) return undefined;
    const { clock, names } = this.#options;
    return new Gate({ ...(methods ?? noMethods(clock)), access, names, now: () => clock.now() });
  }
}

/** Nobody has a name then: what is open to those without one is open, nothing else. */
function noMethods(clock: Clock): Pick<ClientMethods, "headerMethods" | "certificates" | "challenge" | "failDelay"> {
  return {
    headerMethods: [],
    certificates: undefined,
    challenge: { kind: "basic", realm: "Authorization Required" },
    failDelay: new FailDelay({ delayMs: 0, clock }),
  };
}

/** What an operator wants to know of it at the start, in a line or two. */
export function tellGuards({ config, access }: PreparedGuards, log: Log): void {
  const methods = methodsOf(config);
  // Whoever wrote something about clients is not told that everything is open to them.
  if (config.authIsEmpty && !access)
    log.warn({}, "auth names no way to log in: everybody who can reach this port may pull from the registries that are listed");
  else if (methods.length === 0) log.info({}, "open: everybody who can reach this port may pull");
  else log.info({ methods: methods.join(", "), accessControl: access !== undefined }, "guarded: clients are asked who they are");
  for (const notice of access?.notices ?? []) log.warn({ notice }, "accessControl");
  const asksByBasic =
    (config.auth?.htpasswd !== undefined || config.auth?.ldap !== undefined || config.auth?.apiKeys === true) &&
    !config.auth?.bearer &&
    config.auth?.tokenService !== "builtin";
  if (asksByBasic && access?.policy.anonymousReach() === "some") {
    log.info(
      { setting: "auth.tokenService: builtin" },
      "docker without a login cannot pull what is open to all, since Basic has it log in first: with the setting it can",
    );
  }
}

/** In a few words. */
function methodsOf({ auth, accessControl }: Pick<Config, "auth" | "accessControl">): readonly string[] {
  if (!auth) return accessControl ? ["accessControl for people without a name"] : [];
  if (auth.bearer) return [...(auth.bearer.traditional ? ["bearer tokens"] : []), ...(auth.bearer.oidc.length > 0 ? ["workload tokens"] : [])];
  return [
    ...(auth.tokenService === "builtin" ? ["our own tokens"] : []),
    ...(auth.htpasswd ? ["htpasswd"] : []),
    ...(auth.ldap ? ["ldap"] : []),
    ...(auth.openid ? [`OpenID providers (${auth.openid.providers.map(({ name }) => name).join(", ")})`] : []),
    ...(auth.apiKeys ? ["API keys"] : []),
    ...(auth.mtls ? ["client certificates"] : []),
  ];
}
