/**
 * ClientMethods: from `auth` to the methods that a gate asks. A library is loaded when its method is configured, and a file is read
 * where it is needed, so that everything that can be wrong is found before anything is taken over.
 */
import { AccountDesk } from "./auth/account-desk.ts";
import type { KeyAnswer } from "./auth/api-key-service.ts";
import { openAccounts } from "./auth/accounts.ts";
import type { Authenticator, TellingPasswords } from "./auth/authenticator.ts";
import type { TokenIssuer } from "./auth/bearer.ts";
import type { ChallengeOptions } from "./auth/challenges.ts";
import type { DeviceLogins } from "./auth/device-logins.ts";
import { FailDelay } from "./auth/fail-delay.ts";
import type { GateOptions } from "./auth/gate.ts";
import type { Htpasswd } from "./auth/htpasswd.ts";
import type { Ldap, LdapService } from "./auth/ldap.ts";
import { OwnOrigin } from "./auth/own-origin.ts";
import type { SignInRoutes } from "./auth/sign-in.ts";
import type { TokenLoginsOptions } from "./auth/openid/token-logins.ts";
import type { Passwords } from "./auth/passwords.ts";
import type { TokenExchangeOptions } from "./auth/token-exchange.ts";
import { openBrowserSignIn, type BrowserSignIn, type BrowserSignInParts } from "./browser-sign-in.ts";
import type { ClientAuthConfig, LdapConfig } from "./config/client-auth-config.ts";
import type { Config } from "./config/config.ts";
import { readLdapCredentials } from "./config/ldap-credentials.ts";
import { readNamedFile } from "./config/named-file.ts";
import { readSecret } from "./config/named-secrets.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import { openIdentityProviders, readProviderFiles, type IdentityProviders } from "./identity-providers.ts";
import { openApiKeys, type OwnApiKeys } from "./own-api-keys.ts";
import { openOwnTokens, ownChallenge, type OwnTokensOptions, type TokenAnswer } from "./own-token-service.ts";
import { stampOf } from "./auth/standing.ts";
import { openRecords, openStrangersRecords } from "./open-records.ts";
import { openProviderGrants } from "./provider-grants.ts";
import { inWords, openTokenIssuers } from "./token-issuers.ts";

export interface ClientMethodsOptions extends OwnTokensOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** How clients are known: what lives longer than one set of rules. */
export interface ClientMethods extends Pick<GateOptions, "headerMethods" | "sessions" | "certificates" | "challenge" | "failDelay"> {
  readonly htpasswd: Htpasswd | undefined;
  /** Our own token service, or what gives workloads their tokens back, if there is either. */
  readonly answerTokenRequest: TokenAnswer | undefined;
  /** Where people make keys for themselves, if there are keys. */
  readonly answerKeyRequest: KeyAnswer | undefined;
  /** How terminals get keys, if there are keys. */
  readonly devices: DeviceLogins | undefined;
  /** Where pages ask for what is somebody's own, if anybody has anything. */
  readonly accounts: AccountDesk | undefined;
  /** How browsers come in and go out, if they do. */
  readonly signIn: SignInRoutes | undefined;
  close(): Promise<void>;
}

type Auth = Pick<Config, "externalUrl" | "statePath"> & { readonly auth: ClientAuthConfig };

