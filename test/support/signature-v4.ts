/**
 * Signature Version 4, from the side of AWS: whether a request as it came over the wire was signed with a secret. Written from AWS's
 * own description ("Signature Version 4 signing process"), so that no SDK checks itself.
 */
import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

export interface WireRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a signed request says of itself. */
export interface SignedClaim {
  readonly accessKeyId: string;
  readonly region: string;
  readonly service: string;
  readonly sessionToken: string | undefined;
  /** When it was signed, in milliseconds since 1970. */
  readonly atMs: number;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const form = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([0-9]{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/** Undefined when the request is not signed, or leaves out of its signature what belongs in it: host, date, and every x-amz header. */
export function claimOf({ headers }: WireRequest): SignedClaim | undefined {
  const [, accessKeyId, day, region, service, names, signature] = form.exec(headers.authorization ?? "") ?? [];
  const date = textOf(headers["x-amz-date"]);
  const atMs = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (accessKeyId === undefined || region === undefined || service === undefined || signature === undefined || Number.isNaN(atMs)) return undefined;
  const signedHeaders = (names ?? "").split(";");
  const needed = ["host", ...Object.keys(headers).filter((name) => name.startsWith("x-amz-"))];
  if (day !== date.slice(0, 8) || needed.some((name) => !signedHeaders.includes(name))) return undefined;
  const sessionToken = headers["x-amz-security-token"] === undefined ? undefined : textOf(headers["x-amz-security-token"]);
  return { accessKeyId, region, service, sessionToken, atMs, signedHeaders, signature };
}

/** Whether `secret` made the signature that the request claims. */
export function isSignedWith(secret: string, request: WireRequest, claim: SignedClaim): boolean {
  const date = textOf(request.headers["x-amz-date"]);
  const scope = `${date.slice(0, 8)}/${claim.region}/${claim.service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonicalRequest(request, claim.signedHeaders))].join("\n");
  const key = [date.slice(0, 8), claim.region, claim.service, "aws4_request"].reduce<Buffer | string>(
    (previous, part) => hmac(previous, part),
    `AWS4${secret}`,
  );
  return hmac(key, text).toString("hex") === claim.signature;
}

function canonicalRequest({ method, url, headers, body }: WireRequest, signedHeaders: readonly string[]): string {
  const [path = "/", query = ""] = url.split("?", 2);
  // Every service but S3 encodes the path, which is encoded already, once more.
  const canonicalPath = path.split("/").map(encoded).join("/");
  const canonicalQuery = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", value = ""] = pair.split("=", 2);
      return `${encoded(decodeURIComponent(name))}=${encoded(decodeURIComponent(value))}`;
    })
    .toSorted()
    .join("&");
  const canonicalHeaders = signedHeaders.map((name) => `${name}:${textOf(headers[name]).trim().replace(/ +/g, " ")}\n`).join("");
  return [method, canonicalPath, canonicalQuery, canonicalHeaders, signedHeaders.join(";"), sha256(body)].join("\n");
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function textOf(header: string | readonly string[] | undefined): string {
  return typeof header === "string" ? header : (header ?? []).join(",");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
