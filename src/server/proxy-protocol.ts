/**
 * The PROXY protocol, versions 1 and 2: the line or block that a load balancer writes before anything else on a connection, TLS
 * included, to say whom it connects for. HAProxy "The PROXY protocol", 2020/03/05.
 */
import type { Server, Socket } from "node:net";
import { isIP } from "node:net";
import type { Clock } from "../oci/clock.ts";
import { findAddress } from "./client-address.ts";

export interface ProxyHeader {
  /** The client's address; undefined when the proxy speaks for itself (`LOCAL`, `UNKNOWN`). */
  readonly address: string | undefined;
  /** How many bytes the header took. */
  readonly sizeBytes: number;
}

const signature2 = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const header1BytesMax = 107;
const fixed2Bytes = 16;
/** The protocol allows 64 KiB of extensions; nobody sends more than a few hundred bytes. */
const header2BytesMax = fixed2Bytes + 2_048;

/** The header at the start of `bytes`; undefined while there is too little of it. Throws an Error when it is none. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (bytes.byteLength === 0) return undefined;
  return bytes[0] === signature2[0] ? parseVersion2(bytes) : parseVersion1(bytes);
}

function parseVersion1(bytes: Buffer): ProxyHeader | undefined {
  const text = bytes.subarray(0, header1BytesMax).toString("latin1");
  const endAt = text.indexOf("\r\n");
  if (endAt === -1) {
    const isBeginning = text.startsWith("PROXY ") || "PROXY ".startsWith(text);
    if (!isBeginning || text.length >= header1BytesMax) throw new Error("not a PROXY header");
    return undefined;
  }
  const sizeBytes = endAt + 2;
  const line = text.slice(0, endAt);
  if (line === "PROXY UNKNOWN" || line.startsWith("PROXY UNKNOWN ")) return { address: undefined, sizeBytes };
  const match = /^PROXY TCP([46]) (\S+) (\S+) ([0-9]{1,5}) ([0-9]{1,5})$/.exec(line);
  const [, family, source = "", destination = ""] = match ?? [];
  if (!match || isIP(source) !== Number(family) || isIP(destination) !== Number(family)) throw new Error("a malformed PROXY header");
  return { address: findAddress(source), sizeBytes };
}

function parseVersion2(bytes: Buffer): ProxyHeader | undefined {
  const seen = Math.min(bytes.byteLength, signature2.byteLength);
  if (!bytes.subarray(0, seen).equals(signature2.subarray(0, seen))) throw new Error("not a PROXY header");
  if (bytes.byteLength < fixed2Bytes) return undefined;
  const sizeBytes = fixed2Bytes + bytes.readUInt16BE(14);
  const command = bytes.readUInt8(12);
  if (command >> 4 !== 2 || sizeBytes > header2BytesMax) throw new Error("a malformed PROXY header");
  if (bytes.byteLength < sizeBytes) return undefined;
  if ((command & 0x0f) === 0) return { address: undefined, sizeBytes };
  if ((command & 0x0f) !== 1) throw new Error("a malformed PROXY header");
  return { address: addressOf(bytes.readUInt8(13) >> 4, bytes.subarray(fixed2Bytes, sizeBytes)), sizeBytes };
}

function addressOf(family: number, block: Buffer): string | undefined {
  if (family === 1 && block.byteLength >= 12) return Array.from(block.subarray(0, 4)).join(".");
  if (family === 2 && block.byteLength >= 36) {
    return findAddress(Array.from({ length: 8 }, (_, index) => block.readUInt16BE(2 * index).toString(16)).join(":"));
  }
  if (family === 1 || family === 2) throw new Error("a malformed PROXY header");
  return undefined;
}

/** Whom each open connection is for. A connection is known by the proxy's own address and port: TLS wraps the socket, not these. */
export class ProxiedPeers {
  readonly #addresses = new Map<string, string>();

  /** The address in the connection's PROXY header, or undefined. */
  find(socket: Pick<Socket, "remoteAddress" | "remotePort">): string | undefined {
    return this.#addresses.size === 0 ? undefined : this.#addresses.get(keyOf(socket));
  }

  /** Makes `server` read a PROXY header from every connection first; one without a proper header is destroyed. */
  guard(server: Server, { clock, timeoutMs }: { clock: Clock; timeoutMs: number }): void {
    const listeners = server.listeners("connection");
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      const cancel = clock.after(timeoutMs, () => socket.destroy());
      readProxyHeader(socket, (header) => {
        cancel();
        if (header?.address !== undefined) this.#note(socket, header.address);
        if (header) for (const listener of listeners) listener.call(server, socket);
      });
      socket.once("close", cancel);
    });
  }

  #note(socket: Socket, address: string): void {
    const key = keyOf(socket);
    this.#addresses.set(key, address);
    socket.once("close", () => this.#addresses.delete(key));
  }
}

/** Reads the header off `socket` and puts back what follows it. `done` is told undefined when there was none: the socket is gone then. */
function readProxyHeader(socket: Socket, done: (header: ProxyHeader | undefined) => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const onError = (): void => {
    socket.destroy();
  };
  const onReadable = (): void => {
    const chunk: unknown = socket.read();
    if (!Buffer.isBuffer(chunk)) return;
    bytes = Buffer.concat([bytes, chunk]);
    const header = tryParse(bytes);
    if (header === "incomplete") return;
    socket.off("readable", onReadable);
    if (header === "malformed") {
      socket.destroy();
      return done(undefined);
    }
    socket.off("error", onError);
    const rest = bytes.subarray(header.sizeBytes);
    if (rest.byteLength > 0) socket.unshift(rest);
    done(header);
  };
  socket.on("error", onError);
  socket.on("readable", onReadable);
}

function tryParse(bytes: Buffer): ProxyHeader | "incomplete" | "malformed" {
  try {
    return parseProxyHeader(bytes) ?? "incomplete";
  } catch {
    // Whatever is wrong with it, the connection is cut: there is nobody to tell.
    return "malformed";
  }
}

function keyOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress} ${remotePort}`;
}
