/**
 * FakeAws: what of AWS a registry's token needs, on one port of 127.0.0.1: ECR, ECR Public, STS, the SSO portal, instance metadata
 * (version 2 only) and a container's credential service. It checks every signature, knows whose token is whose, and fails on demand.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../src/oci/clock.ts";
import { systemClock } from "../../src/oci/clock.ts";
import type { RequestKind } from "./quirks.ts";
import { pathOf, RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";
import { claimOf, isSignedWith } from "./signature-v4.ts";

/** One call as AWS saw it. Region and account are empty where the call has none. */
export interface AwsCall {
  /** `ecr:GetAuthorizationToken`, `sts:AssumeRole`, `imds:PUT token`, `container:GET` ... */
  readonly action: string;
  /** The access key that signed; empty for calls that nobody signs. */
  readonly accessKeyId: string;
  readonly region: string;
  readonly account: string;
}

/** What somebody signs with. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface RoleOptions {
  readonly account: string;
  readonly name: string;
  readonly externalId?: string;
  /** The text of a web identity token that may assume it. */
  readonly webIdentityToken?: string;
  /** What it may do; default: everything here. */
  readonly allowed?: readonly string[];
}

export interface AwsError {
  readonly code: string;
  readonly message?: string;
  readonly status?: number;
  /** For so many calls; default: for all that follow. */
  readonly times?: number;
}

interface Principal {
  readonly arn: string;
  readonly account: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
  readonly allowed: readonly string[] | undefined;
  isExpired: boolean;
}

interface Role extends RoleOptions {
  readonly arn: string;
}

interface RegistryToken {
  readonly account: string;
  readonly service: "ecr" | "ecr-public";
  readonly expiresAtMs: number;
}

const skewMsMax = 300_000;
const sessionMs = 3_600_000;

export class FakeAws extends RecordingServer {
  readonly calls: AwsCall[] = [];
  /** How long tokens for registries live. */
  tokenLifeMs = 12 * 3_600_000;
  /** Added to the answer of ECR in place of what it holds; undefined takes a field away. */
  answerInstead: Readonly<Record<string, unknown>> = {};
  /** The role of the instance, and of the container. */
  role: string | undefined;
  /** What the container's credential service wants in `Authorization`. */
  containerToken: string | undefined;
  /** Takes this SSO session's word for any account and role that exist. */
  ssoToken: string | undefined;
  readonly #clock: Clock;
  readonly #signers: Clock;
  readonly #principals = new Map<string, Principal>();
  readonly #roles = new Map<string, Role>();
  readonly #tokens = new Map<string, RegistryToken>();
  readonly #failures: { readonly action: string; readonly error: AwsError; left: number }[] = [];
  #metadataToken: string | undefined;
  #made = 0;

  /** `clock` is what tokens live by, and what signatures are dated by unless those have their own (`signers`): the SDK knows only the machine's. */
  constructor({ tls, clock = systemClock, signers = clock }: { tls?: TlsFiles | undefined; clock?: Clock; signers?: Clock } = {}) {
    super({ tls });
    this.#clock = clock;
    this.#signers = signers;
  }

  /** A user with keys of its own. `allowed`: what it may do; default: everything here. */
  addUser(account: string, name: string, { allowed }: { allowed?: readonly string[] } = {}): AwsKeys {
    return this.#issueKeys({ arn: `arn:aws:iam::${account}:user/${name}`, account, allowed, prefix: "AKIA", isSession: false });
  }

  /** Makes a role, or makes it anew; the result is its ARN. */
  addRole(role: RoleOptions): string {
    const arn = `arn:aws:iam::${role.account}:role/${role.name}`;
    this.#roles.set(arn, { ...role, arn });
    return arn;
  }

  /** Keys of a session in a role, as somebody has them who assumed it by hand. Throws for a role that does not exist. */
  beginSession(arn: string): Required<AwsKeys> {
    const role = this.#roles.get(arn);
    if (!role) throw new Error(`no role ${arn}`);
    return this.#sessionOf(role);
  }

  /** Fails calls of an action, as AWS does when it refuses or is ill. */
  fail(action: string, error: AwsError): void {
    this.#failures.push({ action, error, left: error.times ?? Infinity });
  }

