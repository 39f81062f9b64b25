/** Fetching a small JSON document from a provider of identities: one address, one answer, with a deadline and a limit, no redirects. */
import type { Clock } from "../oci/clock.ts";
import { objectOf } from "./json-object.ts";

/** How `auth` reaches out. What is trusted on that way (proxies, authorities, addresses) is settled where it is made. */
export type OutboundFetch = (request: OutboundRequest) => Promise<Response>;

export interface OutboundRequest {
  readonly url: string;
  /** The address that the operator wrote, when `url` stood in an answer of it; undefined when the operator wrote `url`. */
  readonly namedBy: string | undefined;
  /** Default: GET. */
  readonly method?: "GET" | "POST" | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Follows no redirect. */
  readonly redirect: "manual";
  readonly signal: AbortSignal;
}

export interface JsonFetchOptions {
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
  readonly namedBy?: string | undefined;
}

/** What is sent beside `Accept`. */
export interface JsonRequest {
  readonly method?: "GET" | "POST" | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

export interface FetchedText {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** An answer, and none that was hoped for. */
export class StatusError extends Error {
  readonly status: number;

  constructor(shownUrl: string, status: number) {
    super(`${shownUrl}: status ${status}`);
    this.name = "StatusError";
    this.status = status;
  }
}

/** From the request to the last byte of the answer. */
export const jsonFetchTimeoutMs = 5_000;
const answerBytesMax = 512 << 10;

/**
 * The object at `url`. Throws a `StatusError` for any status but 200, and an Error that says what else was wrong; it names the address
 * without its query, and quotes nothing of the answer.
 */
export async function fetchJson(url: string, options: JsonFetchOptions, request: JsonRequest = {}): Promise<Readonly<Record<string, unknown>>> {
  const { status, text } = await fetchText(url, options, request);
  if (status !== 200) throw new StatusError(shownUrl(url), status);
  return parseObject(url, text);
}

/** The answer of `url`, whatever its status. Throws an Error as `fetchJson`. */
export async function fetchText(url: string, { fetch, clock, namedBy }: JsonFetchOptions, { method, headers, body }: JsonRequest = {}): Promise<FetchedText> {
  const shown = shownUrl(url);
  const deadline = new AbortController();
  const cancel = clock.after(jsonFetchTimeoutMs, () => deadline.abort(new Error(`no answer from ${shown} within ${jsonFetchTimeoutMs} ms`)));
  try {
    const response = await fetch({
      url,
      namedBy,
      method,
      headers: { accept: "application/json", ...headers },
      body,
      redirect: "manual",
      signal: deadline.signal,
    });
    return { status: response.status, headers: response.headers, text: await readText(response, deadline.signal) };
  } catch (error) {
    if (deadline.signal.aborted) throw deadline.signal.reason;
    throw new Error(`${shown}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    cancel();
  }
}

/** An answer's body. */
async function readText(response: Response, signal: AbortSignal): Promise<string> {
  if (!response.body) return "";
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  const onAbort = (): void => void reader.cancel(signal.reason).catch(() => {}); // What is being given up may fail as it likes.
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
      if (bytes > answerBytesMax) break;
      pieces.push(value);
    }
    signal.throwIfAborted();
    if (bytes > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    return Buffer.concat(pieces).toString("utf8");
  } finally {
    signal.removeEventListener("abort", onAbort);
    await reader.cancel().catch(() => {}); // Read to its end, or given up.
  }
}

function shownUrl(url: string): string {
  return url.split("?", 1)[0] ?? "";
}

/** The object that `text`, an answer of `url`, holds. Throws an Error that quotes nothing of it. */
export function parseObject(url: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${shownUrl(url)}: the answer is no JSON`); // The parser's own message quotes the answer.
  }
  const object = objectOf(value);
  if (!object) throw new Error(`${shownUrl(url)}: the answer is no JSON object`);
  return object;
}
