/** Refusals: the answers to what never becomes a request of the app. They are JSON like all others, and end the connection. */
import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { OciError } from "../oci/errors.ts";
import { errorAnswer } from "./errors.ts";

/** Requests with longer heads are refused. */
export const headerBytesMax = 24 * 1024;

/** RFC 9112 3.2: HTTP/1.1 demands the header, whatever becomes of it. */
export function refuseHostless(outgoing: ServerResponse): void {
  const { status, headers, body } = errorAnswer(new OciError("REQUEST_INVALID", "the request has no Host header"));
  outgoing.writeHead(status, [...headers, "Connection", "close"]);
  outgoing.end(body);
}

/** The answer to what hono itself cannot read as a request: a Host that is none, an absolute URL that is none. */
export function badRequest(): Response {
  const { status, body } = errorAnswer(new OciError("REQUEST_INVALID", "the request's URL or Host header is malformed"));
  return new Response(String(body), { status, headers: { "Content-Type": "application/json", Connection: "close" } });
}

/**
 * What cannot be parsed (a TLS handshake on the plain port, among others) gets a reply that begins with `HTTP/`, by which clients
 * recognise that they should have spoken HTTP, and its connection is destroyed.
 */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] = refusalOf(error.code);
  const body = JSON.stringify({ errors: [{ code: "REQUEST_INVALID", message }] });
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`;
  socket.end(head + body, () => socket.destroy());
}

function refusalOf(code: string | undefined): readonly [status: string, message: string] {
  if (code === "HPE_HEADER_OVERFLOW") return ["431 Request Header Fields Too Large", `headers of more than ${headerBytesMax} bytes`];
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return ["408 Request Timeout", "the request took too long to arrive"];
  return ["400 Bad Request", "this is not an HTTP request"];
}