/** Dials nobody. Throws `ConfigError`. Close them. */
export async function openClientMethods({ auth, externalUrl, statePath }: Auth, options: ClientMethodsOptions): Promise<ClientMethods> {
  const { clock, log, names } = options;
  const failDelay = new FailDelay({ delayMs: auth.failDelayMs, clock });
  const bearer = auth.bearer && (await openTokenIssuers(auth.bearer, options));
  const isOwn = auth.tokenService === "builtin";
  if (bearer && !isOwn) {
    // Tokens of others replace passwords and certificates, as in zot.
    const { realm, traditional } = auth.bearer ?? {};
    const own = ownChallenge(externalUrl);
    const challenge: ChallengeOptions = realm === undefined ? own : { kind: "bearer", realm: () => realm, service: traditional?.service ?? "" };
    const headerMethods = [await bearerOf(bearer.issuers, "refused")];
    const answerTokenRequest = bearer.workloads.length > 0 ? await openExchange(bearer.workloads, { realm: own.service, failDelay, clock }) : undefined;
    const nobodyElse = {
      certificates: undefined,
      htpasswd: undefined,
      answerKeyRequest: undefined,
      devices: undefined,
      accounts: undefined,
      signIn: undefined,
    };
    return { ...nobodyElse, headerMethods, challenge, failDelay, answerTokenRequest, close: () => bearer.close() };
  }
  const htpasswd = auth.htpasswd && (await openHtpasswd(auth.htpasswd.path, options));
  const directory = auth.ldap && (await openDirectory(auth.ldap, options));
  const records = await openRecords({ statePath, driver: auth.sessions.driver }, options);
  const strangers = openStrangersRecords({ statePath, driver: auth.sessions.driver }, records, options);
  const origin = new OwnOrigin({ externalUrl, secureSession: auth.sessions.isSecure, callbackAllowOrigins: auth.openid?.callbackAllowOrigins ?? [] });
  const apiKeys = auth.apiKeys
    ? await openApiKeys(
        // What providers say is known once there are keys to note it for.
        { records, strangers, htpasswd, own: origin, stampOf: (person) => stampOf(person, { htpasswd, grants }) },
        options,
      )
    : undefined;
  const identities = auth.openid && (await openIdentityProviders(auth.openid, { ...options, htpasswd, directory }));
  const passwords = htpasswd || directory || apiKeys ? await openPasswords(auth, { htpasswd, directory, apiKeys, identities }, options) : undefined;
  const grants = await openProviderGrants({ auth, statePath, records, providers: identities?.providers ?? [], people: apiKeys?.people }, options);
  const accounts = openAccounts({ htpasswd, directory, grants });
  const own = isOwn && passwords ? await openOwnTokens({ externalUrl, statePath, passwords, accounts, failDelay }, options) : undefined;
  const issuers = [...(bearer?.issuers ?? []), ...(identities?.tokens ?? []), ...(own ? [own.issuer] : [])];
  const browsers = await openBrowsers(
    { auth, own: origin, records, passwords, htpasswd, providers: identities?.providers ?? [], grants, failDelay, people: apiKeys?.people },
    options,
  );
  return {
    headerMethods: [...(issuers.length > 0 ? [await bearerOf(issuers, "left")] : []), ...(passwords ? [passwords] : [])],
    sessions: browsers?.authenticator,
    certificates: await openCertificates(auth),
    challenge: own?.challenge ?? { kind: "basic", realm: auth.realm },
    failDelay,
    htpasswd,
    answerTokenRequest: own?.answer,
    answerKeyRequest: apiKeys?.answer,
    devices: apiKeys?.devices,
    accounts: new AccountDesk({ keys: apiKeys && { ...apiKeys, log }, browsers: browsers && { ...browsers, log }, own: origin, names, clock, log }),
    signIn: browsers?.routes,
    async close() {
      passwords?.close();
      directory?.close();
      await Promise.all([
        bearer?.close(),
        identities?.close(),
        htpasswd?.[Symbol.asyncDispose](),
        strangers[Symbol.asyncDispose](),
        records[Symbol.asyncDispose](),
      ]);
    },
  };
}

/** Undefined: nobody could sign in. */
async function openBrowsers({ passwords, ...parts }: BrowserSignInParts, options: ClientMethodsOptions): Promise<BrowserSignIn | undefined> {
  const { auth, providers } = parts;
  // A key is for programs: whoever has nothing else has no password.
  const hasPasswords = auth.htpasswd !== undefined || auth.ldap !== undefined;
  return hasPasswords || providers.length > 0 ? await openBrowserSignIn({ ...parts, passwords: hasPasswords ? passwords : undefined }, options) : undefined;
}

