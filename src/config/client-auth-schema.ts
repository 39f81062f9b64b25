/** The vocabulary of `auth`, `accessControl` and `http`: zot's words for who is asking and who may pull what, and a few of our own. */
import { z } from "zod";
import { openid } from "./openid-schema.ts";
import { sessionDriver } from "./session-schema.ts";
import { choice, endingDuration, flag, optionalChoice, origins, port, serviceUrl, text, wholeNumber, word } from "./scalars.ts";

const anything = z.record(z.string(), z.unknown(), { error: "must hold keys and values" });
const names = z.array(word);
const budget = wholeNumber(0, 1_000_000);
const index = wholeNumber(0, 100).prefault(0);

const htpasswd = z.strictObject({ path: word.describe("The file of users and hashes.") });

const ldap = z.strictObject({
  address: word.describe("The directory's host."),
  port: port.optional().describe("Its port. Default: 636, or 389 with startTLS or insecure."),
  baseDN: word.describe("Below which users are looked for."),
  userAttribute: word.describe("The attribute that holds a user's name."),
  userFilter: text.optional().describe("A filter that users must match too."),
  userGroupAttribute: text.optional().describe("The attribute that holds a user's groups."),
  mailAttribute: word.prefault("mail").describe("The attribute that holds a user's e-mail addresses, for auth.openid.linkLdapMail."),
  insecure: flag.prefault(false).describe("Speak without TLS."),
  startTLS: flag.prefault(false).describe("Begin without TLS and change to it before anything is said."),
  skipVerify: flag.prefault(false).describe("Trust any certificate."),
  subtreeSearch: flag.prefault(false).describe("Look in all levels below baseDN, not in one only."),
  caCert: text.optional().describe("PEM file of authorities that are trusted beside the system's."),
  credentialsFile: text.optional().describe("A JSON or YAML file with bindDN and bindPassword."),
  bindDN: text.optional().describe("Who searches."),
  bindPassword: text.optional().describe("The password itself."),
  bindPasswordFromEnv: text.optional().describe("The variable that holds the password."),
  bindPasswordFile: text.optional().describe("The file that holds the password."),
});

const claimMapping = z.strictObject({
  variables: z
    .array(z.strictObject({ name: word.describe("Its name."), expression: word.describe("Its value, in CEL.") }))
    .prefault([])
    .describe("Values that later expressions use."),
  validations: z
    .array(z.strictObject({ expression: word.describe("What must be true, in CEL."), message: text.optional().describe("What the log says when it is not.") }))
    .prefault([])
    .describe("What must hold of a token."),
  username: text.optional().describe("The user's name, in CEL. Default: iss, a slash, sub."),
  groups: text.optional().describe("The user's groups, in CEL."),
});

const workloadIssuer = z.strictObject({
  issuer: serviceUrl.describe("The issuer, exactly as its tokens name it."),
  audiences: names.describe("Of which a token must name one."),
  claimMapping: claimMapping.prefault({}).describe("How claims become a name and groups."),
  certificateAuthority: text.optional().describe("PEM text of authorities that are trusted for the issuer."),
  certificateAuthorityFile: text.optional().describe("The file with that text."),
  skipIssuerVerification: flag.prefault(false).describe("Accept tokens that name another issuer."),
});

const bearer = z.strictObject({
  realm: serviceUrl.optional().describe("Where clients get tokens."),
  service: text.optional().describe("The audience of those tokens."),
  cert: text.optional().describe("What signs them: a file with a PEM certificate or public key, or with a JWKS."),
  jwksUri: serviceUrl.optional().describe("Where what signs them is to be had."),
  issuer: text.optional().describe("Their issuer, exactly. Empty: any."),
  oidc: z.array(workloadIssuer).prefault([]).describe("Issuers of workload tokens."),
  awsSecretsManager: anything.prefault({}).describe("What signs them, kept in AWS."),
  upstreamTokenEndpoint: anything.prefault({}).describe("Where token requests are passed on to."),
});

/** zot's names for what a certificate says, and the one of them that is used from here on. */
const identityAttributes = {
  commonname: "CommonName",
  cn: "CommonName",
  subject: "Subject",
  dn: "Subject",
  email: "Email",
  rfc822name: "Email",
  uri: "URI",
  url: "URI",
  dnsname: "DNSName",
  dns: "DNSName",
} as const;

const identityAttribute = z.preprocess(
  (written) => (typeof written === "string" ? (new Map<string, string>(Object.entries(identityAttributes)).get(written.toLowerCase()) ?? written) : written),
  choice(["CommonName", "Subject", "Email", "URI", "DNSName"]),
);

