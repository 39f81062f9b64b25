/**
 * What goes wrong on the way to an AWS token, in one plain line each. What AWS and its SDK say themselves is not passed on: it can
 * hold session tokens (in the canonical request of a signature that does not match) or the output of somebody's program.
 */
import { OciError, type OciErrorCode } from "../oci/errors.ts";
import type { AwsProfiles } from "./aws-profiles.ts";
import type { AwsRequests } from "./aws-requests.ts";

export interface AwsAttempt {
  /** Whose fetch it was; begins every line. */
  readonly description: string;
  readonly requests: Pick<AwsRequests, "asked" | "failure">;
  readonly region: string | undefined;
  readonly profile: string | undefined;
  readonly roleArn: string | undefined;
  readonly profiles: AwsProfiles;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

interface Verdict {
  readonly code: OciErrorCode;
  readonly line: string;
  readonly retryAfterMs?: number;
}

const throttledMs = 5_000;

/** The error for whatever `fetch` was rejected with. */
export function awsFailure(error: unknown, attempt: AwsAttempt): OciError {
  const { code, line, retryAfterMs } = verdictOn(error, attempt);
  const isLocal = attempt.requests.asked === undefined;
  return new OciError(code, `${attempt.description}: ${line}`, {
    source: isLocal ? "local" : "upstream",
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function verdictOn(error: unknown, attempt: AwsAttempt): Verdict {
  if (error instanceof OciError) return ofNetwork(error, attempt);
  const { name, message, status } = factsOf(error);
  const fromService = serviceLines[name.replace(/Exception$|Fault$/, "")]?.(message, attempt);
  if (fromService !== undefined) return mend(fromService);
  if (throttlings.test(name) || status === 429) {
    return { code: "UPSTREAM_THROTTLED", line: `${hostOf(attempt)} asks us to slow down (${name})`, retryAfterMs: throttledMs };
  }
  if (name === "CredentialsProviderError" || name === "TokenProviderError" || name === "ProviderError") return ofChain(message, attempt);
  if (status !== undefined && status >= 500) return outage(`${hostOf(attempt)} answered ${status} (${name})`);
  if (status !== undefined && status >= 300) return mend(`${hostOf(attempt)} answered ${status} (${name}) to ${actionOf(attempt)}`);
  const local = ofThisMachine(error, message, attempt);
  if (local) return local;
  const failure = attempt.requests.failure;
  if (failure) return ofNetwork(failure, attempt);
  if (attempt.requests.asked) return outage(`${hostOf(attempt)} gave an answer to ${actionOf(attempt)} that cannot be used`);
  return outage(`the AWS SDK failed (${name})`);
}

/** By the name of the error, without `Exception`: what somebody has to mend. */
const serviceLines: Readonly<Record<string, ((message: string, attempt: AwsAttempt) => string) | undefined>> = {
  AccessDenied: refused,
  AuthorizationError: refused,
  UnauthorizedAccess: refused,
  Forbidden: refused,
  UnrecognizedClient: unknownKey,
  InvalidClientTokenId: unknownKey,
  InvalidAccessKeyId: unknownKey,
  InvalidSignature: wrongSignature,
  SignatureDoesNotMatch: wrongSignature,
  IncompleteSignature: wrongSignature,
  RequestTimeTooSkewed: wrongClock,
  RequestExpired: wrongClock,
  RequestInTheFuture: wrongClock,
  ExpiredToken: (_, attempt) =>
    `the AWS session has ended: ${actionOf(attempt)} was answered ExpiredToken; log in again, or use credentials that renew themselves (a role, say)`,
  InvalidIdentityToken: (_, attempt) =>
    `AWS does not accept the web identity token${tokenFileOf(attempt)}: is its issuer an identity provider of that account?`,
  IDPRejectedClaim: (_, attempt) => `the identity provider of the web identity token${tokenFileOf(attempt)} rejects it`,
  OptInRequired: () => "the AWS account is not signed up for this service or region",
  RegionDisabled: (_, { region }) => `AWS STS is switched off in region ${region ?? "(default)"} for this account; switch it on in the account's IAM settings`,
  MalformedPolicyDocument: () => "AWS finds the role's session policy malformed",
};

const throttlings = /throttl|TooManyRequests|RequestLimitExceeded|SlowDown|BandwidthLimit/i;

function refused(message: string, attempt: AwsAttempt): string {
  const action = /perform: ([a-z0-9-]{1,32}:[A-Za-z]{1,64})/.exec(message)?.[1] ?? actionOf(attempt);
  const who = arnAfter(message, "User: ");
  const whom = `AWS refuses ${action}${who === undefined ? "" : ` to ${who}`}`;
  if (action.startsWith("sts:AssumeRole")) {
    const role = arnAfter(message, "resource: ") ?? attempt.roleArn;
    return `${whom}${role === undefined ? "" : ` for ${role}`}: the role's trust policy has to name who asks (and externalId, where it wants one), and that identity needs the permission ${action}`;
  }
  if (action.startsWith("sso:")) return `${whom}: the SSO user has no such account or role; see sso_account_id and sso_role_name of the profile`;
  return `${whom}: allow ${action} on resource "*" in an IAM policy of that identity${action.startsWith("ecr-public:") ? ", and sts:GetServiceBearerToken" : ""}`;
}

function unknownKey(_: string, attempt: AwsAttempt): string {
  return `AWS does not know the access key that was used${sourceOf(attempt)}: it was deleted, belongs to another partition, or its session token is missing or wrong`;
}

function wrongSignature(message: string, attempt: AwsAttempt): string {
  if (/expired|not yet current|too skewed/i.test(message)) return wrongClock("", attempt);
  return `the secret access key does not belong to its access key id${sourceOf(attempt)}; set both anew`;
}

function wrongClock(_: string, attempt: AwsAttempt): string {
  return `${hostOf(attempt)} finds the time of the request wrong: set the clock of this machine`;
}

/** The SDK's chain of places where credentials may be. Its messages are matched, never shown. */
function ofChain(message: string, attempt: AwsAttempt): Verdict {
  const { profile, environment, requests } = attempt;
  const named = `profile "${profile ?? "default"}"`;
  const login = `aws sso login${profile === undefined ? "" : ` --profile ${profile}`}`;
  if (requests.failure) return ofNetwork(requests.failure, attempt);
  if (/sso session .*(expired|invalid)|aws sso login|token is expired|refreshing/i.test(message)) {
    return mend(`the SSO session of the ${named} has ended or was never begun; run ${login}`);
  }
  if (requests.asked?.action.startsWith("sso:")) return mend(`AWS gives no credentials for the SSO session of the ${named}; run ${login}`);
  if (/multi-factor/i.test(message)) return mend(`the ${named} wants a second factor (mfa_serial), which a server cannot give; name one without`);
  if (/cycle/i.test(message)) return mend(`the ${named} leads back to itself by source_profile`);
  if (/could not resolve credentials using profile/i.test(message)) {
    const at = /\[([\w@+.%:/ -]{1,64})\]/.exec(message)?.[1];
    return mend(`the profile "${at ?? profile ?? "default"}" in ${attempt.profiles.files.join(" and ")} holds no credentials that can be used`);
  }
  if (/sso/i.test(message))
    return mend(`the ${named} is not complete for SSO: sso_session (or sso_start_url and sso_region), sso_account_id and sso_role_name`);
  if (/credential_process|^command failed|maxbuffer/i.test(message))
    return mend(`the credential_process of the ${named} failed, or printed no credentials; run it by hand`);
  if (/could not load credentials from any providers/i.test(message) && !isContainer(environment)) return mend(nothingFound(attempt));
  if (isContainer(environment)) return outage(`the container's credential service gave no credentials; see ${containerVariable(environment)}`);
  if (/instance metadata|ec2 metadata/i.test(message)) return outage(`the instance metadata service gave no credentials; does this instance have a role?`);
  return mend(profile === undefined ? nothingFound(attempt) : `the ${named} in ${attempt.profiles.files.join(" and ")} gives no credentials`);
}

function nothingFound({ profile, profiles: { files }, environment }: AwsAttempt): string {
  const metadata = environment["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true" ? "(instance metadata is switched off)" : "instance metadata";
  const places = [
    ...(profile === undefined ? ["AWS_ACCESS_KEY_ID"] : []),
    `profile "${profile ?? "default"}" in ${files.join(" and ")}`,
    "AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN",
    metadata,
  ];
  return `no AWS credentials found; looked at: ${places.join(", ")}`;
}

/** What failed before anything was asked. */
function ofThisMachine(error: unknown, message: string, attempt: AwsAttempt): Verdict | undefined {
  const { environment, requests } = attempt;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"];
  if (/^E[A-Z]+$/.test(code) && /web-identity|token/i.test(`${message} ${file === undefined ? "" : file}`) && file !== undefined && message.includes(file)) {
    return mend(`the web identity token ${file} cannot be read (${code})`);
  }
  if (/^(EACCES|EISDIR|ENOENT|ENOTDIR|EPERM)$/.test(code)) return mend(`a file that the AWS configuration names cannot be read (${code})`);
  if (code === "MODULE_NOT_FOUND" || code === "ERR_MODULE_NOT_FOUND") return mend("the AWS SDK is not installed (@aws-sdk/client-ecr and its sisters)");
  if (requests.asked) return undefined;
  if (/region is missing|missing region/i.test(message)) {
    return mend("no region: the registry's host does not name one; set region in providerOpts, AWS_REGION, or region in the profile");
  }
  if (/region/i.test(message) && /valid host|not accepted/i.test(message)) return mend(`region "${attempt.region ?? ""}" is not the name of a region`);
  if (/^invalid configuration: /i.test(message) || /^(FIPS|DualStack) (is|and DualStack are) enabled/.test(message)) {
    return mend(`the AWS SDK finds its configuration contradictory: ${message.slice(0, 128)}`);
  }
  return undefined;
}

function ofNetwork(error: OciError, { region }: AwsAttempt): Verdict {
  const isUnknownName = error.message.startsWith("no such host:");
  const hint = isUnknownName && region !== undefined ? `; is "${region}" a region of AWS, and does looking up names work here?` : "";
  return { code: error.code, line: `${error.message}${hint}`, ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }) };
}

function mend(line: string): Verdict {
  return { code: "DENIED", line };
}

function outage(line: string): Verdict {
  return { code: "UPSTREAM_UNAVAILABLE", line };
}

function factsOf(error: unknown): { readonly name: string; readonly message: string; readonly status: number | undefined } {
  if (!(error instanceof Error)) return { name: "Unknown", message: "", status: undefined };
  const metadata = "$metadata" in error ? error.$metadata : undefined;
  const status = typeof metadata === "object" && metadata !== null && "httpStatusCode" in metadata ? metadata.httpStatusCode : undefined;
  const name = /^[A-Za-z0-9.]{1,64}$/.test(error.name) ? error.name : "Unknown";
  return { name, message: error.message, status: typeof status === "number" ? status : undefined };
}

/** An ARN is an identity, not a secret. */
function arnAfter(message: string, before: string): string | undefined {
  const at = message.indexOf(before);
  return at < 0 ? undefined : /^arn:[\w+=,.@:/-]{1,512}/.exec(message.slice(at + before.length))?.[0];
}

function hostOf({ requests }: AwsAttempt): string {
  return requests.asked?.host ?? "AWS";
}

function actionOf({ requests }: AwsAttempt): string {
  return requests.asked?.action ?? "the request";
}

function sourceOf({ profile, profiles, environment }: AwsAttempt): string {
  if (profile !== undefined) return ` (profile "${profile}")`;
  if (environment["AWS_ACCESS_KEY_ID"]) return " (AWS_ACCESS_KEY_ID)";
  return profiles.names.get("default")?.hasCredentials === true ? ' (profile "default")' : "";
}

function tokenFileOf({ environment }: AwsAttempt): string {
  const file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"];
  return file === undefined ? "" : ` in ${file}`;
}

function isContainer(environment: AwsAttempt["environment"]): boolean {
  return Boolean(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] || environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]);
}

function containerVariable(environment: AwsAttempt["environment"]): string {
  return environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" : "AWS_CONTAINER_CREDENTIALS_FULL_URI";
}
