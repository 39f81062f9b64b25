/** ExchangeVisit: a request as a gate sees it. Each part is found when it is looked at: most requests are known by one header. */
import type { IncomingMessage } from "node:http";
import { TLSSocket, type PeerCertificate } from "node:tls";
import type { Visit } from "../auth/visit.ts";
import { plainAddress, type TrustedProxies } from "./client-address.ts";

/** What an exchange tells of itself. */
interface Exchanged {
  readonly method: string;
  readonly signal: AbortSignal;
  readonly client: string;
  header(name: string): string | undefined;
}

/** By connection: reading a certificate costs more than answering a request. */
const certificates = new WeakMap<TLSSocket, PeerCertificate>();

export class ExchangeVisit implements Visit {
  readonly authorization: readonly string[];
  readonly #exchange: Exchanged;
  readonly #incoming: IncomingMessage | undefined;
  readonly #peer: string;
  readonly #proxies: TrustedProxies;

  constructor(exchange: Exchanged, incoming: IncomingMessage | undefined, peer: string | undefined, proxies: TrustedProxies) {
    this.#exchange = exchange;
    this.#incoming = incoming;
    this.#peer = plainAddress(peer ?? incoming?.socket.remoteAddress ?? "");
    this.#proxies = proxies;
    const first = exchange.header("authorization");
    this.authorization = first === undefined ? none : incoming ? authorizationIn(incoming.rawHeaders) : [first];
  }

  get method(): string {
    return this.#exchange.method;
  }

  get signal(): AbortSignal {
    return this.#exchange.signal;
  }

  get client(): string {
    return this.#exchange.client;
  }

  /** The client's address, if it is not a proxy's that has passed the request on without being believed. A proxy that adds no header is not seen. */
  get ownClient(): string | undefined {
    const { client } = this;
    return client === this.#peer && forwardingHeaders.some((name) => this.#exchange.header(name) !== undefined) ? undefined : client;
  }

  /** Whether the browser says that a page of ours has led here, and nobody's link: over TLS, and to localhost, all of them do. */
  get comesFromOurs(): boolean {
    return this.fetchSite === "same-origin";
  }

  get userAgent(): string | undefined {
    return this.#exchange.header("user-agent");
  }

  /** Only from a TLS connection of our own, and only when its chain was found good: what a header says of a certificate is anybody's word. */
  get certificate(): PeerCertificate | undefined {
    const socket = this.#incoming?.socket;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const known = certificates.get(socket);
    if (known) return known;
    const certificate = socket.getPeerCertificate();
    if (certificate.raw === undefined) return undefined;
    certificates.set(socket, certificate);
    return certificate;
  }

  get forwardedFor(): readonly string[] {
    const written = this.#proxies.trusts(this.#peer) ? this.#exchange.header("x-forwarded-for") : undefined;
    return written === undefined ? [] : written.split(",").map((hop) => hop.trim());
  }

  get tlsVersion(): string | undefined {
    const socket = this.#incoming?.socket;
    return socket instanceof TLSSocket ? socket.getProtocol()?.replace(/^TLSv/, "") : undefined;
  }

  get origin(): string {
    const isBehindProxy = this.#proxies.trusts(this.#peer);
    const forwarded = (name: string): string | undefined => (isBehindProxy ? this.#exchange.header(name)?.split(",", 1)[0]?.trim() : undefined);
    const scheme = forwarded("x-forwarded-proto") ?? (this.#incoming?.socket instanceof TLSSocket ? "https" : "http");
    const host = forwarded("x-forwarded-host") ?? this.#exchange.header("host") ?? "";
    return `${scheme === "https" ? "https" : "http"}://${hostPattern.test(host) ? host : "localhost"}`;
  }

  get cookie(): string | undefined {
    return this.#exchange.header("cookie");
  }

  get apiClient(): string | undefined {
    return this.#exchange.header("x-zot-api-client");
  }

  get pageOrigin(): string | undefined {
    return this.#exchange.header("origin");
  }

  get fetchSite(): string | undefined {
    return this.#exchange.header("sec-fetch-site");
  }
}

const forwardingHeaders = ["x-forwarded-for", "forwarded", "x-real-ip", "via"] as const;
const hostPattern = /^[A-Za-z0-9.:[\]_-]{1,255}$/;

/** Every one of them: Node keeps the first and forgets the others. */
function authorizationIn(rawHeaders: readonly string[]): readonly string[] {
  let found: readonly string[] = none;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length !== "authorization".length || name.toLowerCase() !== "authorization") continue;
    const value = rawHeaders[at + 1] ?? "";
    found = found.length === 0 ? [value] : [...found, value];
  }
  return found;
}

const none: readonly string[] = [];
