/**
 * AWS: tokens for Amazon ECR and ECR Public, by AWS's own SDK. This is the one file that knows the SDK, and it is loaded when the first
 * token is fetched: who has no AWS registry pays nothing for it.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { awsFailure } from "./aws-failures.ts";
import { readAwsProfiles, type AwsProfile, type AwsProfiles } from "./aws-profiles.ts";
import { AwsRequests, type Connection } from "./aws-requests.ts";
import type { CredentialProvider, IssuedCredential } from "./credentials.ts";
import { findEcrHost } from "./ecr-host.ts";
import type { EcrOptions, EcrPublicOptions } from "./upstream-options.ts";
import { untilAborted } from "../oci/waiting.ts";

export interface AwsContext {
  /** The registry that the token is for; account and region default to what it says. */
  readonly host: string;
  /** Opens connections to wherever the SDK finds AWS to be: addresses of the operator's own, not a stranger's. */
  readonly connect: (origin: URL) => Connection;
  readonly clock: Clock;
  /** For messages, and for what the SDK reads in it by itself: so it has to be the process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

const attemptsMax = 2;
/** ECR's tokens have about 2.5 KiB. */
const tokenCharsMax = 64 << 10;
/** The only region that gives tokens for public.ecr.aws. */
const publicRegion = "us-east-1";
const sessionName = "ociregistry";
/** The SDK would write to stderr, between the lines of our log. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/**
 * Tokens of Amazon ECR: good for 12 hours, and for every registry that the principal may read. Credentials come from the SDK's default
 * chain (environment, shared files with SSO and roles, web identity, container and instance metadata), or from `profile` alone where
 * one is named; `roleArn` is assumed with them.
 */
export function ecrProvider(options: EcrOptions, context: AwsContext): CredentialProvider {
  const told = findEcrHost(context.host);
  const account = options.account ?? told?.account;
  const region = options.region ?? told?.region;
  const place = `ecr${account === undefined ? "" : ` ${account}`}${region === undefined ? "" : ` in ${region}`}`;
  // The SDK refuses both beside an endpoint of one's own.
  const variants = options.endpoint === undefined && told ? { useFipsEndpoint: told.isFips, useDualstackEndpoint: told.isDualStack } : {};
  return tokenProvider({ place, account, region, options, context }, async (settings, signal) => {
    const { ECRClient, GetAuthorizationTokenCommand } = await import("@aws-sdk/client-ecr");
    const client = new ECRClient({ ...settings, ...variants });
    const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}), { abortSignal: signal });
    return authorizationData?.[0];
  });
}

/** Tokens of public.ecr.aws: not needed to pull, but they raise its limits. */
export function ecrPublicProvider(options: EcrPublicOptions, context: AwsContext): CredentialProvider {
  return tokenProvider({ place: "ecr-public", account: undefined, region: publicRegion, options, context }, async (settings, signal) => {
    const { ECRPUBLICClient, GetAuthorizationTokenCommand } = await import("@aws-sdk/client-ecr-public");
    const client = new ECRPUBLICClient(settings);
    const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}), { abortSignal: signal });
    return authorizationData;
  });
}

interface Seeker {
  readonly place: string;
  readonly account: string | undefined;
  readonly region: string | undefined;
  readonly options: EcrPublicOptions;
  readonly context: AwsContext;
}

/** What both services answer. All of it may be missing or odd. */
interface TokenAnswer {
  readonly authorizationToken?: string | undefined;
  readonly expiresAt?: Date | undefined;
  readonly proxyEndpoint?: string | undefined;
}

type Ask = (settings: Awaited<ReturnType<typeof clientSettings>>, signal: AbortSignal) => Promise<TokenAnswer | undefined>;

