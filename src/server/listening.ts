/** Listening: an app on a port, with the limits that keep it up whatever connects. */
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { systemClock, type Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { App } from "./app.ts";
import { ProxiedPeers } from "./proxy-protocol.ts";
import { headerBytesMax, refuseConnection, refuseRequest } from "./refusals.ts";
import { readSecureContext, readTlsOptions, type ListeningTls } from "./tls-files.ts";

export type { ListeningTls } from "./tls-files.ts";

export interface ListeningOptions {
  readonly app: App;
  /** An address or name; `::` is both families, and `0.0.0.0` where the machine has no IPv6. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** A Unix socket, in place of both. */
  readonly path?: string;
  readonly log: Log;
  readonly clock?: Clock;
  readonly tls?: ListeningTls;
  /** Every connection begins with a PROXY header, version 1 or 2, whose address is the client's. */
  readonly proxyProtocol?: boolean;
  /** Beyond it, connections are closed as they come. */
  readonly connectionsMax?: number;
  /** From a connection's or request's beginning to the end of its headers. */
  readonly headersTimeoutMs?: number;
  /** An answer of which the client takes nothing for so long is cut. Blob bodies have a timeout of their own. */
  readonly idleTimeoutMs?: number;
}

export interface Listener {
  /** Where it listens in fact. */
  readonly host: string;
  readonly port: number;
  /**
   * Reads certificate, key and the like again, perhaps by other paths; what it resolves to shows them to whoever connects from then on, and
   * cannot fail. `clientAuth` stays as it was. Throws what is wrong with the files.
   */
  prepare(tls: ListeningTls | undefined): Promise<() => void>;
  /** Takes no more connections, closes idle ones; resolves when the last one is gone. */
  close(): Promise<void>;
  /** Cuts every connection that is left. */
  destroyConnections(): void;
}

/** Clients keep idle connections for up to 120 s: whoever closes first loses a request, so let it be them. */
const keepAliveTimeoutMs = 125_000;
/** Nobody sends us bodies; what a request may take in all. */
const requestTimeoutMs = 60_000;
/** How soon a timeout that passed is noticed. */
const checkIntervalMs = 1_000;

/** Listens, or throws an Error that says in one line why not (a busy port, a certificate that cannot be read). */
export async function listen(options: ListeningOptions): Promise<Listener> {
  const { tls, log, proxyProtocol = false, clock = systemClock, connectionsMax = 8_192, headersTimeoutMs = 15_000, idleTimeoutMs = 125_000 } = options;
  const peers = new ProxiedPeers();
  const serverOptions: ServerOptions = {
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: headerBytesMax,
    headersTimeout: headersTimeoutMs,
    requestTimeout: Math.max(requestTimeoutMs, headersTimeoutMs),
    connectionsCheckingInterval: Math.min(checkIntervalMs, headersTimeoutMs),
    noDelay: true,
    // A request without one is answered by us: Node's own answer has no body.
    requireHostHeader: false,
  };
  const latestAnswers = new LatestAnswers();
  const answerRequest = requestListener(options.app, peers, latestAnswers);
  const server = tls
    ? createTlsServer({ ...serverOptions, ...(await readTlsOptions(tls)), handshakeTimeout: headersTimeoutMs }, answerRequest)
    : createServer(serverOptions, answerRequest);
  server.maxConnections = connectionsMax;
  server.timeout = idleTimeoutMs;
  // No body is wanted, and of other expectations none is known: the request is answered as if it had not said so.
  server.on("checkContinue", answerRequest);
  server.on("checkExpectation", answerRequest);
  server.on("clientError", (error, socket) => (latestAnswers.isUnderWay(socket) ? socket.destroy() : refuseConnection(error, socket)));
  server.on("drop", () => log.warn({ connectionsMax }, "connection refused: too many"));
  if (tls?.clientAuth === "request") server.on("secureConnection", (socket: TLSSocket) => refuseInvalidCertificate(socket, log));
  if (proxyProtocol) peers.guard(server, { clock, timeoutMs: headersTimeoutMs });
  const unused = new UnusedConnections(server);
  const { host, port } = await bind(server, options);
  return {
    host,
    port,
    async prepare(next) {
      if (!tls || !next || !isTls(server)) return () => {};
      const context = await readSecureContext({ ...next, ...(tls.clientAuth === undefined ? {} : { clientAuth: tls.clientAuth }) });
      return () => server.setSecureContext(context);
    },
    async close() {
      const closing = closed(server);
      unused.destroy();
      await closing;
    },
    destroyConnections: () => server.closeAllConnections(),
  };
}

function requestListener(app: App, peers: ProxiedPeers, latestAnswers: LatestAnswers): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const listener = getRequestListener(
    (request, env) => {
      const { incoming, outgoing } = http1(env);
      return app.fetch(request, { incoming, outgoing, peer: peers.find(incoming.socket) });
    },
    {
      // Requests without a Host (HTTP/1.0) are answered too; request bodies are not read, so there is nothing to clean up.
      hostname: "localhost",
      overrideGlobalObjects: false,
      autoCleanupIncoming: false,
      // What it cannot read (a Host that is none, an absolute URL that is none) is left to us: it would not say which request that was.
      errorHandler: () => {},
    },
  );
  const answerAny = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    await listener(incoming, outgoing);
    if (!outgoing.headersSent && !outgoing.destroyed) refuseRequest(incoming, outgoing, "the request's URL or Host header is malformed");
  };
  return (incoming, outgoing) => {
    latestAnswers.note(outgoing);
    // RFC 9112 3.2: HTTP/1.1 demands the header, whatever becomes of the request.
    if (incoming.headers.host === undefined && incoming.httpVersion === "1.1") return refuseRequest(incoming, outgoing, "the request has no Host header");
    const isApi = incoming.url?.startsWith("/v2/") === true;
    const answering = isApi && app.serveApi ? app.serveApi({ incoming, outgoing, peer: peers.find(incoming.socket) }) : answerAny(incoming, outgoing);
    if (answering instanceof Promise) answering.catch((error: unknown) => outgoing.destroy(error instanceof Error ? error : undefined));
  };
}

