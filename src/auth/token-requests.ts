/**
 * Token requests: what clients send to a token service, read. By GET, with a password in the Authorization header (Docker's "Token
 * Authentication Specification"), or by POST as a form (Docker's "OAuth2 Token Authentication", after RFC 6749).
 */
import type { Clock } from "../oci/clock.ts";
import type { Evidence, Login } from "./authenticator.ts";
import { readBasic } from "./basic.ts";
import { readBody } from "./request-body.ts";
import { parseScopes, type Scope } from "./token-scopes.ts";

export interface TokenRequest {
  /** How it shows who it is. */
  readonly proof: TokenProof;
  readonly scopes: readonly Scope[];
  /** Undefined: the client did not say, and means us. */
  readonly service: string | undefined;
  /** Asks for a refresh token too. */
  readonly wantsRefresh: boolean;
  /** The answer to a form says what was granted. */
  readonly isForm: boolean;
}

export type TokenProof =
  { readonly kind: "none" } | { readonly kind: "password"; readonly login: Login } | { readonly kind: "refresh"; readonly token: string };

/** A request that cannot be read, in the words of RFC 6749 5.2. */
export interface UnreadRequest {
  readonly status: 400 | 401 | 405 | 408 | 413;
  readonly error: "invalid_request" | "invalid_scope" | "unsupported_grant_type" | "invalid_client";
  readonly message: string;
}

/** Bytes of a form. */
export const formBytesMax = 64 << 10;
/** From the request to the end of its form. */
const formTimeoutMs = 10_000;

/** Reads a request. Rejects with what reading its body rejects with: the client has left. */
export async function readTokenRequest(
  request: Request,
  { authorization }: Pick<Evidence, "authorization">,
  clock: Clock,
): Promise<TokenRequest | UnreadRequest> {
  if (request.method === "GET") return readQuery(new URL(request.url).searchParams, authorization);
  if (request.method !== "POST") return { status: 405, error: "invalid_request", message: "tokens are asked for by GET or POST" };
  if (authorization.length > 1) return { status: 401, error: "invalid_client", message: "more than one Authorization header" };
  const text = await readForm(request, clock);
  return typeof text === "string" ? readFields(new URLSearchParams(text)) : text;
}

function readQuery(query: URLSearchParams, authorization: readonly string[]): TokenRequest | UnreadRequest {
  const shown = readBasic(authorization);
  if (shown.kind === "unreadable") return { status: 401, error: "invalid_client", message: shown.reason };
  const proof: TokenProof = shown.kind === "login" ? { kind: "password", login: shown.login } : { kind: "none" };
  return finish(query, { proof, wantsRefresh: query.get("offline_token") === "true", isForm: false });
}

function readFields(form: URLSearchParams): TokenRequest | UnreadRequest {
  const repeated = ["grant_type", "username", "password", "refresh_token", "access_type"].find((name) => form.getAll(name).length > 1);
  if (repeated !== undefined) return invalid(`${repeated} is given twice`);
  const wantsRefresh = form.get("access_type") === "offline";
  const grantType = form.get("grant_type");
  if (grantType === "refresh_token") {
    const token = form.get("refresh_token") ?? "";
    return token === "" ? invalid("refresh_token is missing") : finish(form, { proof: { kind: "refresh", token }, wantsRefresh: false, isForm: true });
  }
  if (grantType !== "password") {
    return grantType === null
      ? invalid("grant_type is missing")
      : { status: 400, error: "unsupported_grant_type", message: "grant_type is to be password or refresh_token" };
  }
  const login = { user: form.get("username") ?? "", password: form.get("password") ?? "" };
  if (login.user.trim() === "") return invalid("username is missing");
  return finish(form, { proof: { kind: "password", login }, wantsRefresh, isForm: true });
}

function finish(parameters: URLSearchParams, rest: Pick<TokenRequest, "proof" | "wantsRefresh" | "isForm">): TokenRequest | UnreadRequest {
  const scopes = parseScopes(parameters.getAll("scope"));
  if (!scopes) return { status: 400, error: "invalid_scope", message: "a scope is to be TYPE:NAME:ACTION,ACTION, and there are to be few" };
  const services = new Set(parameters.getAll("service").filter((service) => service !== ""));
  if (services.size > 1) return invalid("service is given twice");
  return { ...rest, scopes, service: [...services][0] };
}

/** The text of a form, or why there is none. Rejects as `readTokenRequest`. */
export async function readForm(request: Request, clock: Clock): Promise<string | UnreadRequest> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers.get("content-type") ?? ""))
    return invalid("the form is to be application/x-www-form-urlencoded");
  const body = await readBody(request, { bytesMax: formBytesMax, timeoutMs: formTimeoutMs, clock });
  switch (body.kind) {
    case "read":
      return body.text;
    case "too large":
      return { status: 413, error: "invalid_request", message: `a form of more than ${formBytesMax} bytes` };
    case "late":
      return { status: 408, error: "invalid_request", message: `the form was not there within ${formTimeoutMs} ms` };
    default:
      return body satisfies never;
  }
}

function invalid(message: string): UnreadRequest {
  return { status: 400, error: "invalid_request", message };
}
