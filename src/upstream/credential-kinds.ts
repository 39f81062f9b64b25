/** The kinds of credentials there are: from what the configuration says to the source that gives it. A new kind is one case here and a file of its own. */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { Secret } from "../oci/secret.ts";
import { ecrProvider, ecrPublicProvider, type AwsContext } from "./aws.ts";
import { azureProvider } from "./azure.ts";
import { helperExpiryMs, helperProvider } from "./credential-helper.ts";
import { anonymous, passwordSource, type CredentialProvider, type CredentialSource } from "./credentials.ts";
import { DockerConfigCredentials } from "./docker-config.ts";
import { findEcrHost } from "./ecr-host.ts";
import { gcpProvider } from "./gcp.ts";
import { gcpJsonKeySource } from "./gcp-json-key.ts";
import { KubeletCredentials } from "./kubelet-credentials.ts";
import { oauth2Provider } from "./oauth2.ts";
import { ScopedCredentials } from "./scoped-credentials.ts";
import { staticTokenSource } from "./static-token.ts";
import type { SendRequest } from "./token-endpoint.ts";
import type { TokenManagers } from "./token-managers.ts";
import type { AzureOptions, CredentialOptions, FetchedOptions, Oauth2Options, UpstreamRegistryOptions, UpstreamTls } from "./upstream-options.ts";

/** Opens connections to one place that the operator named. */
export type Connect = (to: URL, tls: UpstreamTls | undefined) => { send: SendRequest; close(): Promise<void> };

export interface CredentialContext {
  /** The registry that the credential is for. */
  readonly host: RegistryHost;
  /** Where it is. */
  readonly origin: URL;
  readonly tls: UpstreamTls | undefined;
  readonly managers: TokenManagers;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  readonly userAgent: string;
}

/** The source of a registry's credential: its own, and those for some of its repositories. When it throws, nothing is left of it. */
export function credentialsOf({ auth, scopedAuth = [] }: Pick<UpstreamRegistryOptions, "auth" | "scopedAuth">, context: CredentialContext): CredentialSource {
  using undo = new DisposableStack();
  const open = (credential: CredentialOptions): CredentialSource => undo.adopt(credentialSource(credential, context), (source) => source.close());
  const own = auth ? open(auth.credential) : anonymous;
  const scopes = scopedAuth.map(({ matches, auth: { credential } }) => ({ matches, source: open(credential) }));
  undo.move();
  return scopes.length === 0 ? own : new ScopedCredentials(scopes, own);
}

function credentialSource(options: CredentialOptions, context: CredentialContext): CredentialSource {
  switch (options.kind) {
    case "password":
      return passwordSource(options);
    case "static":
      return staticTokenSource(options);
    case "docker-config":
      return new DockerConfigCredentials({ ...options, ...context });
    case "exec":
      return execSource(options, context);
    case "gcp":
      return options.use === "json-key" ? gcpJsonKeySource(options, context) : managed(options, context, () => gcpProvider(options));
    case "oauth2":
      return managed(options, context, () => oauth2(options, context), [context.origin.protocol, context.tls?.ca]);
    case "ecr":
      return managed(options, context, () => ecrProvider(options, awsContext(context)), findEcrHost(context.host));
    case "ecr-public":
      return managed(options, context, () => ecrPublicProvider(options, awsContext(context)));
    case "azure":
      return managed(options, context, () => azure(options, context), [context.origin.origin, context.tls]);
    default:
      return options satisfies never;
  }
}

/** A provider's credentials, kept fresh; those who want the same (of the same `registry`, where that matters) share them. */
function managed(
  options: CredentialOptions & FetchedOptions,
  { managers }: CredentialContext,
  provider: () => CredentialProvider,
  registry?: unknown,
): CredentialSource {
  return managers.use({ key: credentialKey([options, registry]), provider, expiryMs: options.expiryMs });
}

function execSource(options: CredentialOptions & { readonly kind: "exec" }, context: CredentialContext): CredentialSource {
  if (options.protocol === "kubelet") return new KubeletCredentials({ ...options, ...context });
  const { host, clock } = context;
  const withLife = { ...options, expiryMs: options.expiryMs ?? helperExpiryMs };
  return managed(withLife, context, () => helperProvider({ ...options, host, clock }), host);
}

function awsContext({ host, connect, clock }: CredentialContext): AwsContext {
  return { host, connect: (origin) => connect(origin, undefined), clock };
}

function azure(options: AzureOptions, { origin, tls, connect, clock, userAgent }: CredentialContext): CredentialProvider {
  const connection = connect(origin, tls);
  const provider = azureProvider(options, { registry: origin, send: (request) => connection.send(request), clock, userAgent });
  return { ...provider, close: () => connection.close() };
}

function oauth2(options: Oauth2Options, { origin, tls, connect, clock, userAgent }: CredentialContext): CredentialProvider {
  // Who may vouch for the registry may vouch for what stands beside it; the registry's own client certificate goes nowhere else.
  const connection = connect(URL.parse(options.tokenUrl) ?? origin, tls?.ca === undefined ? undefined : { ca: tls.ca });
  const provider = oauth2Provider(options, { registry: origin, send: (request) => connection.send(request), clock, userAgent });
  return { ...provider, close: () => connection.close() };
}

/** All that makes two credentials the same, secrets included: for comparing, never for showing. */
export function credentialKey(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    const held = this[key];
    return held instanceof Secret ? { secret: held.reveal() } : shown;
  });
}
