/** The kinds of credentials there are: from what the configuration says to the source that gives it. A new kind is one case here and a file of its own. */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { Secret } from "../oci/secret.ts";
import { anonymous, passwordSource, type CredentialSource } from "./credentials.ts";
import { ScopedCredentials } from "./scoped-credentials.ts";
import { staticTokenSource } from "./static-token.ts";
import type { TokenManagers } from "./token-managers.ts";
import type { CredentialOptions, UpstreamRegistryOptions } from "./upstream-options.ts";

export interface CredentialContext {
  /** The registry that the credential is for. */
  readonly host: RegistryHost;
  readonly managers: TokenManagers;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** The source of a registry's credential: its own, and those for some of its repositories. */
export function credentialsOf({ auth, scopedAuth = [] }: Pick<UpstreamRegistryOptions, "auth" | "scopedAuth">, context: CredentialContext): CredentialSource {
  const own = auth ? credentialSource(auth.credential, context) : anonymous;
  if (scopedAuth.length === 0) return own;
  const scopes = scopedAuth.map(({ matches, auth: { credential } }) => ({ matches, source: credentialSource(credential, context) }));
  return new ScopedCredentials(scopes, own);
}

function credentialSource(options: CredentialOptions, context: CredentialContext): CredentialSource {
  switch (options.kind) {
    case "password":
      return passwordSource(options);
    case "static":
      return staticTokenSource(options);
    default:
      throw new Error(`not supported yet: credentials of the kind ${options.kind} for ${context.host}`);
  }
}

/** All that makes two credentials the same, secrets included: for comparing, never for showing. */
export function credentialKey(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    const held = this[key];
    return held instanceof Secret ? { secret: held.reveal() } : shown;
  });
}
