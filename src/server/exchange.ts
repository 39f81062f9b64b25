/** Exchange: one request on its way to its answer. What is known of it collects here; when the answer has gone, it is told. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Admitted } from "../auth/gate.ts";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Clock } from "../oci/clock.ts";
import type { OciError } from "../oci/errors.ts";
import { referenceName } from "../oci/reference.ts";
import type { Answered, Call } from "../oci/registry.ts";
import type { RequestKind, RequestRecord } from "../oci/request-record.ts";
import type { Answer } from "./answer.ts";
import { clientAddress, type TrustedProxies } from "./client-address.ts";
import { crossOriginHeaders, type CrossOriginOptions } from "./cross-origin.ts";
import { errorAnswer } from "./errors.ts";
import { ExchangeVisit } from "./exchange-visit.ts";
import { namedFailure } from "./named-failure.ts";
import { requestIdFrom } from "./request-id.ts";
import type { Route } from "./routes.ts";

/** What `listen` gives each request; under `app.request` there is none of it. */
export interface NodeBindings {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
  /** The peer's address, after a PROXY header. */
  readonly peer?: string;
}

export { RESPONSE_ALREADY_SENT };

/** A request as it came: by Node, by fetch, or both. */
export interface Asked {
  readonly bindings: NodeBindings;
  readonly request?: Request;
}

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly proxies: TrustedProxies;
  readonly draining: () => boolean;
  readonly onRequest: (record: RequestRecord) => void;
  /** Whoever comes here administrates: nobody else can. */
  readonly forAdministrators: boolean;
  /** Which pages of other sites may read the answers; undefined: none. */
  readonly crossOrigin: CrossOriginOptions | undefined;
}

const noCachePattern = /(?:^|,)\s*no-cache\s*(?:,|$)/i;
const clientLeftStatus = 499;
/** What is for one user must be shown to no other by whatever caches in between. */
const guardedHeaders = ["Cache-Control", "private", "Vary", "Authorization"];

export class Exchange {
  readonly method: string;
  /** Path and query as they came over the wire. */
  readonly target: string;
  readonly requestId: string;
  readonly outgoing: ServerResponse | undefined;
  readonly #asked: Asked;
  readonly #incoming: IncomingMessage | undefined;
  readonly #options: ExchangeOptions;
  readonly #startedMs: number;
  #kind: RequestKind;
  #route: Route | undefined;
  #abort: AbortController | undefined;
  #admitted: Admitted | undefined;
  #isGuarded = false;
  #administrates: boolean;
  #isTold = false;

  constructor(asked: Asked, kind: RequestKind, options: ExchangeOptions) {
    const { incoming, outgoing } = asked.bindings;
    this.#asked = asked;
    this.#incoming = incoming;
    this.#options = options;
    this.#kind = kind;
    this.#administrates = options.forAdministrators;
    this.#startedMs = options.clock.elapsed();
    this.outgoing = outgoing;
    this.method = incoming?.method ?? asked.request?.method ?? "GET";
    this.target = incoming?.url?.startsWith("/") ? incoming.url : targetOf(asked.request?.url ?? "");
    this.requestId = requestIdFrom(this.header("x-request-id"));
  }

