/** IdentityProviders: from `auth.openid` to those who know people: for browsers that are sent there, and for programs that show their tokens. */
import type { DirectoryPeople } from "./auth/directory-people.ts";
import type { Htpasswd } from "./auth/htpasswd.ts";
import type { OutboundFetch } from "./auth/json-fetch.ts";
import type { ClientKey } from "./auth/openid/client-proof.ts";
import type { PersonRules } from "./auth/openid/person.ts";
import type { IdentityProvider } from "./auth/openid/provider.ts";
import type { ProviderTokens } from "./auth/openid/provider-tokens.ts";
import { ConfigError } from "./config/config-error.ts";
import { readNamedFile } from "./config/named-file.ts";
import { readSecret } from "./config/named-secrets.ts";
import type { GithubConfig, IdentityProviderConfig, OpenidConfig, OpenidProviderConfig } from "./config/openid-config.ts";
import { readProviderCredentials } from "./config/openid-credentials.ts";
import { packageVersion } from "./config/package-version.ts";
import type { Secret } from "./oci/secret.ts";
import { proxiesOf } from "./rules.ts";
import { inWords, type TokenIssuersOptions } from "./token-issuers.ts";
import { OperatorFetch } from "./upstream/operator-fetch.ts";

export interface IdentityProviders {
  /** In the order in which they are shown. */
  readonly providers: readonly IdentityProvider[];
  /** Of those that give tokens that can be checked here. */
  readonly tokens: readonly ProviderTokens[];
  close(): Promise<void>;
}

interface Opened {
  readonly provider: IdentityProvider;
  readonly tokens: ProviderTokens | undefined;
}

type Client = { readonly id: string; readonly secret: Secret | undefined };

export interface IdentityProvidersOptions extends TokenIssuersOptions {
  /** Undefined: there is no file of passwords. */
  readonly htpasswd: Pick<Htpasswd, "stampOf"> | undefined;
  /** Undefined: there is none. */
  readonly directory: DirectoryPeople | undefined;
}

/**
 * Whether a name of the file of passwords is somebody else's than whom a provider calls so. At a provider for all the world people choose names as they
 * like, and write addresses that they need not have. At a provider of one's own (`oidc`), as in a directory, the same name is the same person, as in
 * zot: the file is how people come in while it is away.
 */
function isOfFileAt({ name: provider, claims }: Pick<OpenidConfig["providers"][number], "name" | "claims">, htpasswd: Pick<Htpasswd, "stampOf"> | undefined) {
  if (provider === "oidc") return () => false;
  const choosesNames = claims.username !== "email" && claims.username !== "sub";
  return (name: string, isVerified: boolean): boolean => (choosesNames || !isVerified) && htpasswd?.stampOf(name) !== undefined;
}

/** Dials nobody. Throws `ConfigError`. Close them. */
export async function openIdentityProviders({ providers, users, linksLdapMail }: OpenidConfig, options: IdentityProvidersOptions): Promise<IdentityProviders> {
  const fetches: OperatorFetch[] = [];
  const names = new Map(Object.entries(users));
  const directory = linksLdapMail ? options.directory : undefined;
  const close = async (): Promise<void> => void (await Promise.all(fetches.map((fetch) => fetch.close())));
  const outcomes = await Promise.allSettled(
    providers.map(async (config): Promise<Opened> => {
      const ca = await readAuthority(config);
      const { environment, clock, background } = options;
      const outbound = await inWords(`${keyOf(config)}.certificateAuthority`, () => {
        return new OperatorFetch({ ca, proxy: proxiesOf(environment), userAgent: `ociregistry/${packageVersion()}`, clock, background });
      });
      fetches.push(outbound);
      const client = await readClient(config, environment);
      const common = { claims: config.claims, requireVerifiedEmail: config.requireVerifiedEmail, users: names, directory };
      const rules = { ...common, isOfFile: isOfFileAt(config, options.htpasswd) };
      if (config.name === "github") return await openGithub(config, { client, rules: { ...rules, hostedDomain: undefined }, fetch: outbound.fetch }, options);
      return await openOpenid(config, { client, rules: { ...rules, hostedDomain: config.hostedDomain }, fetch: outbound.fetch }, options);
    }),
  );
  const opened: Opened[] = [];
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") opened.push(outcome.value);
    else {
      await close();
      throw outcome.reason;
    }
  }
  return { providers: opened.map(({ provider }) => provider), tokens: opened.flatMap(({ tokens }) => tokens ?? []), close };
}