const mtls = z.strictObject({
  identityAttributes: z
    .array(identityAttribute)
    .min(1, { error: "must name one at least" })
    .optional()
    .describe("Where the name stands; the first that is there."),
  uriSanPattern: text.optional().describe("A regular expression for the whole URI; its first group is the name."),
  uriSanIndex: index.describe("Which of several URIs."),
  dnsSanIndex: index.describe("Which of several DNS names."),
  emailSanIndex: index.describe("Which of several e-mail addresses."),
  crlFile: text.optional().describe("PEM file of revocation lists."),
});

const failBudget = z.strictObject({
  perUser: budget.prefault(30).describe("For one user from one address; 0 for any number."),
  perAddress: budget.prefault(600).describe("From one address; 0 for any number."),
});

export const clientAuth = z.strictObject({
  htpasswd: htpasswd.optional().describe("Users in a file."),
  ldap: ldap.optional().describe("Users in a directory."),
  bearer: bearer.optional().describe("Tokens of others."),
  mtls: mtls.optional().describe("Client certificates."),
  tokenService: optionalChoice(["off", "builtin"]).prefault("off").describe("Whether we hand out tokens ourselves."),
  failDelay: endingDuration("nobody would be told that his password is wrong").prefault(0).describe("How long the answer to a wrong credential waits."),
  failBudget: failBudget.prefault({}).describe("Wrong passwords a minute, beyond which none is looked at."),
  openid: openid.optional().describe("People whom a provider of identities knows."),
  apikey: flag.prefault(false).describe("Keys that users make for themselves."),
  sessionKeysFile: text.optional().describe("A JSON or YAML file with hashKey and perhaps encryptKey: what browser sessions are kept by."),
  sessionDriver: sessionDriver.prefault({}).describe("Where browser sessions are kept."),
  secureSession: flag.prefault(false).describe("Cookies by TLS only, where TLS ends before us."),
});

const condition = z.union(
  [word, z.strictObject({ expression: word.describe("What must be true, in CEL."), message: text.optional().describe("What is said when it is not.") })],
  { error: "must be an expression, or keys with one" },
);

const policy = z.strictObject({
  users: names.prefault([]).describe("Who."),
  groups: names.prefault([]).describe("Members of which groups."),
  actions: names.prefault([]).describe("May do what."),
  conditions: z.array(condition).prefault([]).describe("When: all must hold."),
});

// Empty texts are kept here: they are refused by who knows what they would open.
const anyNames = z.array(z.string({ error: "must be text" }));
const guardedPolicy = policy.extend({ users: anyNames.prefault([]).describe("Who."), groups: anyNames.prefault([]).describe("Members of which groups.") });

const repositoryPolicy = z.strictObject({
  policies: z.array(guardedPolicy).prefault([]).describe("Who may do what."),
  defaultPolicy: names.prefault([]).describe("What everybody with a name may do."),
  anonymousPolicy: names.prefault([]).describe("What everybody without one may do."),
});

export const accessControl = z.strictObject({
  fetch: choice(["readers", "byAction"]).prefault("readers").describe("Who may cause a first fetch from upstream."),
  groups: z
    .record(z.string(), z.strictObject({ users: anyNames.prefault([]).describe("Its members.") }))
    .prefault({})
    .describe("Groups, by name."),
  repositories: z.record(z.string(), repositoryPolicy).prefault({}).describe("Who may do what, by pattern; the longest that matches decides."),
  adminPolicy: guardedPolicy.optional().describe("Who may do what everywhere."),
  metrics: z
    .strictObject({
      users: anyNames.prefault([]).describe("Users who may."),
      anonymousPolicy: names.prefault([]).describe("[read]: everybody without a name may."),
    })
    .optional()
    .describe("Who may read /metrics."),
});

export const http = z.strictObject({
  address: text.optional().describe("As host."),
  port: port.optional().describe("As port."),
  realm: text.optional().describe("The realm of Basic challenges. Default: Authorization Required."),
  tls: z
    .strictObject({
      cert: text.optional().describe("As serverTlsConfig.cert."),
      key: text.optional().describe("As serverTlsConfig.key."),
      cacert: text.optional().describe("As serverTlsConfig.ca, with clientAuth: request."),
    })
    .optional()
    .describe("TLS towards clients."),
  externalUrl: text.optional().describe("As externalUrl."),
  allowOrigin: origins.prefault("").describe("Whose pages may read answers: origins, with commas between, or * for any."),
  auth: clientAuth.optional().describe("As auth."),
  accessControl: accessControl.optional().describe("As accessControl."),
});

export type ParsedClientAuth = z.output<typeof clientAuth>;
export type ParsedAccessControl = z.output<typeof accessControl>;