  /** A request header by its lower-case name; several lines are joined by commas. */
  header(name: string): string | undefined {
    if (!this.#incoming) return this.#asked.request?.headers.get(name) ?? undefined;
    const value = this.#incoming.headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  /** Their lower-case names. */
  headerNames(): readonly string[] {
    return this.#incoming ? Object.keys(this.#incoming.headers) : [...(this.#asked.request?.headers.keys() ?? [])];
  }

  /** Whether the client has asked for this media type by its name. */
  accepts(mediaType: string): boolean {
    return (this.header("accept") ?? "").split(",").some((range) => range.split(";", 1)[0]?.trim().toLowerCase() === mediaType);
  }

  /** Who is connected: by the connection itself, and by the PROXY header that came over it. Empty where there is no connection. */
  get peers(): readonly string[] {
    return [this.#incoming?.socket.remoteAddress, this.#asked.bindings.peer].filter((address) => address !== undefined);
  }

  /** The request with its body, where it came by fetch. */
  get request(): Request | undefined {
    return this.#asked.request;
  }

  /** From now on the exchange is known by what it asks for. */
  understood(route: Route): void {
    this.#route = route;
    this.#kind = route.kind === "upload" ? "other" : route.kind;
  }

  /** A gate decides about it: the answer is for this client alone. */
  guarded(): ExchangeVisit {
    this.#isGuarded = true;
    return this.visit();
  }

  /** The request as a gate sees it. */
  visit(): ExchangeVisit {
    return new ExchangeVisit(this, this.#incoming, this.#asked.bindings.peer, this.#options.proxies);
  }

  /** A gate let it in. */
  admitted(admitted: Admitted): void {
    this.#admitted = admitted;
  }

  /** Whether the client asks for what the upstream says now, whatever is known here (RFC 9111 5.2.1.4). */
  get asksNoCache(): boolean {
    const asked = this.header("cache-control");
    return asked !== undefined && noCachePattern.test(asked);
  }

  /** A gate found that it comes from somebody who administrates. */
  administrated(): void {
    this.#administrates = true;
  }

  /** Whether it asks so, and may: it is administrators who make us ask upstream at will. */
  get noCache(): boolean {
    return this.#administrates && this.asksNoCache;
  }

  /** The address of the client, as far as proxies are trusted. */
  get client(): string {
    return clientAddress(this.#asked.bindings.peer ?? this.#incoming?.socket.remoteAddress, this.header("x-forwarded-for"), this.#options.proxies);
  }

  /** Aborted when the client leaves before its answer has gone. */
  get signal(): AbortSignal {
    const { outgoing } = this;
    if (!outgoing && this.#asked.request) return this.#asked.request.signal;
    if (this.#abort) return this.#abort.signal;
    const abort = new AbortController();
    this.#abort = abort;
    if (!outgoing) return abort.signal;
    const onClose = (): void => {
      if (!outgoing.writableFinished) abort.abort(new Error("the client closed the connection"));
    };
    if (outgoing.destroyed) onClose();
    else outgoing.once("close", onClose);
    return abort.signal;
  }

  get clientLeft(): boolean {
    return this.#abort?.signal.aborted === true || this.outgoing?.destroyed === true;
  }

  /** What goes with every call on a registry for this request. */
  call(): Call {
    const call = { signal: this.signal, requestId: this.requestId, purpose: "pull", mayFetch: this.#admitted?.mayFetch ?? true } as const;
    const user = this.#admitted?.principal?.name;
    return { ...call, ...(user === undefined ? {} : { principal: user }), ...(this.noCache ? { noCache: true } : {}) };
  }

  /** Headers that every answer to this request carries, after those of the answer itself. */
  withOwnHeaders(headers: readonly string[]): string[] {
    const own = [...headers, "X-Request-Id", this.requestId];
    const { crossOrigin } = this.#options;
    if (crossOrigin) own.push(...crossOriginHeaders(crossOrigin, { method: this.method, origin: this.header("origin"), allowed: valueOf(headers, "allow") }));
    if (this.#isGuarded) own.push(...guardedHeaders);
    if (this.#admitted?.challenge !== undefined) own.push("WWW-Authenticate", this.#admitted.challenge);
    if (this.#admitted?.setCookie !== undefined) own.push("Set-Cookie", this.#admitted.setCookie);
    if (this.#route?.ns !== undefined) own.push("OCI-Namespace", this.#route.ns);
    if (this.#options.draining() || this.#hasBody()) own.push("Connection", "close");
    return own;
  }

  /** Sends an answer, and tells. */
  send(answer: Answer): Response {
    const isBare = this.method === "HEAD" || answer.status === 304 || answer.status === 204;
    this.tell(answer.status, isBare ? 0 : lengthOf(answer), answer.outcome);
    const headers = this.withOwnHeaders(answer.headers);
    const { outgoing } = this;
    if (!outgoing) return new Response(isBare ? null : bodyOf(answer), { status: answer.status, headers: pairsOf(headers) });
    if (outgoing.destroyed) return RESPONSE_ALREADY_SENT;
    outgoing.writeHead(answer.status, headers);
    if (isBare) outgoing.end();
    else if (typeof answer.body === "string") outgoing.end(answer.body, answer.encoding ?? "utf8");
    else outgoing.end(answer.body);
    return RESPONSE_ALREADY_SENT;
  }

  /** Sends what a failure comes to, and tells. */
  sendFailure(error: OciError): Response {
    return this.send(errorAnswer(namedFailure(error, this.#route)));
  }

  /** Tells what the request amounted to, once: a second call says nothing. */
  tell(status: number, sentBytes: number, outcome?: Answered["outcome"]): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const route = this.#route;
    this.#options.onRequest({
      requestId: this.requestId,
      method: this.method,
      kind: this.#kind,
      repository: route && "repository" in route ? route.repository : undefined,
      reference: referenceOf(route),
      status,
      sentBytes,
      durationMs: this.#options.clock.elapsed() - this.#startedMs,
      outcome,
      client: this.client,
      principal: this.#admitted?.principal?.name,
    });
  }

  /** The client left before there was a status. */
  tellLeft(): Response {
    this.tell(clientLeftStatus, 0);
    return RESPONSE_ALREADY_SENT;
  }

  /** Request bodies are never read: the connection that carries one closes after the answer. */
  #hasBody(): boolean {
    const headers = this.#incoming?.headers;
    if (!headers) return false;
    return headers["transfer-encoding"] !== undefined || (headers["content-length"] !== undefined && headers["content-length"] !== "0");
  }
}

function referenceOf(route: Route | undefined): string | undefined {
  if (route === undefined) return undefined;
  if (route.kind === "manifest") return referenceName(route.reference);
  return "digest" in route ? route.digest : undefined;
}

function targetOf(url: string): string {
  const pathAt = url.indexOf("/", url.indexOf("//") + 2);
  return pathAt === -1 ? "/" : url.slice(pathAt);
}

/** Of a header, in names and values in turn. */
function valueOf(headers: readonly string[], name: string): string | undefined {
  const at = headers.findIndex((header, index) => index % 2 === 0 && header.toLowerCase() === name);
  return at === -1 ? undefined : headers[at + 1];
}

function lengthOf({ body, encoding = "utf8" }: Answer): number {
  return typeof body === "string" ? Buffer.byteLength(body, encoding) : body.byteLength;
}

function bodyOf({ body, encoding = "utf8" }: Answer): Uint8Array<ArrayBuffer> {
  return typeof body === "string" ? Buffer.from(body, encoding) : new Uint8Array(body);
}

function pairsOf(headers: readonly string[]): [string, string][] {
  return Array.from({ length: headers.length / 2 }, (_, index) => [headers[2 * index] ?? "", headers[2 * index + 1] ?? ""]);
}
