/** The vocabulary of `auth.openid`: providers of identities, in zot's words and a few of our own. */
import { z } from "zod";
import { findDurationMs } from "./durations.ts";
import { flag, lifetime, serviceUrl, text, word } from "./scalars.ts";

/** The providers that zot knows. */
export const identityProviders = ["oidc", "google", "gitlab", "github"] as const;
export type IdentityProviderName = (typeof identityProviders)[number];

const claimMapping = z.strictObject({
  username: text.optional().describe("The claim that is the user's name. Default: email."),
  groups: text.optional().describe("The claim that holds the user's groups. Default: groups."),
});

/** How often a provider is asked whether an access token still counts: never, for each login, or after so many milliseconds. */
export type UserinfoCheck = "never" | "always" | number;

const userinfoCheckWords = "never, always, or every= and a duration such as every=60s";

const userinfoCheck = z.string({ error: `must be ${userinfoCheckWords}` }).transform((written, context): UserinfoCheck => {
  if (written === "" || written === "never") return "never";
  if (written === "always") return written;
  const everyMs = written.startsWith("every=") ? findDurationMs(written.slice("every=".length)) : undefined;
  if (everyMs !== undefined && everyMs > 0 && everyMs !== Infinity) return everyMs;
  context.issues.push({ code: "custom", input: written, message: `must be ${userinfoCheckWords}` });
  return z.NEVER;
});

/** Of all providers; which of them takes which is for `openid-checks.ts` to say. */
const provider = z.strictObject({
  name: text.optional().describe("What people read on the button. Default: the provider's name."),
  issuer: serviceUrl.optional().describe("The issuer, exactly as its tokens name it, with or without a slash at the end. github has none."),
  metadataUrl: serviceUrl.optional().describe("oidc: the address of the discovery document, where only that is known; the issuer is what it says."),
  clientid: text.optional().describe("Who we are to the provider."),
  clientsecret: text.optional().describe("The secret itself. Without one, and without keypath, we are a public client."),
  clientsecretFromEnv: text.optional().describe("The variable that holds the secret."),
  clientsecretFile: text.optional().describe("The file that holds the secret."),
  credentialsFile: text.optional().describe("A JSON or YAML file with clientid and clientsecret."),
  keypath: text.optional().describe("A PEM file of the private key that shows who we are (private_key_jwt), in place of a secret."),
  scopes: z.array(word).prefault([]).describe("What is asked for; openid is added where it is missing."),
  claimMapping: claimMapping.prefault({}).describe("Which claims become a name and groups."),
  requireVerifiedEmail: flag.optional().describe("Nobody without an e-mail address that the provider calls verified. Default: true, for oidc false."),
  hostedDomain: text.optional().describe("google: only people of this domain."),
  authurl: serviceUrl.optional().describe("github: where people log in, for GitHub Enterprise."),
  tokenurl: serviceUrl.optional().describe("github: where codes become tokens, for GitHub Enterprise."),
  apiurl: serviceUrl.optional().describe("github: the API, for GitHub Enterprise. Default: https://api.github.com."),
  certificateAuthority: text.optional().describe("PEM text of authorities that are trusted for the provider."),
  certificateAuthorityFile: text.optional().describe("The file with that text."),
  userinfoCheck: userinfoCheck
    .prefault("never")
    .describe("Whether the provider is asked about an access token that is shown as a password: never, always, or every=60s."),
  redirectUri: serviceUrl.optional().describe("Where browsers come back to. Default: externalUrl and /zot/auth/callback/ and the provider."),
});

export const openid = z.strictObject({
  providers: z
    .strictObject({
      oidc: provider.optional().describe("Any OpenID provider: Authentik, Keycloak, dex."),
      google: provider.optional().describe("Google."),
      gitlab: provider.optional().describe("GitLab."),
      github: provider.optional().describe("GitHub."),
    })
    .prefault({})
    .describe("Who knows people."),
  users: z.record(z.string(), word).prefault({}).describe("The e-mail address of each person who has a name of ours, by that name."),
  linkLdapMail: flag
    .prefault(false)
    .describe("Whether whose verified e-mail address one person of auth.ldap has is that person, with the directory's groups too."),
  callbackAllowOrigins: z.array(word).prefault([]).describe("Other origins that people may be sent back to after logging in."),
  groupsTtl: lifetime.prefault("15m").describe("How old somebody's groups may be before the provider is asked again; -1 for never."),
});

export type ParsedOpenid = z.output<typeof openid>;
export type ParsedIdentityProvider = z.output<typeof provider>;