/** What the files and variables that it names say: when it is another, so are the providers. Throws `ConfigError`. */
export async function readProviderFiles({ providers }: OpenidConfig, environment: NodeJS.ProcessEnv): Promise<readonly (string | undefined)[]> {
  const texts = providers.map(async (config) => {
    const { id, secret } = await readClient(config, environment);
    const keyPath = config.name === "github" ? undefined : config.keyPath;
    return [id, secret?.reveal(), await readAuthority(config), keyPath === undefined ? undefined : await readNamedFile(`${keyOf(config)}.keypath`, keyPath)];
  });
  return (await Promise.all(texts)).flat();
}

interface Parts {
  readonly client: Client;
  readonly rules: PersonRules;
  readonly fetch: OutboundFetch;
}

async function openGithub(config: GithubConfig, { client, rules, fetch }: Parts, { clock, log }: TokenIssuersOptions): Promise<Opened> {
  const { Github } = await import("./auth/openid/github.ts");
  const { title, redirectUri, scopes, authorizationUrl, tokenUrl, apiUrl } = config;
  if (!client.secret) throw new ConfigError([`${keyOf(config)} has no clientsecret, without which GitHub gives no token`]);
  const provider = new Github({
    title,
    redirectUri,
    clientId: client.id,
    clientSecret: client.secret,
    scopes,
    authorizationUrl,
    tokenUrl,
    apiUrl,
    rules,
    fetch,
    clock,
    log,
  });
  return { provider, tokens: undefined };
}

async function openOpenid(config: OpenidProviderConfig, { client, rules, fetch }: Parts, options: TokenIssuersOptions): Promise<Opened> {
  const { clock, background, log } = options;
  const { Discovery } = await import("./auth/openid/discovery.ts");
  const { OpenidProvider } = await import("./auth/openid/openid-provider.ts");
  const { ProviderTokens: Tokens } = await import("./auth/openid/provider-tokens.ts");
  const { name, title, redirectUri, issuer, metadataUrl, keyPath, scopes, userinfoCheck } = config;
  const discovery = new Discovery({ name, issuer, metadataUrl, fetch, clock, background, log });
  const tokens = new Tokens({ name, clientId: client.id, discovery, rules, userinfoCheck, fetch, clock, background, log });
  const proof = client.secret ?? (keyPath === undefined ? undefined : await readClientKey(`${keyOf(config)}.keypath`, keyPath));
  const provider = new OpenidProvider({ name, title, redirectUri, clientId: client.id, proof, scopes, rules, discovery, tokens, fetch, clock });
  return { provider, tokens };
}

async function readClient(config: IdentityProviderConfig, environment: NodeJS.ProcessEnv): Promise<Client> {
  const { client } = config;
  const key = keyOf(config);
  if (client.kind === "file") return readProviderCredentials(`${key}.credentialsFile`, await readNamedFile(`${key}.credentialsFile`, client.path));
  return { id: client.id, secret: client.secret && (await readSecret(client.secret, { name: `${key}.clientsecret`, environment })) };
}

async function readClientKey(key: string, path: string): Promise<ClientKey> {
  const { parseClientKey } = await import("./auth/openid/client-proof.ts");
  const pem = await readNamedFile(key, path);
  return await inWords(`${key}: ${path}`, () => parseClientKey(pem));
}

async function readAuthority(config: IdentityProviderConfig): Promise<string | undefined> {
  const { certificateAuthority, certificateAuthorityPath: path } = config;
  return path === undefined ? certificateAuthority : await readNamedFile(`${keyOf(config)}.certificateAuthorityFile`, path);
}

function keyOf({ name }: IdentityProviderConfig): string {
  return `auth.openid.providers.${name}`;
}
