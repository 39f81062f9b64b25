/** What is wrong with `auth` and `accessControl` though each of their keys is right, and what of it is perhaps not meant. */
import { clientAuthOf, ldapTransportOf, realmOf } from "./client-auth-of.ts";
import type { ParsedClientAuth } from "./client-auth-schema.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { checkOpenid, noticesOfOpenid } from "./openid-checks.ts";
import type { ParsedConfig } from "./schema.ts";
import { checkSessions, noticesOfSessions } from "./session-config.ts";

/** Everything because of which it cannot be used. */
export function checkClientAuth(parsed: ParsedConfig): readonly Finding[] {
  const { auth } = parsed;
  return [
    ...checkBearer(auth.bearer),
    ...checkLdap(auth.ldap),
    ...checkOpenid(auth),
    ...checkSessions(auth),
    ...checkMtls(parsed),
    ...checkTokenService(parsed),
    ...checkExternalUrl(parsed),
  ];
}

/** What is allowed and yet perhaps not meant. */
export function noticesOfClientAuth(parsed: ParsedConfig, isWritten: (path: KeyPath) => boolean): readonly Finding[] {
  const { auth, accessControl } = parsed;
  const method = clientAuthOf(parsed);
  return [
    ...ldapNotices(auth.ldap),
    ...bearerNotices(auth),
    ...noticesOfOpenid(parsed),
    ...noticesOfSessions(auth),
    ...(accessControl && !method
      ? [notice(["accessControl"], "accessControl without a method of authentication: nobody has a name, so only anonymousPolicy can match")]
      : []),
    ...(!method && !accessControl && isWritten(["auth"])
      ? [notice(["auth"], "auth names no way to log in: nobody is asked who he is, and everybody may pull from the registries that are listed")]
      : []),
    ...(!method && Object.keys(auth).some((key) => key === "mtls") && auth.mtls
      ? [notice(["auth", "mtls"], "auth.mtls has no effect: clients are asked for no certificate")]
      : []),
  ];
}

function checkBearer(bearer: ParsedClientAuth["bearer"]): readonly Finding[] {
  if (!bearer) return [];
  const path = ["auth", "bearer"];
  const { realm, service, cert, jwksUri, oidc } = bearer;
  const wantsTokens = service !== undefined || cert !== undefined || jwksUri !== undefined;
  if (!wantsTokens && oidc.length > 0) return oidc.flatMap((issuer, at) => checkIssuer(issuer, [...path, "oidc", at]));
  const missing = [
    ...(realm === undefined ? ["realm"] : []),
    ...(service === undefined ? ["service"] : []),
    ...(cert === undefined && jwksUri === undefined ? ["cert (or jwksUri)"] : []),
  ];
  const first = realm === undefined ? (service === undefined ? "cert" : "service") : "realm";
  return [
    ...(cert !== undefined && jwksUri !== undefined
      ? [{ path: [...path, "jwksUri"], message: "auth.bearer has cert and jwksUri: one says whose tokens count" }]
      : []),
    ...(missing.length === 0 ? [] : [{ path: [...path, first], message: `auth.bearer has no ${missing.join(" and no ")}: nothing could be checked by it` }]),
    ...oidc.flatMap((issuer, at) => checkIssuer(issuer, [...path, "oidc", at])),
  ];
}

function checkIssuer(issuer: NonNullable<ParsedClientAuth["bearer"]>["oidc"][number], path: KeyPath): readonly Finding[] {
  const { audiences, certificateAuthority, certificateAuthorityFile } = issuer;
  const key = formatKeyPath(path);
  return [
    ...(audiences.length === 0 ? [{ path: [...path, "audiences"], message: `${key}.audiences is empty: a token for anybody would do` }] : []),
    ...(certificateAuthority !== undefined && certificateAuthorityFile !== undefined
      ? [{ path: [...path, "certificateAuthorityFile"], message: `${key} has certificateAuthority and certificateAuthorityFile: one is enough` }]
      : []),
  ];
}

