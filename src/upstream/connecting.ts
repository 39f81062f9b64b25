/**
 * Connecting: sockets to an origin, straight or through a proxy. The address that is really dialled is checked here, after the name
 * was looked up and before the first packet leaves, so that no name, number spelling or late DNS answer leads elsewhere.
 */
import type { LookupAddress } from "node:dns";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls, type SecureContext, type TLSSocket } from "node:tls";
import type { buildConnector } from "undici";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { classifyAddress } from "./addresses.ts";
import type { AddressPolicy } from "./address-policy.ts";
import { AddressRefused } from "./errors.ts";
import type { NameLookup } from "./name-lookup.ts";
import { proxyAuthorization } from "./proxies.ts";

export interface ConnectingOptions {
  readonly target: URL;
  readonly proxy: URL | undefined;
  readonly policy: AddressPolicy;
  readonly names: NameLookup;
  readonly secureContext: SecureContext | undefined;
  readonly insecureSkipVerify: boolean;
  readonly clock: Clock;
  readonly connectMs: number;
  /** Told the class of each address dialled for the target; through a proxy nobody knows it. */
  readonly onDialled: (isPublic: boolean) => void;
}

/** A connector for undici that makes sockets to `target`, within `connectMs` each. */
export function connector(options: ConnectingOptions): buildConnector.connector {
  return (_, callback) => {
    connect(options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
}

async function connect(options: ConnectingOptions): Promise<Socket | TLSSocket> {
  const { clock, connectMs, target } = options;
  const deadline = new AbortController();
  const cancel = clock.after(connectMs, () => {
    deadline.abort(new OciError("UPSTREAM_TIMEOUT", `no connection to ${target.host} within ${connectMs} ms`, { source: "upstream" }));
  });
  try {
    const socket = await (options.proxy ? connectByProxy(options, options.proxy, deadline.signal) : connectStraight(options, deadline.signal));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    return socket;
  } finally {
    cancel();
  }
}

async function connectStraight(options: ConnectingOptions, signal: AbortSignal): Promise<Socket | TLSSocket> {
  const { target, policy, names } = options;
  const hostname = bareHostname(target);
  const all = isIP(hostname) === 0 ? await names.addressesOf(hostname) : [{ address: hostname, family: isIP(hostname) }];
  const allowed = all.filter(({ address }) => policy.allows(target, address));
  if (allowed.length === 0) throw refusal(target, all, policy);
  const tcp = connectTcp({
    host: hostname,
    port: portOf(target),
    lookup: always(allowed),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 300,
  });
  const socket = await established(tcp, "connect", signal);
  const dialled = tcp.remoteAddress;
  if (dialled !== undefined) {
    policy.dialled(target, dialled);
    options.onDialled(classifyAddress(dialled) === "public");
  }
  return target.protocol === "https:" ? encrypt(options, socket, signal) : socket;
}

/** A tunnel for https; a plain connection to the proxy for http, on which whole URLs are asked for. */
async function connectByProxy(options: ConnectingOptions, proxy: URL, signal: AbortSignal): Promise<Socket | TLSSocket> {
  const { target, policy } = options;
  const hostname = bareHostname(target);
  const isLocalName = hostname === "localhost" || hostname === "localhost." || hostname.endsWith(".localhost");
  const address = isLocalName ? "127.0.0.1" : hostname;
  if (isIP(address) !== 0) {
    if (!policy.allows(target, address)) throw refusal(target, [{ address, family: isIP(address) }], policy);
    policy.dialled(target, address);
  }
  options.onDialled(isIP(address) !== 0 && classifyAddress(address) === "public");
  if (target.protocol === "https:") return encrypt(options, await tunnel(proxy, `${target.hostname}:${portOf(target)}`, signal), signal);
  const tcp = connectTcp({ host: bareHostname(proxy), port: portOf(proxy) });
  const socket = await established(tcp, "connect", signal);
  if (proxy.protocol === "http:") return socket;
  return established(connectTls({ socket, servername: bareHostname(proxy), ALPNProtocols: ["http/1.1"] }), "secureConnect", signal);
}

function tunnel(proxy: URL, target: string, signal: AbortSignal): Promise<Socket> {
  const authorization = proxyAuthorization(proxy);
  const headers = { host: target, ...(authorization ? { "proxy-authorization": authorization } : {}) };
  return new Promise((resolve, reject) => {
    const ask = proxy.protocol === "https:" ? httpsRequest : httpRequest;
    const request = ask({ host: bareHostname(proxy), port: portOf(proxy), method: "CONNECT", path: target, headers, agent: false, signal });
    request.once("connect", (answer, socket) => {
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new OciError("UPSTREAM_UNAVAILABLE", `the proxy ${proxy.host} answered ${answer.statusCode} to CONNECT ${target}`, { source: "upstream" }));
    });
    request.once("error", (error) => reject(signal.aborted ? (signal.reason as Error) : error));
    request.end();
  });
}

function encrypt(options: ConnectingOptions, socket: Socket, signal: AbortSignal): Promise<TLSSocket> {
  const hostname = bareHostname(options.target);
  const secured = connectTls({
    socket,
    host: hostname,
    ...(isIP(hostname) === 0 ? { servername: hostname.replace(/\.$/, "") } : {}),
    ...(options.secureContext ? { secureContext: options.secureContext } : {}),
    rejectUnauthorized: !options.insecureSkipVerify,
    ALPNProtocols: ["http/1.1"],
  });
  return established(secured, "secureConnect", signal);
}

function established<S extends Socket>(socket: S, event: "connect" | "secureConnect", signal: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    function settle(): void {
      socket.off("error", onError);
      socket.off("close", onClose);
      socket.off(event, onReady);
      signal.removeEventListener("abort", onAbort);
    }
    function fail(error: Error): void {
      settle();
      // A destroyed socket may still report; there is nobody left to tell.
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    }
    const onError = (error: Error): void => fail(error);
    const onClose = (): void => fail(Object.assign(new Error("the connection was closed while it was being made"), { code: "ECONNRESET" }));
    const onAbort = (): void => fail(signal.reason as Error);
    const onReady = (): void => {
      settle();
      resolve(socket);
    };
    socket.once("error", onError);
    socket.once("close", onClose);
    socket.once(event, onReady);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function refusal(target: URL, addresses: readonly LookupAddress[], policy: AddressPolicy): AddressRefused {
  const shown = addresses.map(({ address }) => address).join(", ");
  const where = shown === bareHostname(target) ? target.host : `${target.host} (${shown})`;
  if (policy.isOwn(target)) return new AddressRefused("DENIED", `${where} is not a public address, and is not listed under registries`, { source: "local" });
  return new AddressRefused(
    "UPSTREAM_UNAVAILABLE",
    `the upstream led to ${where}, which is not a public address, and is not listed for it (redirectHosts, realmHosts)`,
    { source: "upstream" },
  );
}

/** The look-up was made and checked before; the socket gets nothing else. */
function always(addresses: readonly LookupAddress[]): LookupFunction {
  return (_, options, callback) => {
    const first = addresses[0];
    if (options.all || !first) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };
}

/** The host as resolvers and sockets want it: IPv6 addresses without brackets. */
export function bareHostname(url: URL): string {
  return url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
}

function portOf(url: URL): number {
  return url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
}