/** The listener is only ever given to HTTP/1.1 servers. */
function http1(env: object): HttpBindings {
  return env as HttpBindings;
}

/** Without a certificate a client is as good as any other; one that cannot be trusted is told so by its connection's end, as in a failed handshake. */
function refuseInvalidCertificate(socket: TLSSocket, log: Log): void {
  if (socket.authorized || socket.getPeerCertificate().raw === undefined) return;
  log.info({ client: socket.remoteAddress, problem: String(socket.authorizationError) }, "client certificate refused");
  socket.destroy();
}

async function bind(server: Server, { host, port, path }: Pick<ListeningOptions, "host" | "port" | "path">): Promise<{ host: string; port: number }> {
  if (path !== undefined) return await listenOn(server, { path });
  try {
    return await listenOn(server, { host, port });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (host === "::" && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL")) return bind(server, { host: "0.0.0.0", port });
    throw new Error(`cannot listen on ${host} port ${port}: ${reasonOf(code, error)}`, { cause: error });
  }
}

function reasonOf(code: unknown, error: unknown): string {
  if (code === "EADDRINUSE") return "something else listens there already";
  if (code === "EACCES") return "not permitted; ports below 1024 need a privilege";
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return "no such address on this machine";
  return error instanceof Error ? error.message : String(error);
}

function listenOn(
  server: Server,
  where: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...where, backlog: 1_024 }, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address ? { host: address.address, port: address.port } : { host: address ?? "", port: 0 });
    });
  });
}

/** The latest answer of each connection: until it is finished, whatever else is written there lands in the middle of a body. */
class LatestAnswers {
  readonly #answers = new WeakMap<Duplex, ServerResponse>();

  note(outgoing: ServerResponse): void {
    this.#answers.set(outgoing.req.socket, outgoing);
  }

  isUnderWay(socket: Duplex): boolean {
    return this.#answers.get(socket)?.writableFinished === false;
  }
}

/** Connections that nothing has come over yet: Node counts them as busy, clients as spare. */
class UnusedConnections {
  readonly #sockets = new Set<Socket>();

  constructor(server: Server) {
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  destroy(): void {
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}

function isTls(server: Server | TlsServer): server is TlsServer {
  return "setSecureContext" in server;
}
