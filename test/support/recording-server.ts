/**
 * RecordingServer: a local HTTP server that records what it was asked and misbehaves on demand. Fake registries, CDNs and token
 * services are three ways to answer on top of it.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { QuirkRules, type Quirk, type RequestKind, type RequestMatcher } from "./quirks.ts";
import { sendBody } from "./sending.ts";
import { States } from "./states.ts";

/** A request as it arrived. */
export interface RecordedRequest {
  /** `GET /v2/a/manifests/1`, and ` bytes=0-99` when a Range was sent. */
  readonly line: string;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly kind: RequestKind;
  readonly repository: string | undefined;
  readonly range: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** The body of a POST; empty for others. */
  readonly body: string;
  /** Tells connections apart. */
  readonly clientPort: number;
  /** `performance.now()` at its arrival. */
  readonly atMs: number;
}

/** What a good server would answer. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body?: Uint8Array | string;
  /** For a part: where it lies in the content, and the size of that. */
  readonly offsetBytes?: number;
  readonly contentBytes?: number;
}

export interface TlsFiles {
  readonly key: string;
  readonly certificate: string;
  /** Ask clients for a certificate of this authority, and refuse those without. */
  readonly clientAuthority?: string;
}

/** Subclasses say what a request is and what a good server would answer. `accept()` starts it on a free port of 127.0.0.1; `close()` it. */
export abstract class RecordingServer {
  /** Every request, in order of arrival. */
  readonly log: RecordedRequest[] = [];
  /** Body bytes that the system took, in all and by path (without query). */
  readonly bytesSent = { total: 0, byPath: new Map<string, number>() };
  readonly #rules = new QuirkRules();
  readonly #scheme: "https" | "http";
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #states = new States();
  #port = 0;
  #connections = 0;

