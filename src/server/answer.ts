/** Answer: a response as a value. Handlers make one; one place sends it. */
import type { Answered } from "../oci/registry.ts";

export interface Answer {
  readonly status: number;
  /** Names and values in turn: what `writeHead` takes without looking twice. */
  readonly headers: readonly string[];
  /** Left out of the answer to a HEAD; `Content-Length` tells its length in both. */
  readonly body: Uint8Array | string;
  /** How a string becomes bytes: "latin1" is bytes written as a string, one character each. */
  readonly encoding?: "utf8" | "latin1";
  readonly outcome?: Answered["outcome"];
}

export const apiVersionHeader = ["Docker-Distribution-Api-Version", "registry/2.0"] as const;

/** JSON with the API's version header. `body` is written as it is: what it holds is chosen by the caller. */
export function jsonAnswer(status: number, json: unknown, { contentType = "application/json", headers = [], outcome }: JsonAnswerOptions = {}): Answer {
  const body = JSON.stringify(json);
  return {
    status,
    headers: ["Content-Type", contentType, "Content-Length", String(Buffer.byteLength(body)), ...apiVersionHeader, ...headers],
    body,
    ...(outcome ? { outcome } : {}),
  };
}

export interface JsonAnswerOptions {
  readonly contentType?: string;
  readonly headers?: readonly string[];
  readonly outcome?: Answered["outcome"] | undefined;
}

/** Plain text for people. */
export function textAnswer(status: number, body: string, contentType = "text/plain; charset=utf-8"): Answer {
  return { status, headers: ["Content-Type", contentType, "Content-Length", String(Buffer.byteLength(body))], body };
}

const warningBytesMax = 4_096;

/** `Warning` headers for an answer's warnings: `299 - "text"`, 4,096 bytes of them at most. OCI distribution-spec 1.1 "Warnings". */
export function warningHeaders(warnings: readonly string[]): readonly string[] {
  if (warnings.length === 0) return warnings;
  const headers: string[] = [];
  let left = warningBytesMax;
  for (const warning of warnings) {
    const value = `299 - "${warning.replaceAll(/[^\x20-\x7e]/g, "?").replaceAll(/["\\]/g, "\\$&")}"`;
    left -= value.length;
    if (left < 0) break;
    headers.push("Warning", value);
  }
  return headers;
}