function tokenProvider(seeker: Seeker, ask: Ask): CredentialProvider {
  const { place, account, options, context } = seeker;
  const { environment = process.env } = context;
  const profile = options.profile ?? (environment["AWS_PROFILE"] || undefined);
  const who = [profile === undefined ? [] : `profile ${profile}`, options.roleArn === undefined ? [] : `role ${options.roleArn}`].flat();
  const description = [place, ...who].join(", ");
  let issuedFor: string | undefined;
  return {
    get description() {
      const isOther = issuedFor !== undefined && account !== undefined && issuedFor !== account;
      return isOther ? `${description} (AWS gave the token of account ${issuedFor})` : description;
    },
    async fetch(signal) {
      await using requests = new AwsRequests({ connect: context.connect, clock: context.clock, signal });
      const profiles = await readAwsProfiles(environment);
      const region = seeker.region ?? regionElsewhere(environment, profiles.names.get(profile ?? "default"));
      const attempt = { description, requests, region, profile, roleArn: options.roleArn, profiles, environment };
      try {
        const asking = clientSettings(options, { profile, profiles, region, requests }).then((settings) => ask(settings, signal));
        // What the SDK asks of metadata services ends by itself, within seconds; nobody waits for it.
        const answer = await untilAborted(asking, signal);
        const issued = issuedCredential(answer);
        issuedFor = findEcrHost(URL.parse(answer?.proxyEndpoint ?? "")?.host ?? "")?.account;
        return issued;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw awsFailure(error, attempt);
      }
    },
  };
}

/** The region that this machine says it is in. */
function regionElsewhere(environment: Readonly<Record<string, string | undefined>>, profile: AwsProfile | undefined): string | undefined {
  return environment["AWS_REGION"] || environment["AWS_DEFAULT_REGION"] || profile?.region;
}

interface Means {
  readonly profile: string | undefined;
  readonly profiles: AwsProfiles;
  readonly region: string | undefined;
  readonly requests: AwsRequests;
}

/** What a client of the SDK is made with. Throws `DENIED` for a profile that is not there, or an endpoint that is no URL. */
async function clientSettings({ roleArn, externalId, endpoint }: EcrPublicOptions, { profile, profiles, region, requests }: Means) {
  if (endpoint !== undefined && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw new OciError("DENIED", `endpoint ${endpoint} in providerOpts is not the URL of a server; write https://HOST`);
  }
  const { fromIni, fromNodeProviderChain, fromTemporaryCredentials } = await import("@aws-sdk/credential-providers");
  const common = { requestHandler: requests, maxAttempts: attemptsMax, logger: silent };
  const named = profile === undefined ? {} : { profile };
  const place = region === undefined ? {} : { region };
  // A file that was changed is read again, and nothing is remembered from one fetch to the next.
  const init = { ...named, clientConfig: common, logger: silent, ignoreCache: true };
  const own = profile !== undefined && present(profile, profiles).hasCredentials ? fromIni(init) : fromNodeProviderChain(init);
  const credentials =
    roleArn === undefined
      ? own
      : fromTemporaryCredentials({
          masterCredentials: own,
          params: { RoleArn: roleArn, RoleSessionName: sessionName, ...(externalId === undefined ? {} : { ExternalId: externalId }) },
          clientConfig: { ...common, ...place, ...named },
          logger: silent,
        });
  return { ...common, ...named, ...place, ...(endpoint === undefined ? {} : { endpoint }), credentials };
}

/** The profile that was named. Without this the SDK would go on to other credentials, and pull as somebody else. */
function present(profile: string, { names, files }: AwsProfiles): AwsProfile {
  const found = names.get(profile);
  if (found) return found;
  const sameButCase = [...names.keys()].find((name) => name.toLowerCase() === profile.toLowerCase());
  const hint = sameButCase === undefined ? "add it, or name another in providerOpts" : `there is "${sameButCase}", and case matters`;
  throw new OciError("DENIED", `the profile "${profile}" is not in ${files.join(" or ")}; ${hint}`);
}

/** Throws `UPSTREAM_UNAVAILABLE` when there is no token in it that a header can carry. */
function issuedCredential(answer: TokenAnswer | undefined): IssuedCredential {
  const token = answer?.authorizationToken;
  if (typeof token !== "string" || token === "") throw unusable("there is no token in it");
  if (token.length > tokenCharsMax) throw unusable(`its token is longer than ${tokenCharsMax} characters`);
  const [, user, password] = /^([^:\p{Cc}]+):([^\p{Cc}]+)$/u.exec(Buffer.from(token, "base64").toString("utf8")) ?? [];
  if (user === undefined || password === undefined) throw unusable("its token is not base64 of a user and a password");
  const expiresAtMs = answer?.expiresAt instanceof Date ? answer.expiresAt.getTime() : Number.NaN;
  return {
    content: { kind: "basic", user, password, isShownUnasked: true },
    expiresAtMs: Number.isNaN(expiresAtMs) ? undefined : expiresAtMs,
  };
}

function unusable(why: string): OciError {
  return new OciError("UPSTREAM_UNAVAILABLE", `AWS gave an answer that cannot be used: ${why}`, { source: "upstream" });
}
