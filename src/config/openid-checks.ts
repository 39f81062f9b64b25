/** What is wrong with `auth.openid` though each of its keys is right, and what of it is perhaps not meant. */
import type { ParsedAccessControl, ParsedClientAuth } from "./client-auth-schema.ts";
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import { issuerOf, requiresVerifiedEmail } from "./openid-of.ts";
import { identityProviders, type IdentityProviderName, type ParsedIdentityProvider, type ParsedOpenid } from "./openid-schema.ts";
import type { ParsedConfig } from "./schema.ts";

const path = ["auth", "openid"];

/** Everything because of which it cannot be used. */
export function checkOpenid({ openid, ldap }: Pick<ParsedClientAuth, "openid" | "ldap">): readonly Finding[] {
  if (!openid) return [];
  const named = namedProviders(openid);
  return [
    ...(named.length === 0 ? [{ path, message: `auth.openid names no provider: ${identityProviders.join(", ")}` }] : []),
    ...named.flatMap(([name, provider]) => problemsOf(name, provider).map(([key, words]) => finding([...path, "providers", name], key, words))),
    ...checkUsers(openid),
    ...(openid.linkLdapMail && !ldap
      ? [{ path: [...path, "linkLdapMail"], message: "auth.openid.linkLdapMail needs auth.ldap, whose people the addresses are to be of" }]
      : []),
  ];
}

/** What is allowed and yet perhaps not meant. */
export function noticesOfOpenid({
  auth: { openid },
  externalUrl,
  accessControl,
}: Pick<ParsedConfig, "auth" | "externalUrl" | "accessControl">): readonly Finding[] {
  if (!openid) return [];
  const named = namedProviders(openid);
  const isAddressOpen = named.some(([, { redirectUri }]) => redirectUri === undefined) && externalUrl === undefined;
  return [
    ...named.flatMap(([name, provider]) => noticesOfProvider(name, provider, openid).map(([key, words]) => finding([...path, "providers", name], key, words))),
    ...named.flatMap(([name, provider]) =>
      noticesOfNames(provider, openid, accessControl).map(([key, words]) => finding([...path, "providers", name], key, words)),
    ),
    ...(isAddressOpen
      ? [{ path, message: "auth.openid without externalUrl: browsers are sent back to whatever address they came by, which the provider must know" }]
      : []),
  ];
}

/** A key of a provider, and what is wrong with it: the words that follow the provider's path. */
type Problem = readonly [key: string, words: string];

function problemsOf(name: IdentityProviderName, provider: ParsedIdentityProvider): readonly Problem[] {
  const { clientid, credentialsFile, scopes, certificateAuthority, certificateAuthorityFile } = provider;
  const foreign = foreignKeys(name).filter((key) => provider[key] !== undefined);
  return [
    ...foreign.map((key): Problem => [key, `takes no ${key}`]),
    ...(clientid === undefined && credentialsFile === undefined ? [["clientid", "has no clientid (OIDC_CLIENT_ID), and no credentialsFile"] as const] : []),
    ...secretProblems(name, provider),
    ...issuerProblems(name, provider),
    ...(scopes.length === 0 ? [["scopes", `has no scopes: ${scopesToBegin[name]}`] as const] : []),
    ...(certificateAuthority !== undefined && certificateAuthorityFile !== undefined
      ? [["certificateAuthorityFile", "has certificateAuthority and certificateAuthorityFile: one is enough"] as const]
      : []),
  ];
}

const scopesToBegin = {
  oidc: "[openid, profile, email] gives a name and an address, at most providers groups too",
  google: "[openid, email] gives an address",
  gitlab: "[openid, profile, email] gives a name, an address and groups",
  github: '["read:org", "user:email"] gives an address and groups',
} as const satisfies Record<IdentityProviderName, string>;

/** Keys that would be read and mean nothing. */
function foreignKeys(name: IdentityProviderName): readonly (keyof ParsedIdentityProvider)[] {
  if (name === "github") return ["issuer", "metadataUrl", "keypath", "hostedDomain"];
  return ["authurl", "tokenurl", "apiurl", ...(name === "google" ? [] : ["hostedDomain" as const]), ...(name === "oidc" ? [] : ["metadataUrl" as const])];
}

function secretProblems(name: IdentityProviderName, provider: ParsedIdentityProvider): readonly Problem[] {
  const { clientsecret, clientsecretFromEnv, clientsecretFile, keypath, credentialsFile } = provider;
  const written = Object.entries({ clientsecret, clientsecretFromEnv, clientsecretFile, keypath }).flatMap(([key, value]) =>
    value === undefined ? [] : [key],
  );
  const [first, second] = written;
  if (credentialsFile !== undefined && first !== undefined && first !== "clientsecret") return [[first, `has credentialsFile and ${first}: one is enough`]];
  if (second !== undefined) return [[second, `has ${written.join(" and ")}: one is enough`]];
  if (name === "github" && credentialsFile === undefined && first === undefined)
    return [["clientsecret", "has no clientsecret, without which GitHub gives no token"]];
  return [];
}