  constructor({ tls }: { tls?: TlsFiles | undefined } = {}) {
    this.#scheme = tls ? "https" : "http";
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      this.#handle(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
    };
    this.#server = tls ? createTlsServer(tlsOptions(tls), onRequest) : createServer(onRequest);
    this.#server.keepAliveTimeout = 120_000;
    this.#server.requestTimeout = 0;
    this.#server.on("connection", (socket) => {
      this.#connections++;
      this.#sockets.add(socket);
      socket.on("error", () => {}); // A client that leaves in the middle is what many tests are about.
      socket.once("close", () => {
        this.#sockets.delete(socket);
        this.#states.changed();
      });
      this.#states.changed();
    });
  }

  protected abstract classify(path: string): { readonly kind: RequestKind; readonly repository: string | undefined };
  protected abstract answer(request: RecordedRequest, quirk: Quirk): Reply | Promise<Reply>;

  /** `127.0.0.1:PORT` */
  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#scheme}://${this.host}`;
  }

  /** The lines of `log`: compare with `toEqual`. */
  get requests(): readonly string[] {
    return this.log.map((request) => request.line);
  }

  /** Connections ever accepted, and those open now. */
  get connections(): { readonly accepted: number; readonly open: number } {
    return { accepted: this.#connections, open: this.#sockets.size };
  }

  /** Behave so for what matches, from now on. The result takes the rule away. */
  when(matcher: RequestMatcher, quirk: Quirk): () => void {
    return this.#rules.add(matcher, quirk);
  }

  /** Behave well again. */
  behave(): void {
    this.#rules.clear();
  }

  /** Forgets what was recorded. */
  forget(): void {
    this.log.length = 0;
    this.bytesSent.total = 0;
    this.bytesSent.byPath.clear();
  }

  /** Resolves when at least `count` requests have arrived since the start or `forget()`. */
  waitForRequests(count: number): Promise<void> {
    return this.waitFor(() => this.log.length >= count, `${count} requests`);
  }

  /** Resolves when at least so many body bytes have been sent in all. */
  waitForBytes(countBytes: number): Promise<void> {
    return this.waitFor(() => this.bytesSent.total >= countBytes, `${countBytes} bytes sent`);
  }

  /** Resolves when `isSo()`; it is asked whenever anything arrives, leaves or is sent. Rejects after `waitMs`. */
  waitFor(isSo: () => boolean, what = "a state", { waitMs }: { waitMs?: number } = {}): Promise<void> {
    const tell = (waitedMs: number): string =>
      `waited ${waitedMs} ms for ${what}; requests so far: ${JSON.stringify(this.requests)}; bytes: ${this.bytesSent.total}`;
    return this.#states.until(isSo, { tell, ...(waitMs === undefined ? {} : { waitMs }) });
  }

  /** Cuts every connection and refuses new ones, until `accept()`. */
  async refuse(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Listens (again, on the same port). */
  async accept(): Promise<void> {
    if (this.#server.listening) return;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port; // A TCP server that listens has this shape of address.
  }

  async close(): Promise<void> {
    await this.refuse();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await this.#record(incoming);
    const quirk = this.#rules.take(request);
    this.#states.changed();
    if (quirk.silent === "before headers") return;
    if (quirk.drop) return void response.socket?.destroy();
    await (typeof quirk.hold === "function" ? quirk.hold() : quirk.hold);
    const reply = await this.#replyTo(request, quirk);
    await this.#send(request, response, reply, quirk);
  }

  async #record(incoming: IncomingMessage): Promise<RecordedRequest> {
    const method = incoming.method ?? "";
    const url = incoming.url ?? "";
    const range = incoming.headers.range;
    const clientPort = incoming.socket.remotePort ?? 0;
    const atMs = performance.now();
    const body = method === "POST" ? await text(incoming) : "";
    const line = `${method} ${url}${range === undefined ? "" : ` ${range}`}`;
    const request = { line, method, url, range, headers: incoming.headers, body, clientPort, atMs, ...this.classify(pathOf(url)) };
    this.log.push(request);
    return request;
  }

  async #replyTo(request: RecordedRequest, quirk: Quirk): Promise<Reply> {
    if (quirk.status !== undefined) return { status: quirk.status, headers: { "content-type": "text/plain" }, body: quirk.body ?? "" };
    if (quirk.redirectTo !== undefined && quirk.redirectTo !== "cdn") return { status: quirk.redirectStatus ?? 307, headers: { location: quirk.redirectTo } };
    const reply = await this.answer(request, quirk);
    return quirk.body === undefined ? reply : { ...reply, body: quirk.body };
  }

  async #send(request: RecordedRequest, response: ServerResponse, reply: Reply, quirk: Quirk): Promise<void> {
    const plain = typeof reply.body === "string" ? Buffer.from(reply.body) : (reply.body ?? new Uint8Array());
    const body = quirk.gzip ? gzipSync(plain) : plain;
    const headers: Record<string, string | readonly string[] | undefined> = {
      ...reply.headers,
      ...(quirk.gzip ? { "content-encoding": "gzip" } : {}),
      ...(quirk.chunked || quirk.endless ? {} : { "content-length": String(body.byteLength) }),
      ...quirk.headers,
    };
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    response.writeHead(reply.status);
    if (request.method === "HEAD") return void response.end();
    response.flushHeaders();
    if (quirk.silent === "after headers") return;
    const { offsetBytes = 0, contentBytes = body.byteLength } = reply;
    const path = pathOf(request.url);
    await sendBody(response, body, {
      quirk,
      offsetBytes,
      contentBytes,
      onSent: (countBytes) => {
        this.bytesSent.total += countBytes;
        this.bytesSent.byPath.set(path, (this.bytesSent.byPath.get(path) ?? 0) + countBytes);
        this.#states.changed();
      },
    });
  }
}

/** The path of a URL that may have a query. */
export function pathOf(url: string): string {
  return url.split("?", 1)[0] ?? "";
}

function tlsOptions(tls: TlsFiles): { key: string; cert: string; ca?: string; requestCert?: boolean; rejectUnauthorized?: boolean } {
  const own = { key: tls.key, cert: tls.certificate };
  return tls.clientAuthority === undefined ? own : { ...own, ca: tls.clientAuthority, requestCert: true, rejectUnauthorized: true };
}

async function text(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer); // No encoding is set: pieces are Buffers.
  return Buffer.concat(pieces).toString("utf8");
}