  /** Ends every session, as time does. */
  expireSessions(): void {
    for (const principal of this.#principals.values()) principal.isExpired ||= principal.sessionToken !== undefined;
  }

  /** Ends every token of a registry given so far, as if its time were over. */
  revokeTokens(): void {
    for (const [password, token] of this.#tokens) this.#tokens.set(password, { ...token, expiresAtMs: 0 });
  }

  /** `calls` as lines: `ecr:GetAuthorizationToken 111122223333 us-east-1`. */
  get asked(): readonly string[] {
    return this.calls.map(({ action, account, region }) => [action, account, region].filter((part) => part !== "").join(" "));
  }

  /** What the registry of `account` thinks of a password for the user `AWS`. "foreign": it is good, but for another account. */
  judge(password: string, account: string): "valid" | "expired" | "foreign" | "unknown" {
    const token = this.#tokens.get(password);
    if (!token || token.service !== "ecr") return "unknown";
    if (this.#clock.now() >= token.expiresAtMs) return "expired";
    return token.account === account ? "valid" : "foreign";
  }

  /** What of itself must show up nowhere: passwords, secret keys and session tokens given so far. */
  get secrets(): readonly string[] {
    const keys = [...this.#principals.values()].flatMap(({ secretAccessKey, sessionToken }) => [secretAccessKey, sessionToken ?? ""]);
    return [...keys, ...this.#tokens.keys()].filter((secret) => secret !== "");
  }

  override forget(): void {
    super.forget();
    this.calls.length = 0;
  }

  protected override classify(): { kind: RequestKind; repository: undefined } {
    return { kind: "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const path = pathOf(request.url);
    if (path.startsWith("/latest/")) return this.#metadata(request, path);
    if (path === "/container") return this.#container(request);
    if (path === "/federation/credentials") return this.#sso(request);
    const target = request.headers["x-amz-target"];
    if (target === "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken") return this.#registryToken(request, "ecr");
    if (target === "SpencerFrontendService.GetAuthorizationToken") return this.#registryToken(request, "ecr-public");
    return this.#security(request);
  }

  #registryToken(request: RecordedRequest, service: "ecr" | "ecr-public"): Reply {
    const action = `${service}:GetAuthorizationToken`;
    const caller = this.#caller(request, action, service);
    if ("code" in caller) return jsonError(caller);
    const password = this.#secret(`password-of-${caller.principal.account}`);
    const expiresAtMs = this.#clock.now() + this.tokenLifeMs;
    this.#tokens.set(password, { account: caller.principal.account, service, expiresAtMs });
    const proxyEndpoint = `https://${caller.principal.account}.dkr.ecr.${caller.region}.amazonaws.com`;
    const data = {
      authorizationToken: Buffer.from(`AWS:${password}`).toString("base64"),
      expiresAt: expiresAtMs / 1000,
      ...(service === "ecr" ? { proxyEndpoint } : {}),
      ...this.answerInstead,
    };
    return json(200, { authorizationData: service === "ecr" ? [data] : data });
  }

  #security(request: RecordedRequest): Reply {
    const form = new URLSearchParams(request.body);
    const operation = form.get("Action") ?? "";
    const role = this.#roles.get(form.get("RoleArn") ?? "");
    if (operation === "AssumeRoleWithWebIdentity") {
      const failure = this.#note({ action: "sts:AssumeRoleWithWebIdentity", accessKeyId: "", region: "", account: role?.account ?? "" });
      if (failure) return xmlError(failure);
      if (role?.webIdentityToken === undefined || role.webIdentityToken !== form.get("WebIdentityToken")) {
        return xmlError({ code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity", status: 403 });
      }
      return this.#session(operation, role);
    }
    if (operation !== "AssumeRole") return xmlError({ code: "InvalidAction", status: 400 });
    const caller = this.#caller(request, "sts:AssumeRole", "sts");
    if ("code" in caller) return xmlError({ ...caller, ...stsSpelling[caller.code] });
    const externalId = form.get("ExternalId") ?? undefined;
    if (role && role.externalId === externalId) return this.#session(operation, role);
    const message = `User: ${caller.principal.arn} is not authorized to perform: sts:AssumeRole on resource: ${form.get("RoleArn")}`;
    return xmlError({ code: "AccessDenied", message, status: 403 });
  }

  #session(operation: string, role: Role): Reply {
    const keys = this.#sessionOf(role);
    const credentials = `<Credentials><AccessKeyId>${keys.accessKeyId}</AccessKeyId><SecretAccessKey>${keys.secretAccessKey}</SecretAccessKey><SessionToken>${keys.sessionToken}</SessionToken><Expiration>${this.#sessionEnd()}</Expiration></Credentials>`;
    const assumed = `<AssumedRoleUser><AssumedRoleId>AROA:us</AssumedRoleId><Arn>arn:aws:sts::${role.account}:assumed-role/${role.name}/us</Arn></AssumedRoleUser>`;
    const body = `<${operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${operation}Result>${credentials}${assumed}</${operation}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></${operation}Response>`;
    return { status: 200, headers: { "content-type": "text/xml" }, body };
  }

  #sso(request: RecordedRequest): Reply {
    const query = new URL(request.url, this.url).searchParams;
    const account = query.get("account_id") ?? "";
    const role = this.#roles.get(`arn:aws:iam::${account}:role/${query.get("role_name")}`);
    const failure = this.#note({ action: "sso:GetRoleCredentials", accessKeyId: "", region: "", account });
    if (failure) return restError(failure);
    if (request.headers["x-amz-sso_bearer_token"] !== this.ssoToken || this.ssoToken === undefined) {
      return restError({ code: "UnauthorizedException", message: "Session token not found or invalid", status: 401 });
    }
    if (!role) return restError({ code: "ForbiddenException", message: "No access", status: 403 });
    return json(200, { roleCredentials: { ...this.#sessionOf(role), expiration: this.#clock.now() + sessionMs } });
  }

  #metadata(request: RecordedRequest, path: string): Reply {
    const failure = this.#note({ action: `imds:${request.method} ${path.slice("/latest/".length)}`, accessKeyId: "", region: "", account: "" });
    if (failure) return { status: failure.status ?? 500, body: "" };
    if (request.method === "PUT" && path === "/latest/api/token") {
      if (request.headers["x-aws-ec2-metadata-token-ttl-seconds"] === undefined) return { status: 400, body: "" };
      this.#metadataToken = this.#secret("metadata");
      return { status: 200, body: this.#metadataToken };
    }
    if (this.#metadataToken === undefined || request.headers["x-aws-ec2-metadata-token"] !== this.#metadataToken) return { status: 401, body: "" };
    const role = this.#roles.get(this.role ?? "");
    const listing = "/latest/meta-data/iam/security-credentials/";
    if (!role || !path.startsWith(listing)) return { status: 404, body: "" };
    if (path === listing) return { status: 200, body: role.name };
    return path === `${listing}${role.name}` ? json(200, { Code: "Success", Type: "AWS-HMAC", ...this.#platformKeys(role) }) : { status: 404, body: "" };
  }

  #container(request: RecordedRequest): Reply {
    const failure = this.#note({ action: "container:GET", accessKeyId: "", region: "", account: "" });
    if (failure) return { status: failure.status ?? 500, body: "" };
    const role = this.#roles.get(this.role ?? "");
    if (!role || request.headers.authorization !== this.containerToken) return json(401, { Code: "AccessDenied", Message: "no" });
    return json(200, { RoleArn: role.arn, ...this.#platformKeys(role) });
  }

  #platformKeys(role: Role): object {
    const keys = this.#sessionOf(role);
    return { AccessKeyId: keys.accessKeyId, SecretAccessKey: keys.secretAccessKey, Token: keys.sessionToken, Expiration: this.#sessionEnd() };
  }

  /** Who signed the request, or what is wrong with it. */
  #caller(request: RecordedRequest, action: string, service: string): { readonly principal: Principal; readonly region: string } | AwsError {
    const claim = claimOf(request);
    const principal = this.#principals.get(claim?.accessKeyId ?? "");
    const account = principal?.account ?? "";
    const failure = this.#note({ action, accessKeyId: claim?.accessKeyId ?? "", region: claim?.region ?? "", account });
    if (failure) return failure;
    if (!claim) return { code: "MissingAuthenticationTokenException", message: "Missing Authentication Token" };
    if (!principal) return { code: "UnrecognizedClientException", message: "The security token included in the request is invalid." };
    if (claim.service !== service) return { code: "InvalidSignatureException", message: `Credential should be scoped to correct service: '${service}'.` };
    if (!isSignedWith(principal.secretAccessKey, request, claim)) return { code: "InvalidSignatureException", message: signatureMessage(request) };
    const offMs = this.#signers.now() - claim.atMs;
    if (Math.abs(offMs) > skewMsMax) {
      return { code: "InvalidSignatureException", message: offMs > 0 ? "Signature expired: it is too old" : "Signature not yet current: it is too new" };
    }
    if (claim.sessionToken !== principal.sessionToken) {
      return { code: "UnrecognizedClientException", message: "The security token included in the request is invalid." };
    }
    if (principal.isExpired) return { code: "ExpiredTokenException", message: "The security token included in the request is expired" };
    if (principal.allowed && !principal.allowed.includes(action)) {
      return {
        code: "AccessDeniedException",
        message: `User: ${principal.arn} is not authorized to perform: ${action} on resource: * because no identity-based policy allows the ${action} action`,
      };
    }
    return { principal, region: claim.region };
  }

  #note(call: AwsCall): AwsError | undefined {
    this.calls.push(call);
    const failure = this.#failures.find(({ action, left }) => left > 0 && call.action === action);
    if (failure) failure.left -= 1;
    return failure?.error;
  }

  #sessionOf({ account, name, allowed }: Role): Required<AwsKeys> {
    return this.#issueKeys({ arn: `arn:aws:sts::${account}:assumed-role/${name}/us`, account, allowed, prefix: "ASIA", isSession: true });
  }

  #issueKeys(owner: { arn: string; account: string; allowed: readonly string[] | undefined; prefix: string; isSession: boolean }): Required<AwsKeys> {
    const { arn, account, allowed, prefix, isSession } = owner;
    const accessKeyId = `${prefix}${this.#secret("id").slice(-16).toUpperCase()}`;
    const secretAccessKey = this.#secret("secret/access+key");
    const sessionToken = isSession ? this.#secret("session") : "";
    this.#principals.set(accessKeyId, { arn, account, allowed, secretAccessKey, sessionToken: isSession ? sessionToken : undefined, isExpired: false });
    return { accessKeyId, secretAccessKey, sessionToken };
  }

  #sessionEnd(): string {
    return `${new Date(this.#clock.now() + sessionMs).toISOString().slice(0, 19)}Z`;
  }

  #secret(kind: string): string {
    this.#made += 1;
    return `${kind}-${createHash("sha256").update(`${this.port} ${this.#made}`).digest("hex").slice(0, 40)}`;
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeAws(options: ConstructorParameters<typeof FakeAws>[0] = {}): Promise<FakeAws> {
  const aws = new FakeAws(options);
  await aws.accept();
  return aws;
}

/** What STS calls things, and with which status. */
const stsSpelling: Readonly<Record<string, Pick<AwsError, "code" | "status">>> = {
  UnrecognizedClientException: { code: "InvalidClientTokenId", status: 403 },
  InvalidSignatureException: { code: "SignatureDoesNotMatch", status: 403 },
  ExpiredTokenException: { code: "ExpiredToken", status: 403 },
  AccessDeniedException: { code: "AccessDenied", status: 403 },
  MissingAuthenticationTokenException: { code: "MissingAuthenticationToken", status: 403 },
};

/** As AWS writes it: with the canonical request, session token and all. */
function signatureMessage({ headers }: RecordedRequest): string {
  const canonical = `x-amz-security-token:${String(headers["x-amz-security-token"])}`;
  return `The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. The Canonical String for this request should have been '${canonical}'`;
}

function json(status: number, body: object): Reply {
  return { status, headers: { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": "r" }, body: JSON.stringify(body) };
}

function jsonError({ code, message = "no", status = 400 }: AwsError): Reply {
  return json(status, { __type: code, message });
}

function restError({ code, message = "no", status = 400 }: AwsError): Reply {
  const reply = json(status, { message });
  return { ...reply, headers: { ...reply.headers, "x-amzn-errortype": `${code}:` } };
}

function xmlError({ code, message = "no", status = 400 }: AwsError): Reply {
  const body = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`;
  return { status, headers: { "content-type": "text/xml" }, body };
}
