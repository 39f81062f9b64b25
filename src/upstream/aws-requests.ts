/**
 * AwsRequests: how the AWS SDK's requests leave: by the same connections, proxies, name look-ups and words for failures as all others.
 * It ends with the fetch that it was made for, and remembers what was asked last, so that a failure can be told in plain words.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { SendRequest } from "./token-endpoint.ts";
import { startBudget } from "../oci/waiting.ts";

/** Connections to one place. */
export interface Connection {
  readonly send: SendRequest;
  close(): Promise<void>;
}

/** A request as the SDK makes it, signed. */
export interface SignedRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>> | undefined;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** An answer as the SDK takes it. */
export interface CollectedAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

export interface AwsRequestsOptions {
  /** Opens connections to an origin. */
  readonly connect: (origin: URL) => Connection;
  readonly clock: Clock;
  /** Ends all of them. */
  readonly signal: AbortSignal;
}

/** Less than a whole fetch may take, so that who was silent can be named, and asked again. */
const answerMs = 4_000;
/** A token has about 3 KiB. */
const answerBytesMax = 256 << 10;
/** What the SDK looks at. */
const headersTold = ["age", "content-type", "date", "retry-after", "x-amz-retry-after", "x-amzn-errortype", "x-amzn-query-error", "x-amzn-requestid"] as const;

/** An HTTP handler for the SDK's clients. Dispose of it when the fetch is over, and its connections end. */
export class AwsRequests implements AsyncDisposable {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #options: AwsRequestsOptions;
  readonly #connections = new Map<string, Connection>();
  #asked: { readonly action: string; readonly host: string } | undefined;
  #failure: OciError | undefined;

  constructor(options: AwsRequestsOptions) {
    this.#options = options;
  }

  /** What was asked last: `ecr:GetAuthorizationToken`, and of whom. */
  get asked(): { readonly action: string; readonly host: string } | undefined {
    return this.#asked;
  }

  /** Why the last request got no answer, if it got none: the SDK loses some of these on its way. */
  get failure(): OciError | undefined {
    return this.#failure;
  }

  /** Sends, and reads the whole answer. Rejects with `OciError`, or with the signal's reason. */
  async handle(request: SignedRequest): Promise<{ response: CollectedAnswer }> {
    const { clock, signal } = this.#options;
    signal.throwIfAborted();
    const url = urlOf(request);
    this.#asked = { action: actionOf(request), host: url.host };
    this.#failure = undefined;
    const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `no answer from ${url.host} within ${answerMs} ms`, { source: "upstream" });
    using budget = startBudget({ clock, limitMs: answerMs, signal, late });
    try {
      const message = { method: methodOf(request), headers: request.headers, ...bodyOf(request) };
      const answer = await this.#connection(url).send({ url, ...message, lane: "metadata", signal: budget.signal });
      const body = await answer.body.readAll(answerBytesMax, budget.signal);
      const headers = headersTold.flatMap((name) => {
        const value = answer.header(name);
        return value === undefined ? [] : [[name, value] as const];
      });
      return { response: { statusCode: answer.status, headers: Object.fromEntries(headers), body } };
    } catch (error) {
      if (error instanceof OciError) this.#failure = error;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
  }

  /** Part of the SDK's interface: nothing of ours can be set from there. */
  updateHttpClientConfig(): void {}
  httpHandlerConfigs(): object {
    return {};
  }
  destroy(): void {}

  #connection({ origin }: URL): Connection {
    const connection = this.#connections.get(origin) ?? this.#options.connect(new URL(origin));
    this.#connections.set(origin, connection);
    return connection;
  }
}

function urlOf({ protocol, hostname, port, path, query = {} }: SignedRequest): URL {
  const pairs = Object.entries(query).flatMap(([name, values]) => [values ?? ""].flat().map((value) => `${escaped(name)}=${escaped(value)}`));
  return new URL(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}${pairs.length === 0 ? "" : `?${pairs.join("&")}`}`);
}

/** As it was signed: RFC 3986 "Unreserved Characters" as they are, all others as %XX. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function methodOf({ method }: SignedRequest): "GET" | "POST" {
  if (method === "GET" || method === "POST") return method;
  throw new OciError("UNSUPPORTED", `the AWS SDK asks by ${method}, which nothing here needs`);
}

function bodyOf({ body }: SignedRequest): { readonly body?: string } {
  if (typeof body === "string") return { body };
  // Not Buffer.from: the SDK complains when its bytes are asked for their text.
  return body instanceof Uint8Array ? { body: new TextDecoder().decode(body) } : {};
}

/** `ecr:GetAuthorizationToken`, as policies write it. */
function actionOf({ headers, body, hostname, path }: SignedRequest): string {
  const [target = "", operation] = (headers["x-amz-target"] ?? headers["X-Amz-Target"] ?? "").split(".");
  if (operation !== undefined) return `${target.startsWith("Spencer") ? "ecr-public" : "ecr"}:${operation}`;
  const form = typeof body === "string" ? /(?:^|&)Action=([A-Za-z]+)/.exec(body)?.[1] : undefined;
  if (form !== undefined) return `sts:${form}`;
  return path.startsWith("/federation/") ? "sso:GetRoleCredentials" : `a request to ${hostname}`;
}
