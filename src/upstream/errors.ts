/**
 * Errors: the one place where what goes wrong upstream (a status, a socket, a certificate, a name) becomes an `OciError` in plain
 * words. Messages hold no URL query and no secret.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError, type OciErrorCode } from "../oci/errors.ts";
import { parseContentRange } from "./content-range.ts";

/** So long we tell a client to stay away at most. */
export const retryAfterMsMax = 30_000;

/** No connection came about: the name, the port, the certificate. Whoever asks again at once will hear the same. */
export class ConnectFailure extends OciError {}

/** An address that policy keeps us from dialling: nobody was asked anything, and nothing is wrong with anybody. */
export class AddressRefused extends OciError {}

/** What a request was for: the code for "there is none", and the words for messages ("tag 3.20 of docker.io/library/alpine"). */
export interface Sought {
  readonly unknown: Extract<OciErrorCode, "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "NAME_UNKNOWN">;
  readonly name: string;
}

interface Heard {
  readonly status: number;
  readonly url: URL;
  header(name: string): string | undefined;
}

/** The error that a final answer's status stands for. */
export function statusError(answer: Heard, sought: Sought, clock: Clock): OciError {
  const { status, url } = answer;
  const said = `${url.host} answered ${status}`;
  const source = "upstream";
  if (status === 404 || status === 410) return new OciError(sought.unknown, `no ${sought.name}: ${said}`, { source });
  if (status === 401 || status === 403 || status === 451) return new OciError("DENIED", `${sought.name}: access refused or no such thing: ${said}`, { source });
  if (status === 429)
    return new OciError("UPSTREAM_THROTTLED", `${sought.name}: ${said}`, { source, retryAfterMs: Math.min(retryAfterMsMax, pauseMsOf(answer, clock)) });
  if (status === 408) return new OciError("UPSTREAM_TIMEOUT", `${sought.name}: ${said}`, { source });
  if (status === 416) {
    const sizeBytes = parseContentRange(answer.header("content-range") ?? "")?.sizeBytes;
    return new OciError("RANGE_INVALID", `${sought.name}: no such range: ${said}`, { source, ...(sizeBytes === undefined ? {} : { sizeBytes }) });
  }
  return new OciError("UPSTREAM_UNAVAILABLE", `${sought.name}: ${said}`, { source });
}

/** A 429, with all the time it asks for: for the breaker, which waits so long, not for clients. */
export function throttled(answer: Heard, clock: Clock): OciError {
  return new OciError("UPSTREAM_THROTTLED", `${answer.url.host} answered 429: it asks us to slow down`, {
    source: "upstream",
    retryAfterMs: pauseMsOf(answer, clock),
  });
}

function pauseMsOf(answer: Heard, clock: Clock): number {
  return parseRetryAfter(answer.header("retry-after"), clock) ?? retryAfterMsDefault;
}

/** An answer that came, but makes no sense. */
export function unusable(url: URL, why: string, cause?: unknown): OciError {
  return new OciError("UPSTREAM_UNAVAILABLE", `${url.host} gave an answer that cannot be used: ${why}`, { source: "upstream", cause });
}

/** The error of a request that got no answer, or half of one. `isConnected`: it had left on a connection. */
export function networkError(error: unknown, url: URL, isConnected: boolean): OciError {
  if (error instanceof OciError) {
    return isConnected || error instanceof ConnectFailure || error instanceof AddressRefused || error.source === "local" ? error : withConnectFailure(error);
  }
  const message = `${describe(error, isConnected)} ${url.host}`;
  const options = { source: "upstream", cause: error } as const;
  if (codeOf(error) === "ETIMEDOUT") return new OciError("UPSTREAM_TIMEOUT", message, options);
  return isConnected ? new OciError("UPSTREAM_UNAVAILABLE", message, options) : new ConnectFailure("UPSTREAM_UNAVAILABLE", message, options);
}

/** True for failures that will not pass by themselves within a request or two: name, connection, certificate, silence. */
export function opensAtOnce(error: OciError): boolean {
  return error instanceof ConnectFailure || error.code === "UPSTREAM_TIMEOUT";
}

/** `Retry-After` in milliseconds: seconds, or an HTTP date; at most a day. Undefined for anything else. RFC 9110 10.2.3. */
export function parseRetryAfter(value: string | undefined, clock: Clock): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim().slice(0, 64);
  if (/^[0-9]{1,9}$/.test(text)) return Math.min(Number(text) * 1_000, pauseMsMax);
  const at = /^[A-Z][a-z]{2},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - clock.now()), pauseMsMax);
}

const retryAfterMsDefault = 5_000;
/**
 * Whoever asks for more is asked again after this. Quotas begin anew after hours (Docker Hub's after six). A wrong or hostile value can
 * silence its own registry for so long: what is held is served meanwhile, other registries notice nothing, and a restart forgets it.
 */
const pauseMsMax = 86_400_000;

function withConnectFailure(error: OciError): OciError {
  if (error.code !== "UPSTREAM_UNAVAILABLE") return error;
  return new ConnectFailure(error.code, error.message, { source: error.source, cause: error.cause });
}

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused by",
  ECONNRESET: "connection reset by",
  EPIPE: "connection closed by",
  UND_ERR_SOCKET: "connection closed by",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "a cut or overlong answer from",
  UND_ERR_HEADERS_OVERFLOW: "too many headers from",
  ENOTFOUND: "no such host:",
  EAI_AGAIN: "the name could not be looked up:",
  EHOSTUNREACH: "no route to",
  ENETUNREACH: "no network route to",
  ETIMEDOUT: "no answer in time from",
  CERT_HAS_EXPIRED: "the certificate has expired of",
  DEPTH_ZERO_SELF_SIGNED_CERT: "a self-signed certificate (set tls.ca) of",
  SELF_SIGNED_CERT_IN_CHAIN: "a certificate of an unknown authority (set tls.ca) of",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "a certificate of an unknown authority (set tls.ca) of",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "a certificate of an unknown authority (set tls.ca) of",
  ERR_TLS_CERT_ALTNAME_INVALID: "a certificate for another name from",
  ERR_SSL_WRONG_VERSION_NUMBER: "no TLS (set scheme: http?) at",
  EPROTO: "a TLS handshake failed with",
};

function describe(error: unknown, isConnected: boolean): string {
  const code = codeOf(error) ?? "";
  const known = words[code];
  if (known !== undefined) return known;
  if (code.startsWith("HPE_")) return "an answer that is not HTTP from";
  if (code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS")) return "a TLS handshake failed with";
  return `${isConnected ? "the exchange failed" : "no connection"}${code === "" ? "" : ` (${code})`} with`;
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return error.code;
}
