/**
 * HttpClient: one request, one answer, over HTTP/1.1 connections that are kept. It follows nothing, repeats nothing that was
 * answered, and knows nothing of registries. Blobs have connections of their own, so that they never starve manifests.
 */
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { LRUCache } from "lru-cache";
import { errors, Pool, type Dispatcher } from "undici";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { AddressPolicy } from "./address-policy.ts";
import { connector } from "./connecting.ts";
import { networkError } from "./errors.ts";
import type { NameLookup } from "./name-lookup.ts";
import { NetworkBody } from "./network-body.ts";
import { proxyAuthorization, type Proxies } from "./proxies.ts";
import type { Deadlines, UpstreamTls } from "./upstream-options.ts";

/** Connections to one origin, and requests that may wait for one. */
const connectionsMax = { metadata: 32, blob: 48 } as const;
const queuedMax = 1_024;
/** Origins whose connections are kept; the longest unused goes. */
const originsMax = 64;
const keepAliveMs = 10_000;

export type Lane = keyof typeof connectionsMax;

export interface HttpRequest {
  readonly url: URL;
  readonly method: "GET" | "HEAD" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly lane: Lane;
  /** Ends the wait for the answer's headers; never a body that has begun. */
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly url: URL;
  /** True when the address that answered is public, as far as is known. */
  readonly isPublicAddress: boolean;
  readonly body: NetworkBody;
  header(name: string): string | undefined;
}

export interface HttpClientOptions {
  readonly policy: AddressPolicy;
  readonly names: NameLookup;
  readonly proxies: Proxies;
  readonly tls: UpstreamTls | undefined;
  readonly clock: Clock;
  readonly background: Background;
  readonly deadlines: Deadlines;
}

interface Origin {
  readonly pool: Pool;
  readonly proxy: URL | undefined;
  dials: number;
  isPublic: boolean;
}

export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #origins: LRUCache<string, Origin>;
  #contexts: { readonly own: SecureContext; readonly others: SecureContext } | undefined;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#origins = new LRUCache({
      max: originsMax,
      dispose: ({ pool }) => options.background.run("closing connections", pool.close()),
    });
  }

  /** Sends, and resolves when the headers are there. Rejects with `OciError`, or with the signal's reason. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const origin = this.#origin(request.url, request.lane);
    const dialsBefore = origin.dials;
    const first = await this.#exchange(origin, request);
    if (first.kind === "answer") return first.response;
    // A kept connection that the other side had closed meanwhile says nothing about the upstream: once more on another.
    const wasKept = first.isConnected && (origin.dials === dialsBefore || wasUsedBefore(first.error));
    if (!wasKept || request.signal.aborted || request.method === "POST" || first.error instanceof OciError) throw failure(first, request);
    const second = await this.#exchange(origin, request);
    if (second.kind === "answer") return second.response;
    throw failure(second, request);
  }

  /** Ends every connection once it is idle. */
  async leave(): Promise<void> {
    await Promise.all([...this.#origins.values()].map(({ pool }) => pool.close()));
  }

  /** Ends every connection, busy or not. */
  async close(): Promise<void> {
    const pools = [...this.#origins.values()].map(({ pool }) => pool);
    await Promise.all(pools.map((pool) => pool.destroy(new OciError("UPSTREAM_UNAVAILABLE", "we are closing"))));
  }

  #exchange(origin: Origin, request: HttpRequest): Promise<Outcome> {
    if ((origin.pool.stats.queued ?? 0) >= queuedMax) {
      return Promise.resolve({ kind: "failure", isConnected: true, error: new OciError("OVERLOADED", `too many requests wait for ${request.url.host}`, { retryAfterMs: 1_000 }) });
    }
    const { clock, deadlines } = this.#options;
    return new Promise((resolve) => {
      const handler = new Exchange({ clock, headersMs: deadlines.headersMs, request, isPublic: () => origin.isPublic, settle: resolve });
      origin.pool.dispatch(
        {
          method: request.method,
          path: origin.proxy && request.url.protocol === "http:" ? withoutFragment(request.url) : `${request.url.pathname}${request.url.search}`,
          headers: headersFor(request, origin.proxy),
          ...(request.body === undefined ? {} : { body: request.body }),
          headersTimeout: 0,
          bodyTimeout: 0,
        },
        handler,
      );
    });
  }

  #origin(url: URL, lane: Lane): Origin {
    const key = `${lane} ${url.origin}`;
    const known = this.#origins.get(key);
    if (known) return known;
    const { policy, names, proxies, tls, clock, deadlines } = this.#options;
    const target = new URL(url.origin);
    const proxy = proxies.find(target);
    const connect = connector({
      target,
      proxy,
      policy,
      names,
      secureContext: this.#secureContext(target),
      insecureSkipVerify: tls?.insecureSkipVerify === true && policy.isOwnHost(target),
      clock,
      connectMs: deadlines.connectMs,
      onDialled: (isPublic) => {
        origin.dials += 1;
        origin.isPublic &&= isPublic;
      },
    });
    const pool = new Pool(url.origin, { connect, connections: connectionsMax[lane], pipelining: 1, allowH2: false, keepAliveTimeout: keepAliveMs, keepAliveMaxTimeout: keepAliveMs });
    const origin: Origin = { pool, proxy, dials: 0, isPublic: true };
    this.#origins.set(key, origin);
    return origin;
  }

  /** The client certificate is for the registry itself; its authority is trusted wherever the registry leads us. */
  #secureContext(target: URL): SecureContext | undefined {
    const { tls, policy } = this.#options;
    if (!tls || target.protocol !== "https:" || (tls.ca === undefined && tls.cert === undefined)) return undefined;
    if (!this.#contexts) {
      const trusted = tls.ca === undefined ? {} : { ca: [...getCACertificates("default"), tls.ca] };
      const certificate = { ...(tls.cert === undefined ? {} : { cert: tls.cert }), ...(tls.key === undefined ? {} : { key: tls.key }) };
      this.#contexts = { own: createSecureContext({ ...trusted, ...certificate }), others: createSecureContext(trusted) };
    }
    return policy.isOwn(target) ? this.#contexts.own : this.#contexts.others;
  }
}

