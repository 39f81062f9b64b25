/** The vocabulary of `auth`: passwords, tokens, and everything that a provider of tokens can be told. */
import { z } from "zod";
import { providerNames, readOptionsText } from "./provider-options.ts";
import { hostPort, lifeTime, optionalChoice, serviceUrl, text, word } from "./scalars.ts";

/** Options of all providers; which of them takes which is for `provider-options.ts` to say. */
const options = z.strictObject({
  profile: text.optional().describe("ecr, ecr-public: the profile of the AWS configuration."),
  region: text.optional().describe("ecr: the region. Default: the one in the registry's name."),
  account: text.optional().describe("ecr: the account, for logs. Default: the one in the registry's name."),
  roleArn: text.optional().describe("ecr, ecr-public: the role to assume."),
  externalId: text.optional().describe("ecr, ecr-public: the external id that the role demands."),
  endpoint: serviceUrl.optional().describe("ecr, ecr-public: the API's own address, for VPC endpoints."),
  path: text.optional().describe("docker-config: the file. Default: $DOCKER_CONFIG/config.json, then ~/.docker/config.json."),
  helper: text.optional().describe("exec: a docker credential helper, without docker-credential-."),
  command: text.optional().describe("exec: the program, in PATH or by its whole path."),
  args: z.array(word).optional().describe("exec: its arguments."),
  protocol: optionalChoice(["docker", "kubelet"]).optional().describe("exec: what the program speaks."),
  keyFile: text.optional().describe("gcp: a service account's key. Default: Google's own chain, down to the metadata server."),
  use: optionalChoice(["token", "json-key", "bearer", "basic"])
    .optional()
    .describe("How the credential is shown. gcp: token or json-key (the key file itself). oauth2: bearer, or basic as the password of user."),
  identity: optionalChoice(["managed", "service-principal", "workload"]).optional().describe("azure: whose identity. Default: Azure's own chain."),
  tenantId: text.optional().describe("azure: the tenant."),
  clientId: text.optional().describe("azure, oauth2: the client."),
  clientSecret: text.optional().describe("azure, oauth2: the client's secret itself."),
  clientSecretFromEnv: text.optional().describe("azure, oauth2: the variable that holds the client's secret."),
  clientSecretFile: text.optional().describe("azure, oauth2: the file that holds the client's secret."),
  federatedTokenFile: text.optional().describe("azure: the token of a workload identity."),
  authorityHost: serviceUrl.optional().describe("azure: the login service, for clouds of their own."),
  tokenUrl: serviceUrl.optional().describe("oauth2: the token endpoint. Required."),
  grant: optionalChoice(["client-credentials", "jwt-bearer", "token-exchange"]).optional().describe("oauth2: how the token is asked for."),
  assertionFile: text.optional().describe("oauth2: the JWT that is shown; read at each fetch."),
  scope: text.optional().describe("oauth2: the scopes, separated by blanks."),
  audience: text.optional().describe("oauth2: whom the token is for."),
  user: text.optional().describe("oauth2: the user whose password the token is."),
});

const optionsText = z.string({ error: "must be text" }).transform((written, context): unknown => {
  if (written.trim() === "") return {};
  const read = readOptionsText(written);
  if (read.kind === "read") return read.options;
  context.issues.push({ code: "custom", input: written, message: read.problem });
  return z.NEVER;
});

const token = z
  .strictObject({
    provider: z
      .preprocess((written) => (typeof written === "string" ? written.toLowerCase() : written), optionalChoice(providerNames))
      .optional()
      .describe("Where tokens come from."),
    providerOpts: z
      .union([optionsText.pipe(options), options], { error: "must be name=value,name=value, or keys and values" })
      .optional()
      .describe("Options of the provider."),
    expiry: z
      .preprocess((written) => (written === "" ? undefined : written), lifeTime.optional())
      .optional()
      .describe("How long a token is used at most."),
    static: text.optional().describe("A token that never changes."),
    staticFromEnv: text.optional().describe("The variable that holds the static token."),
    staticFile: text.optional().describe("The file that holds the static token."),
    scheme: optionalChoice(["basic", "bearer"]).optional().describe("How a static token is sent."),
  })
  .describe("Tokens, given or renewed.");

export const auth = z.strictObject({
  user: text.optional().describe("The user's name."),
  password: text.optional().describe("The password itself."),
  passwordFromEnv: text.optional().describe("The variable that holds the password."),
  passwordFile: text.optional().describe("The file that holds the password."),
  realmHosts: z.array(hostPort).prefault([]).describe("Other host[:port] that may ask for this credential."),
  token: token.optional(),
});

export type ParsedAuth = z.output<typeof auth>;
export type ParsedToken = z.output<typeof token>;
export type ParsedOptions = z.output<typeof options>;