function checkLdap(ldap: ParsedClientAuth["ldap"]): readonly Finding[] {
  if (!ldap) return [];
  const path = ["auth", "ldap"];
  const passwords = Object.entries({
    bindPassword: ldap.bindPassword,
    bindPasswordFromEnv: ldap.bindPasswordFromEnv,
    bindPasswordFile: ldap.bindPasswordFile,
  }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  const [first, second] = passwords;
  if (second !== undefined) return [{ path: [...path, second], message: `auth.ldap has ${passwords.join(" and ")}: one is enough` }];
  if (ldap.credentialsFile !== undefined) return [];
  if (ldap.bindDN !== undefined && first === undefined) return [{ path: [...path, "bindDN"], message: "auth.ldap has a bindDN and no bindPassword" }];
  if (ldap.bindDN === undefined && first !== undefined) return [{ path: [...path, first], message: `auth.ldap has a ${first} and no bindDN` }];
  return [];
}

function checkMtls({ auth: { mtls }, serverTlsConfig }: ParsedConfig): readonly Finding[] {
  if (!mtls) return [];
  const path = ["auth", "mtls"];
  if (serverTlsConfig.clientAuth === "none") {
    return [{ path, message: "auth.mtls needs clients that are asked for a certificate: serverTlsConfig.clientAuth with a ca, or http.tls.cacert" }];
  }
  const { uriSanPattern, identityAttributes = ["CommonName"] } = mtls;
  const findings: Finding[] = [];
  if (uriSanPattern !== undefined && !identityAttributes.includes("URI")) {
    findings.push({ path: [...path, "uriSanPattern"], message: "auth.mtls.uriSanPattern has no effect: identityAttributes does not name URI" });
  }
  const problem = uriSanPattern === undefined ? undefined : problemOfPattern(uriSanPattern);
  if (problem !== undefined) findings.push({ path: [...path, "uriSanPattern"], message: `auth.mtls.uriSanPattern is no regular expression: ${problem}` });
  return findings;
}

function problemOfPattern(pattern: string): string | undefined {
  try {
    new RegExp(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function checkTokenService({ auth }: ParsedConfig): readonly Finding[] {
  if (auth.tokenService !== "builtin") return [];
  const path = ["auth", "tokenService"];
  if (auth.bearer?.realm !== undefined) return [{ path, message: "auth.tokenService and auth.bearer.realm name two places for tokens: one is enough" }];
  if (auth.htpasswd || auth.ldap || auth.openid || auth.apikey) return [];
  return [{ path, message: "auth.tokenService has nobody to give tokens to: it takes logins by htpasswd, ldap, openid or apikey" }];
}

function checkExternalUrl({ externalUrl }: ParsedConfig): readonly Finding[] {
  if (externalUrl === undefined) return [];
  const { protocol, username, password, search, hash } = URL.parse(externalUrl) ?? {};
  const isUrl = (protocol === "https:" || protocol === "http:") && !username && !password && !search && !hash;
  return isUrl ? [] : [{ path: ["externalUrl"], message: "externalUrl must be a url such as https://registry.example.com" }];
}

function ldapNotices(ldap: ParsedClientAuth["ldap"]): readonly Finding[] {
  if (!ldap) return [];
  const path = ["auth", "ldap"];
  const transport = ldapTransportOf(ldap);
  return [
    ...(transport === "starttls" && !ldap.startTLS
      ? [
          notice(
            [...path, "port"],
            "auth.ldap: port 389 with neither startTLS nor insecure: StartTLS is used, and a directory that offers none gets no password",
          ),
        ]
      : []),
    ...(transport === "plain" ? [notice([...path, "insecure"], "auth.ldap: passwords travel to the directory without TLS")] : []),
    ...(ldap.skipVerify ? [notice([...path, "skipVerify"], "auth.ldap: any certificate is trusted for the directory")] : []),
    ...(ldap.credentialsFile !== undefined && ldap.bindDN !== undefined
      ? [notice([...path, "bindDN"], "auth.ldap.bindDN has no effect: credentialsFile wins")]
      : []),
  ];
}

function bearerNotices({ bearer, htpasswd, ldap, apikey, openid, tokenService }: ParsedClientAuth): readonly Finding[] {
  if (!bearer) return [];
  const path = ["auth", "bearer"];
  const { realm } = bearer;
  return [
    ...(realm !== undefined && realmOf(realm) !== realm
      ? [notice([...path, "realm"], `auth.bearer.realm: taken as ${realmOf(realm)}, where Keycloak answers`)]
      : []),
    ...((htpasswd || ldap || apikey) && tokenService !== "builtin"
      ? [notice(path, "auth.bearer replaces passwords: htpasswd, ldap and apikey are not asked")]
      : []),
    ...(openid && tokenService !== "builtin" ? [notice(path, "auth.bearer replaces auth.openid: nobody signs in, and access tokens do not count")] : []),
  ];
}

function notice(path: KeyPath, message: string): Finding {
  return { path, message };
}