/** What methods are made from: two configurations of one fingerprint are served by the same. The password file is followed by itself. Throws `ConfigError`. */
export async function fingerprintOf({ auth, externalUrl, statePath }: Auth, { environment }: Pick<ClientMethodsOptions, "environment">): Promise<string> {
  const { ldap, bearer } = auth;
  const paths = [
    ldap?.caCertPath,
    ldap?.bind?.kind === "file" ? ldap.bind.path : undefined,
    bearer?.traditional?.certPath,
    ...(bearer?.oidc.map(({ certificateAuthorityPath }) => certificateAuthorityPath) ?? []),
    auth.sessions.keysPath,
  ];
  const texts = await Promise.all(paths.map(async (path) => (path === undefined ? "" : await readNamedFile("auth", path))));
  const service = ldap && (await readService(ldap, environment));
  const { driver } = auth.sessions;
  const providers = auth.openid && (await readProviderFiles(auth.openid, environment));
  const secrets = [service?.password.reveal(), driver.kind === "redis" ? driver.url.reveal() : "", ...(providers ?? [])];
  return JSON.stringify([auth, externalUrl, statePath, texts, service?.dn, secrets]);
}

async function bearerOf(issuers: readonly TokenIssuer[], otherSchemes: "refused" | "left"): Promise<Authenticator> {
  const { BearerAuthenticator } = await import("./auth/bearer.ts");
  return new BearerAuthenticator({ issuers, otherSchemes });
}

async function openExchange(issuers: readonly TokenIssuer[], options: Omit<TokenExchangeOptions, "issuers">): Promise<TokenAnswer> {
  const { TokenExchange } = await import("./auth/token-exchange.ts");
  const exchange = new TokenExchange({ ...options, issuers });
  return (request, evidence) => exchange.handle(request, evidence);
}

async function openHtpasswd(path: string, { clock, log }: ClientMethodsOptions): Promise<Htpasswd> {
  const { Htpasswd: Users } = await import("./auth/htpasswd.ts");
  const text = await readNamedFile("auth.htpasswd.path", path);
  return await inWords("auth.htpasswd.path", () => new Users({ text, path, clock, log }));
}

async function openDirectory(ldap: LdapConfig, { clock, log, environment }: ClientMethodsOptions): Promise<Ldap> {
  const { address, caCertPath, bind: _, ...options } = ldap;
  const { openLdap } = await import("./auth/ldap.ts");
  const authority = caCertPath === undefined ? undefined : await readNamedFile("auth.ldap.caCert", caCertPath);
  const service = await readService(ldap, environment);
  return await inWords("auth.ldap", () => openLdap({ ...options, host: address, authority, service, clock, log }));
}

async function readService({ bind }: LdapConfig, environment: NodeJS.ProcessEnv): Promise<LdapService | undefined> {
  if (!bind) return undefined;
  if (bind.kind === "file") return readLdapCredentials("auth.ldap.credentialsFile", await readNamedFile("auth.ldap.credentialsFile", bind.path));
  return { dn: bind.dn, password: await readSecret(bind.password, { name: "auth.ldap.bindPassword", environment }) };
}

async function openPasswords(
  { failBudget }: ClientAuthConfig,
  { apiKeys, identities, ...backends }: PasswordParts,
  { clock, background, log }: ClientMethodsOptions,
): Promise<Passwords> {
  const { Passwords: Basic } = await import("./auth/passwords.ts");
  const onLogin = apiKeys?.onLogin ?? (() => {});
  const tokenLogins = identities && identities.tokens.length > 0 ? await openTokenLogins(identities, { onLogin, log }) : undefined;
  const telling = [...(apiKeys ? [apiKeys.logins] : []), ...(tokenLogins ? [tokenLogins] : [])];
  return new Basic({ ...backends, telling, onLogin, budget: failBudget, clock, background });
}

interface PasswordParts {
  readonly htpasswd: Htpasswd | undefined;
  readonly directory: Ldap | undefined;
  readonly apiKeys: OwnApiKeys | undefined;
  readonly identities: IdentityProviders | undefined;
}

async function openTokenLogins({ tokens }: IdentityProviders, how: Omit<TokenLoginsOptions, "providers">): Promise<TellingPasswords> {
  const { TokenLogins } = await import("./auth/openid/token-logins.ts");
  return new TokenLogins({ ...how, providers: tokens });
}

async function openCertificates({ mtls }: ClientAuthConfig): Promise<Authenticator | undefined> {
  if (!mtls) return undefined;
  const { MtlsAuthenticator } = await import("./auth/mtls.ts");
  return new MtlsAuthenticator(mtls);
}
