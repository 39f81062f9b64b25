/**
 * A token endpoint: a form goes there by POST, a JSON object comes back. RFC 6749 sections 3.2 and 5; Azure Container Registry's
 * `/oauth2/exchange` is one too. Its errors become ours, in words that say who refused what.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { statusError, unusable } from "./errors.ts";
import type { HttpRequest, HttpResponse } from "./exchange.ts";
import { objectOf, parseJsonObject, type JsonObject } from "./json-object.ts";
import { plainWords } from "./plain-words.ts";

const answerBytesMax = 128 << 10;
const tokenLengthMax = 64 << 10;

/** How a question leaves: by the project's own connections, which know what may be dialled. Rejects with `OciError`, or with the signal's reason. */
export type SendRequest = (request: HttpRequest) => Promise<HttpResponse>;

export interface TokenEndpoint {
  readonly url: URL;
  readonly send: SendRequest;
  readonly clock: Clock;
  readonly userAgent: string;
  /** Begins every message: `oauth2 client-credentials at idp.corp`. */
  readonly who: string;
}

export interface TokenQuestion {
  readonly form: Readonly<Record<string, string>>;
  readonly authorization?: string | undefined;
  /** What of the form nobody may read in a message, should the answer repeat it. */
  readonly secrets: readonly string[];
  /** What to do about a refusal, by the error code of its body. */
  readonly cure: (code: string | undefined) => string;
}

/** What an endpoint says of a refusal. */
interface Refusal {
  readonly code: string | undefined;
  readonly words: string | undefined;
}

/**
 * The answer to one question. Rejects with `DENIED` when the endpoint refuses it, or is none; with an outage when it is away, ill or
 * overrun, or answers no JSON object; with the signal's reason.
 */
export async function askTokenEndpoint(endpoint: TokenEndpoint, question: TokenQuestion, signal: AbortSignal): Promise<JsonObject> {
  const response = await sendForm(endpoint, question, signal);
  if (response.status >= 200 && response.status < 300) return await readObject(response, endpoint, signal);
  throw await refusalOf(response, endpoint, question, signal);
}

/** A token that a header can carry. Throws `UPSTREAM_UNAVAILABLE` for anything else. */
export function tokenIn(answer: JsonObject, field: string, { url, who }: Pick<TokenEndpoint, "url" | "who">): string {
  const token = answer[field];
  if (typeof token === "string" && token.length <= tokenLengthMax && /^[\x21-\x7e]+$/.test(token)) return token;
  throw told(who, unusable(url, `no ${field} in it`));
}

async function sendForm({ url, send, userAgent, who }: TokenEndpoint, { form, authorization }: TokenQuestion, signal: AbortSignal): Promise<HttpResponse> {
  const headers = {
    "user-agent": userAgent,
    accept: "application/json",
    "accept-encoding": "identity",
    "content-type": "application/x-www-form-urlencoded",
    ...(authorization === undefined ? {} : { authorization }),
  };
  try {
    return await send({ url, method: "POST", headers, body: new URLSearchParams(form).toString(), lane: "metadata", signal });
  } catch (error) {
    throw told(who, error, signal);
  }
}

async function readObject(response: HttpResponse, { who }: TokenEndpoint, signal: AbortSignal): Promise<JsonObject> {
  try {
    const object = parseJsonObject(await response.body.readAll(answerBytesMax, signal));
    if (object) return object;
    throw unusable(response.url, "it is no JSON object");
  } catch (error) {
    response.body.discard();
    throw told(who, error, signal);
  }
}

async function refusalOf(response: HttpResponse, { clock, who }: TokenEndpoint, { secrets, cure }: TokenQuestion, signal: AbortSignal): Promise<OciError> {
  const { status, url } = response;
  if (status === 429 || status === 408 || status >= 500) {
    response.body.discard();
    return statusError(response, { unknown: "NAME_UNKNOWN", name: who }, clock);
  }
  const from = `${who}: ${url.host} answered ${status}`;
  if (status < 400) {
    response.body.discard();
    const location = URL.parse(response.header("location") ?? "", url.href)?.host ?? "nowhere";
    return new OciError("DENIED", `${from} and leads to ${location}, where no credential follows; name the endpoint itself`, { source: "upstream" });
  }
  const { code, words } = await readRefusal(response, secrets, signal);
  const said = [code, words].filter((part) => part !== undefined).join(": ");
  const isPassing = code === "temporarily_unavailable" || code === "server_error";
  return new OciError(isPassing ? "UPSTREAM_UNAVAILABLE" : "DENIED", `${from}${said === "" ? "" : ` (${said})`}; ${isPassing ? "it may pass" : cure(code)}`, {
    source: "upstream",
  });
}

/** RFC 6749 5.2, or the error JSON of a registry. */
async function readRefusal(response: HttpResponse, secrets: readonly string[], signal: AbortSignal): Promise<Refusal> {
  let object: JsonObject | undefined;
  try {
    object = parseJsonObject(await response.body.readAll(answerBytesMax, signal));
  } catch (error) {
    response.body.discard();
    if (signal.aborted) throw error;
    return { code: undefined, words: undefined }; // The status says enough.
  }
  const [first]: readonly unknown[] = Array.isArray(object?.["errors"]) ? object["errors"] : [];
  const registryError = objectOf(first) ?? {};
  return {
    code: plainWords(object?.["error"] ?? registryError["code"], secrets),
    words: plainWords(object?.["error_description"] ?? registryError["message"], secrets),
  };
}

/** The error with who it happened to before it; what is no `OciError`, and the signal's own reason, as it is. */
function told(who: string, error: unknown, signal?: AbortSignal): unknown {
  if (!(error instanceof OciError) || (signal?.aborted && error === signal.reason)) return error;
  return new OciError(error.code, `${who}: ${error.message}`, {
    cause: error,
    source: error.source,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
