/** From `auth.openid` as it is written to what the program takes. Trusts what `openid-checks.ts` has checked. */
import { Secret } from "../oci/secret.ts";
import type { SecretSource } from "./credential-config.ts";
import type { IdentityProviderConfig, OpenidConfig, ProviderClientConfig } from "./openid-config.ts";
import { identityProviders, type IdentityProviderName, type ParsedIdentityProvider, type ParsedOpenid } from "./openid-schema.ts";

const wellKnownIssuers = { google: "https://accounts.google.com", gitlab: "https://gitlab.com" } as const;
const github = {
  authurl: "https://github.com/login/oauth/authorize",
  tokenurl: "https://github.com/login/oauth/access_token",
  apiurl: "https://api.github.com",
};
const titles = { oidc: "OpenID Connect", google: "Google", gitlab: "GitLab", github: "GitHub" } as const satisfies Record<IdentityProviderName, string>;

/** Undefined where no provider is named. */
export function openidOf(openid: ParsedOpenid | undefined): OpenidConfig | undefined {
  const providers = identityProviders.flatMap((name) => {
    const written = openid?.providers[name];
    return written ? [providerOf(name, written)] : [];
  });
  if (!openid || providers.length === 0) return undefined;
  return {
    providers,
    users: Object.fromEntries(Object.entries(openid.users).map(([name, email]) => [email.trim().toLowerCase(), name])),
    linksLdapMail: openid.linkLdapMail,
    callbackAllowOrigins: openid.callbackAllowOrigins,
    groupsTtlMs: openid.groupsTtl,
  };
}

/** Where a provider's tokens come from; undefined where nothing says. */
export function issuerOf(name: IdentityProviderName, { issuer, metadataUrl }: Pick<ParsedIdentityProvider, "issuer" | "metadataUrl">): string | undefined {
  if (issuer !== undefined || metadataUrl !== undefined || name === "oidc" || name === "github") return issuer;
  return wellKnownIssuers[name];
}

/** Whether only people count whose e-mail address the provider calls verified: where anybody may register, unless it is said otherwise. */
export function requiresVerifiedEmail(name: IdentityProviderName, { requireVerifiedEmail }: Pick<ParsedIdentityProvider, "requireVerifiedEmail">): boolean {
  return requireVerifiedEmail ?? name !== "oidc";
}

function providerOf(name: IdentityProviderName, written: ParsedIdentityProvider): IdentityProviderConfig {
  const { scopes, claimMapping, certificateAuthority, certificateAuthorityFile, redirectUri } = written;
  const shared = {
    title: written.name ?? titles[name],
    client: clientOf(written),
    claims: { username: claimMapping.username ?? "email", groups: claimMapping.groups ?? "groups" },
    requireVerifiedEmail: requiresVerifiedEmail(name, written),
    certificateAuthority,
    certificateAuthorityPath: certificateAuthorityFile,
    redirectUri,
  };
  if (name === "github") {
    const { authurl = github.authurl, tokenurl = github.tokenurl, apiurl = github.apiurl } = written;
    return { ...shared, name, scopes, authorizationUrl: authurl, tokenUrl: tokenurl, apiUrl: apiurl.replace(/\/+$/, "") };
  }
  const { metadataUrl, keypath, hostedDomain, userinfoCheck } = written;
  return {
    ...shared,
    name,
    scopes: scopes.includes("openid") ? scopes : ["openid", ...scopes],
    issuer: issuerOf(name, written),
    metadataUrl,
    keyPath: keypath,
    hostedDomain,
    userinfoCheck,
  };
}

function clientOf(written: ParsedIdentityProvider): ProviderClientConfig {
  if (written.credentialsFile !== undefined) return { kind: "file", path: written.credentialsFile };
  return { kind: "given", id: written.clientid ?? "", secret: secretOf(written) };
}

function secretOf({ clientsecret, clientsecretFromEnv, clientsecretFile }: ParsedIdentityProvider): SecretSource | undefined {
  if (clientsecret !== undefined) return { kind: "given", secret: new Secret(clientsecret) };
  if (clientsecretFromEnv !== undefined) return { kind: "environment", variable: clientsecretFromEnv };
  return clientsecretFile === undefined ? undefined : { kind: "file", path: clientsecretFile };
}
