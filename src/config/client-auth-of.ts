/** From `auth` and `accessControl` as they are written to what the program takes. Trusts what `client-auth-checks.ts` has checked. */
import { Secret } from "../oci/secret.ts";
import type { AccessControlConfig, BearerConfig, ClientAuthConfig, LdapConfig, MtlsConfig } from "./client-auth-config.ts";
import type { ParsedAccessControl, ParsedClientAuth } from "./client-auth-schema.ts";
import type { SecretSource } from "./credential-config.ts";
import { openidOf } from "./openid-of.ts";
import type { ParsedConfig } from "./schema.ts";
import { sessionConfigOf } from "./session-config.ts";

type ParsedLdap = NonNullable<ParsedClientAuth["ldap"]>;
type ParsedBearer = NonNullable<ParsedClientAuth["bearer"]>;

const defaultRealm = "Authorization Required";

/** Undefined while no method is configured: then nobody is asked who he is. */
export function clientAuthOf({ auth, http, serverTlsConfig }: ParsedConfig): ClientAuthConfig | undefined {
  const mtls = serverTlsConfig.clientAuth === "none" ? undefined : mtlsOf(auth.mtls);
  const openid = openidOf(auth.openid);
  if (!auth.htpasswd && !auth.ldap && !auth.bearer && !openid && !mtls && !auth.apikey) return undefined;
  return {
    realm: http.realm ?? defaultRealm,
    htpasswd: auth.htpasswd,
    ldap: auth.ldap && ldapOf(auth.ldap),
    mtls,
    bearer: auth.bearer && bearerOf(auth.bearer),
    openid,
    sessions: sessionConfigOf(auth),
    tokenService: auth.tokenService ?? "off",
    // As in zot: whoever signs in by a browser needs something to log in with elsewhere.
    apiKeys: auth.apikey || openid !== undefined,
    failDelayMs: auth.failDelay,
    failBudget: auth.failBudget,
  };
}

/** Undefined only where nothing is written: an empty one lets nobody in. */
export function accessControlOf(written: ParsedAccessControl | undefined): AccessControlConfig | undefined {
  if (!written) return undefined;
  const policyOf = ({ conditions, ...policy }: NonNullable<ParsedAccessControl["adminPolicy"]>) => ({
    ...policy,
    conditions: conditions.map((condition) =>
      typeof condition === "string" ? { expression: condition, message: undefined } : { expression: condition.expression, message: condition.message },
    ),
  });
  return {
    fetch: written.fetch,
    groups: written.groups,
    repositories: Object.fromEntries(
      Object.entries(written.repositories).map(([pattern, { policies, ...others }]) => [pattern, { ...others, policies: policies.map(policyOf) }]),
    ),
    adminPolicy: written.adminPolicy && policyOf(written.adminPolicy),
    metrics: written.metrics,
  };
}

/** Keycloak's own documents leave the last word of its address out. */
export function realmOf(written: string): string {
  return /\/docker-v2\/?$/.test(written) ? `${written.replace(/\/$/, "")}/auth` : written;
}

/** How a directory is spoken to, in zot's three words; port 389 says by itself that TLS comes later. */
export function ldapTransportOf({ startTLS, insecure, port }: Pick<ParsedLdap, "startTLS" | "insecure" | "port">): LdapConfig["transport"] {
  if (startTLS) return "starttls";
  if (insecure) return "plain";
  return port === 389 ? "starttls" : "ldaps";
}

function ldapOf(ldap: ParsedLdap): LdapConfig {
  const transport = ldapTransportOf(ldap);
  const { address, baseDN, userAttribute, userFilter, userGroupAttribute, mailAttribute, skipVerify, subtreeSearch, caCert } = ldap;
  return {
    address,
    port: ldap.port ?? (transport === "ldaps" ? 636 : 389),
    transport,
    baseDn: baseDN,
    userAttribute,
    userFilter,
    userGroupAttribute,
    mailAttribute,
    skipVerify,
    subtreeSearch,
    caCertPath: caCert,
    bind: bindOf(ldap),
  };
}

function bindOf(ldap: ParsedLdap): LdapConfig["bind"] {
  if (ldap.credentialsFile !== undefined) return { kind: "file", path: ldap.credentialsFile };
  const password = bindPasswordOf(ldap);
  return ldap.bindDN === undefined || !password ? undefined : { kind: "given", dn: ldap.bindDN, password };
}

function bindPasswordOf({ bindPassword, bindPasswordFromEnv, bindPasswordFile }: ParsedLdap): SecretSource | undefined {
  if (bindPassword !== undefined) return { kind: "given", secret: new Secret(bindPassword) };
  if (bindPasswordFromEnv !== undefined) return { kind: "environment", variable: bindPasswordFromEnv };
  return bindPasswordFile === undefined ? undefined : { kind: "file", path: bindPasswordFile };
}

function mtlsOf({
  identityAttributes,
  uriSanPattern,
  uriSanIndex,
  dnsSanIndex,
  emailSanIndex,
  crlFile,
}: Partial<NonNullable<ParsedClientAuth["mtls"]>> = {}): MtlsConfig {
  return {
    identityAttributes: identityAttributes ?? ["CommonName"],
    uriSanPattern,
    uriSanIndex: uriSanIndex ?? 0,
    dnsSanIndex: dnsSanIndex ?? 0,
    emailSanIndex: emailSanIndex ?? 0,
    crlPath: crlFile,
  };
}

function bearerOf({ realm, service, cert, jwksUri, issuer, oidc }: ParsedBearer): BearerConfig {
  const fullRealm = realm === undefined ? undefined : realmOf(realm);
  const hasKeys = cert !== undefined || jwksUri !== undefined;
  return {
    realm: fullRealm,
    traditional: fullRealm !== undefined && service !== undefined && hasKeys ? { realm: fullRealm, service, issuer, certPath: cert, jwksUri } : undefined,
    oidc: oidc.map(({ claimMapping, certificateAuthority, certificateAuthorityFile, ...trusted }) => ({
      ...trusted,
      certificateAuthority,
      certificateAuthorityPath: certificateAuthorityFile,
      claimMapping: {
        variables: claimMapping.variables,
        validations: claimMapping.validations.map(({ expression, message }) => ({ expression, message: message ?? expression })),
        username: claimMapping.username,
        groups: claimMapping.groups,
      },
    })),
  };
}
