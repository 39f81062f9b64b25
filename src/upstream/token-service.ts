/** Asking a token service for a token. Docker's "Token Authentication Specification", and its OAuth2 form for refresh tokens. */
import { basicAuthorization } from "./credentials.ts";
import type { IssuedToken, TokenRequest } from "./bearer-tokens.ts";
import { statusError, unusable } from "./errors.ts";
import type { HttpRequest } from "./exchange.ts";
import type { Origins, Reply } from "./origins.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";

const answerBytesMax = 128 << 10;
const tokenLengthMax = 64 << 10;
const clientId = "ociregistry";
/** What services answer that do not know the OAuth2 form. */
const noOauthStatuses: ReadonlySet<number> = new Set([400, 401, 404, 405]);

export interface TokenServiceOptions {
  readonly origins: Origins;
  readonly clock: Clock;
  readonly userAgent: string;
}

/** Buys one token. Rejects with `DENIED` when the credential is refused, else with an outage. */
export async function fetchToken(request: TokenRequest, signal: AbortSignal, { origins, clock, userAgent }: TokenServiceOptions): Promise<IssuedToken> {
  const common = { "user-agent": userAgent, accept: "application/json", "accept-encoding": "identity" };
  const attempts =
    request.credential?.kind === "identity" ? [byPost(request, common, signal), byGet(request, common, signal)] : [byGet(request, common, signal)];
  let reply = await origins.send(attempts[0] ?? byGet(request, common, signal));
  const second = attempts[1];
  if (second && noOauthStatuses.has(reply.status)) {
    reply.body.discard();
    reply = await origins.send(second);
  }
  return readToken(reply, { clock, signal });
}

function byGet({ realm, service, scope, credential }: TokenRequest, headers: Record<string, string>, signal: AbortSignal): HttpRequest {
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  for (const part of scope?.split(" ") ?? []) if (part !== "") url.searchParams.append("scope", part);
  const authorization =
    credential?.kind === "basic"
      ? basicAuthorization(credential.user, credential.password)
      : credential?.kind === "identity"
        ? basicAuthorization("<token>", credential.token)
        : undefined;
  return { url, method: "GET", headers: { ...headers, ...(authorization ? { authorization } : {}) }, lane: "metadata", signal };
}

function byPost({ realm, service, scope, credential }: TokenRequest, headers: Record<string, string>, signal: AbortSignal): HttpRequest {
  const form = new URLSearchParams({ grant_type: "refresh_token", client_id: clientId, service: service ?? "", scope: scope ?? "" });
  if (credential?.kind === "identity") form.set("refresh_token", credential.token);
  return {
    url: realm,
    method: "POST",
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
    body: form.toString(),
    lane: "metadata",
    signal,
  };
}

async function readToken(reply: Reply, { clock, signal }: { clock: Clock; signal: AbortSignal }): Promise<IssuedToken> {
  if (reply.status !== 200) {
    reply.body.discard();
    const error = statusError(reply, { unknown: "NAME_UNKNOWN", name: "a token" }, clock);
    throw error.code === "NAME_UNKNOWN" ? unusable(reply.url, `its token service answered ${reply.status}`) : error;
  }
  try {
    const issued = parseIssuedToken(await reply.body.readAll(answerBytesMax, signal), reply.url);
    reply.passage.succeeded();
    return issued;
  } catch (error) {
    if (error instanceof OciError) reply.passage.failed(error);
    throw error;
  }
}

/** A token service's answer. Throws `UPSTREAM_UNAVAILABLE` when there is no token in it that a header can carry. */
export function parseIssuedToken(bytes: Buffer, url: URL): IssuedToken {
  const json = parseJson(bytes, url);
  const token = [json["token"], json["access_token"]].find((value) => typeof value === "string" && value !== "");
  if (typeof token !== "string" || token.length > tokenLengthMax || !/^[\x21-\x7e]+$/.test(token)) throw unusable(url, "no token in its answer");
  const expiresIn = json["expires_in"];
  const issuedAt = typeof json["issued_at"] === "string" ? Date.parse(json["issued_at"]) : Number.NaN;
  return {
    token,
    expiresInSeconds: typeof expiresIn === "number" && Number.isFinite(expiresIn) ? expiresIn : undefined,
    issuedAtMs: Number.isNaN(issuedAt) ? undefined : issuedAt,
  };
}

function parseJson(bytes: Buffer, url: URL): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof json === "object" && json !== null) return Object.fromEntries(Object.entries(json));
  } catch (error) {
    throw unusable(url, "its token service answered no JSON", error);
  }
  throw unusable(url, "its token service answered no JSON object");
}
