/**
 * HttpClient: one request, one answer, over HTTP/1.1 connections that are kept. It follows nothing, repeats nothing that was
 * answered, and knows nothing of registries. Blobs have connections of their own, so that they never starve manifests.
 */
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { LRUCache } from "lru-cache";
import { errors, Pool } from "undici";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { AddressPolicy } from "./address-policy.ts";
import { bareHostname, connector } from "./connecting.ts";
import { networkError } from "./errors.ts";
import { Exchange, type HttpRequest, type HttpResponse, type Lane, type Outcome } from "./exchange.ts";
import type { NameLookup } from "./name-lookup.ts";
import { Places } from "./places.ts";
import { proxyAuthorization, type Proxies } from "./proxies.ts";
import type { Deadlines, UpstreamTls } from "./upstream-options.ts";

/** Connections to one origin, and requests that may wait for one. */
const connectionsMax = { metadata: 32, blob: 48 } as const satisfies Record<Lane, number>;
const waitingMax = 1_024;
/** Origins whose connections are kept; the longest unused goes. */
const originsMax = 64;
const keepAliveMs = 10_000;

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
  /** As many as connections, so that nobody who has left still waits inside the pool. */
  readonly places: Places;
  readonly proxy: URL | undefined;
  dials: number;
  isPublic: boolean;
}

export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #origins: LRUCache<string, Origin>;
  /** Given up, but not done yet with what they have begun. */
  readonly #leaving = new Set<Pool>();
  readonly #contexts: SecureContexts | undefined;

  /** Throws an Error when certificate and key are of no use. */
  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#contexts = options.tls ? secureContexts(options.tls) : undefined;
    this.#origins = new LRUCache({
      max: originsMax,
      dispose: ({ pool }) => this.#giveUp(pool),
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

  /** What is sent to this origin from now on goes over new connections, to where its name leads by now. What is under way goes on. */
  renew(url: URL): void {
    this.#options.names.doubt(bareHostname(url));
    for (const lane of ["metadata", "blob"] as const) this.#origins.delete(keyOf(url, lane));
  }

  /** Ends every connection once it is idle. */
  async leave(): Promise<void> {
    await Promise.all([...this.#origins.values()].map(({ pool }) => pool.close()));
  }

  /** Ends every connection, busy or not. */
  async close(): Promise<void> {
    const pools = [...this.#leaving, ...[...this.#origins.values()].map(({ pool }) => pool)];
    await Promise.all(pools.map((pool) => pool.destroy(new OciError("UPSTREAM_UNAVAILABLE", "we are closing"))));
  }

  #giveUp(pool: Pool): void {
    this.#leaving.add(pool);
    this.#options.background.run(
      "closing connections",
      pool.close().finally(() => this.#leaving.delete(pool)),
    );
  }

  async #exchange(origin: Origin, request: HttpRequest): Promise<Outcome> {
    const { clock, deadlines } = this.#options;
    const done = await origin.places.take(request.signal).catch((error: unknown) => {
      throw busy(error, request.url);
    });
    return new Promise((resolve) => {
      const handler = new Exchange({ clock, headersMs: deadlines.headersMs, request, isPublic: () => origin.isPublic, settle: resolve, done });
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
    const key = keyOf(url, lane);
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
      secureContext: policy.isOwn(target) ? this.#contexts?.own : this.#contexts?.others,
      insecureSkipVerify: tls?.insecureSkipVerify === true && policy.isOwnHost(target),
      clock,
      connectMs: deadlines.connectMs,
      onDialled: (isPublic) => {
        origin.dials += 1;
        origin.isPublic &&= isPublic;
      },
    });
    const pool = new Pool(url.origin, {
      connect,
      connections: connectionsMax[lane],
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
    });
    const places = new Places({ max: connectionsMax[lane], waitingMax, name: url.host });
    const origin: Origin = { pool, places, proxy, dials: 0, isPublic: true };
    this.#origins.set(key, origin);
    return origin;
  }
}

function keyOf(url: URL, lane: Lane): string {
  return `${lane} ${url.origin}`;
}

interface SecureContexts {
  readonly own: SecureContext;
  readonly others: SecureContext;
}

/** The client certificate is for the registry itself; its authority is trusted wherever the registry leads us. */
function secureContexts({ ca, cert, key }: UpstreamTls): SecureContexts | undefined {
  if (ca === undefined && cert === undefined) return undefined;
  const trusted = ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] };
  const certificate = { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
  try {
    return { own: createSecureContext({ ...trusted, ...certificate }), others: createSecureContext(trusted) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`its tls is of no use: ca, cert or key is no PEM, or the key is not the certificate's: ${reason}`, { cause: error });
  }
}

/** Time that ran out before a connection was free says nothing about the upstream: we were the ones who had too much to do. */
function busy(error: unknown, url: URL): unknown {
  if (!(error instanceof OciError) || error.source === "local") return error;
  return new OciError("OVERLOADED", `all connections to ${url.host} were busy for too long`, { cause: error, retryAfterMs: 1_000 });
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