type Outcome = { readonly kind: "answer"; readonly response: HttpResponse } | { readonly kind: "failure"; readonly error: unknown; readonly isConnected: boolean };

interface ExchangeOptions {
  readonly clock: Clock;
  readonly headersMs: number;
  readonly request: HttpRequest;
  readonly isPublic: () => boolean;
  readonly settle: (outcome: Outcome) => void;
}

/** One request on its way: what undici tells of it, until the headers are there; then the body's source. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #onAbort: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #body: NetworkBody | undefined;
  #gaveUp: Error | undefined;
  #cancelTimer: () => void = () => {};

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { signal } = options.request;
    this.#onAbort = () => this.#giveUp(signal.reason instanceof Error ? signal.reason : new OciError("UPSTREAM_TIMEOUT", "the request was given up"));
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#gaveUp) return controller.abort(this.#gaveUp);
    const { clock, headersMs, request } = this.#options;
    this.#cancelTimer();
    this.#cancelTimer = clock.after(headersMs, () => {
      this.#giveUp(new OciError("UPSTREAM_TIMEOUT", `no answer from ${request.url.host} within ${headersMs} ms`, { source: "upstream" }));
    });
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    if (status < 200) return;
    const { clock, request, isPublic } = this.#options;
    const body = new NetworkBody({ flow: controller, clock });
    this.#body = body;
    const response: HttpResponse = {
      status,
      url: request.url,
      isPublicAddress: isPublic(),
      body,
      header: (name) => {
        const value = headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      },
    };
    this.#settle({ kind: "answer", response });
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body?.push(chunk);
  }

  onResponseEnd(): void {
    this.#body?.end();
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#body) return this.#body.fail(networkError(error, this.#options.request.url, true));
    this.#settle({ kind: "failure", error: this.#gaveUp ?? error, isConnected: this.#controller !== undefined });
  }

  #giveUp(error: Error): void {
    this.#gaveUp = error;
    this.#controller?.abort(error);
    this.#settle({ kind: "failure", error, isConnected: this.#controller !== undefined });
  }

  #settle(outcome: Outcome): void {
    this.#cancelTimer();
    this.#options.request.signal.removeEventListener("abort", this.#onAbort);
    this.#options.settle(outcome);
  }
}

/** undici tells of a socket that was closed how much had been read from it. */
function wasUsedBefore(error: unknown): boolean {
  return error instanceof errors.SocketError && (error.socket?.bytesRead ?? 0) > 0;
}

function failure({ error, isConnected }: Extract<Outcome, { kind: "failure" }>, { url, signal }: HttpRequest): unknown {
  return signal.aborted ? signal.reason : networkError(error, url, isConnected);
}

function headersFor(request: HttpRequest, proxy: URL | undefined): Record<string, string> {
  const authorization = proxy && request.url.protocol === "http:" ? proxyAuthorization(proxy) : undefined;
  return { ...request.headers, ...(authorization ? { "proxy-authorization": authorization } : {}) };
}

function withoutFragment(url: URL): string {
  return `${url.origin}${url.pathname}${url.search}`;
}
