/**
 * Azure Container Registry: an Entra token is shown at the registry's own `/oauth2/exchange`, which gives a refresh token; the
 * registry's token service then sells access tokens for that, repository by repository.
 */
import type { Clock } from "../oci/clock.ts";
import type { CredentialProvider } from "./credentials.ts";
import { fetchEntraToken, type EntraLibrary } from "./entra-tokens.ts";
import { parseJsonObject, type JsonObject } from "./json-object.ts";
import { askTokenEndpoint, tokenIn, type SendRequest } from "./token-endpoint.ts";
import type { AzureOptions } from "./upstream-options.ts";

/** How long a refresh token is documented to live, for one that does not say. */
const lifeMsDefault = 3 * 3_600_000;

export interface AzureContext {
  /** The registry's origin: no other gets the Entra token. */
  readonly registry: URL;
  readonly send: SendRequest;
  readonly clock: Clock;
  readonly userAgent: string;
  /** Brings Microsoft's library. */
  readonly load?: () => Promise<EntraLibrary>;
}

/**
 * Refresh tokens of the registry. They are identity tokens, not passwords: a POST to `/oauth2/token` is what Azure documents, it keeps
 * them out of headers, and a service that knows only GET still gets them by our second attempt.
 */
export function azureProvider(
  options: AzureOptions,
  { registry, send, clock, userAgent, load = () => import("@azure/identity") }: AzureContext,
): CredentialProvider {
  const who = `azure ${registry.host} as ${nameOf(options)}`;
  const endpoint = { url: new URL("/oauth2/exchange", registry), send, clock, userAgent, who };
  return {
    description: who,
    async fetch(signal) {
      const entraToken = await fetchEntraToken({ options, who, load, signal });
      const { tid } = claimsOf(entraToken);
      const tenant = options.tenantId ?? (typeof tid === "string" ? tid : undefined);
      const form = { grant_type: "access_token", service: registry.host, access_token: entraToken, ...(tenant === undefined ? {} : { tenant }) };
      const answer = await askTokenEndpoint(endpoint, { form, secrets: [entraToken], cure: () => cure }, signal);
      const token = tokenIn(answer, "refresh_token", endpoint);
      return { content: { kind: "identity", token }, expiresAtMs: clock.now() + lifeMs(token) };
    },
  };
}

const cure = "is it an Azure registry of this tenant, has the identity the role AcrPull, and do its network rules let us in?";

function nameOf({ identity, clientId }: AzureOptions): string {
  const kind = { managed: "managed identity", "service-principal": "service principal", workload: "workload identity" } as const;
  return [identity === undefined ? "whom Azure's default chain finds" : kind[identity], clientId].filter((part) => part !== undefined).join(" ");
}

/** How long it lives by its own clock: ours may differ. */
function lifeMs(token: string): number {
  const { exp, iat } = claimsOf(token);
  const lifeSeconds = typeof exp === "number" && typeof iat === "number" ? exp - iat : 0;
  return lifeSeconds > 0 ? lifeSeconds * 1_000 : lifeMsDefault;
}

/** What a JWT says, unverified: it is for somebody else. Empty for what is none. */
function claimsOf(token: string): JsonObject {
  return parseJsonObject(Buffer.from(token.split(".")[1] ?? "", "base64url")) ?? {};
}