function issuerProblems(name: IdentityProviderName, provider: ParsedIdentityProvider): readonly Problem[] {
  if (name === "github") {
    const { authurl, tokenurl } = provider;
    const isHalf = (authurl === undefined) !== (tokenurl === undefined);
    return isHalf ? [[authurl === undefined ? "tokenurl" : "authurl", "has authurl or tokenurl alone: GitHub Enterprise needs both, and apiurl"]] : [];
  }
  if (issuerOf(name, provider) === undefined && provider.metadataUrl === undefined)
    return [["issuer", "has no issuer (OIDC_SERVER_APPLICATION_URL), such as https://auth.example.com/application/o/registry/"]];
  return provider.issuer?.includes("?") ? [["issuer", "has an issuer with a query, which no provider has"]] : [];
}

function checkUsers({ users }: ParsedOpenid): readonly Finding[] {
  const seen = new Map<string, string>();
  return Object.entries(users).flatMap(([name, written]) => {
    const email = written.trim().toLowerCase();
    const other = seen.get(email);
    seen.set(email, name);
    const key = [...path, "users", name];
    if (name.trim() === "") return [{ path: key, message: "auth.openid.users has an empty name" }];
    if (!/^[^@\s]+@[^@\s]+$/.test(email)) return [{ path: key, message: `${formatKeyPath(key)} is no e-mail address` }];
    return other === undefined ? [] : [{ path: key, message: `${formatKeyPath(key)} has the e-mail address of ${other}: it can lead to one name only` }];
  });
}

function noticesOfProvider(name: IdentityProviderName, provider: ParsedIdentityProvider, { users }: ParsedOpenid): readonly Problem[] {
  const { claimMapping, credentialsFile, clientid, clientsecret } = provider;
  const urls = [issuerOf(name, provider), provider.metadataUrl, provider.authurl, provider.tokenurl, provider.apiurl];
  const isByEmail = (claimMapping.username ?? "email") === "email" || Object.keys(users).length > 0;
  return [
    ...(urls.some((url) => url !== undefined && isPlainHttp(url))
      ? [["issuer", "is reached by plain http: whoever is on the way can be anybody"] as const]
      : []),
    ...(!requiresVerifiedEmail(name, provider) && isByEmail
      ? [
          [
            "requireVerifiedEmail",
            "takes e-mail addresses that the provider does not call verified: with requireVerifiedEmail: true it takes no others. Authentik's own mapping for the scope email says " +
              "email_verified: False of everybody; it needs one that says True first",
          ] as const,
        ]
      : []),
    ...(credentialsFile !== undefined && (clientid !== undefined || clientsecret !== undefined)
      ? [["credentialsFile", "has clientid or clientsecret, which have no effect: credentialsFile wins"] as const]
      : []),
  ];
}

/** Claims that the provider itself sees to: nobody has another's. */
const uniqueClaims: ReadonlySet<string> = new Set(["email", "sub"]);
const namesShownMax = 5;

/** Whom policies name, and who is that person for being called so elsewhere. */
function noticesOfNames({ claimMapping }: ParsedIdentityProvider, { users }: ParsedOpenid, accessControl: ParsedAccessControl | undefined): readonly Problem[] {
  const { username = "email" } = claimMapping;
  const names = usersNamedBy(accessControl).filter((name) => !Object.hasOwn(users, name));
  if (uniqueClaims.has(username) || names.length === 0) return [];
  const shown = `${names.slice(0, namesShownMax).join(", ")}${names.length > namesShownMax ? ", ..." : ""}`;
  return [
    [
      "claimMapping",
      `takes names from the claim "${username}", which people choose for themselves at many providers: whoever is called so there is who is called so in accessControl (${shown}). ` +
        "List the e-mail addresses of those in auth.openid.users, or set claimMapping.username: email",
    ],
  ];
}

/** Each once, in the order in which they are written. */
function usersNamedBy(accessControl: ParsedAccessControl | undefined): readonly string[] {
  if (!accessControl) return [];
  const { repositories, adminPolicy, metrics, groups } = accessControl;
  const policies = [...Object.values(repositories).flatMap((entry) => entry.policies), ...(adminPolicy ? [adminPolicy] : []), ...Object.values(groups)];
  return [...new Set([...policies.flatMap(({ users }) => users), ...(metrics?.users ?? [])])];
}

/** To this machine it is as good as any. */
function isPlainHttp(url: string): boolean {
  return /^http:\/\/(?!localhost[:/]|127\.|\[::1\])/i.test(url);
}

function namedProviders({ providers }: ParsedOpenid): readonly (readonly [IdentityProviderName, ParsedIdentityProvider])[] {
  return identityProviders.flatMap((name) => {
    const provider = providers[name];
    return provider ? [[name, provider] as const] : [];
  });
}

function finding(provider: KeyPath, key: string, words: string): Finding {
  return { path: [...provider, key], message: `${formatKeyPath(provider)} ${words}` };
}
