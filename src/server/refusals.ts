/** Refusals: the answers to what never becomes a request of the app. They are JSON like all others, and end the connection. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { OciError } from "../oci/errors.ts";
import { errorAnswer } from "./errors.ts";
import { requestIdFrom } from "./request-id.ts";

/** Requests with longer heads are refused. */
export const headerBytesMax = 24 * 1024;

/** Refuses a request as HTTP that is in order and yet means nothing; `why` says so. */
export function refuseRequest({ headers: asked }: IncomingMessage, outgoing: ServerResponse, why: string): void {
  const { status, headers, body } = errorAnswer(new OciError("REQUEST_INVALID", why));
  outgoing.writeHead(status, [...headers, "X-Request-Id", requestIdFrom(asked["x-request-id"]), "Connection", "close"]);
  outgoing.end(body);
}

/**
 * What cannot be parsed (a TLS handshake on the plain port, among others) gets a reply that begins with `HTTP/`, by which clients
 * recognise that they should have spoken HTTP, and its connection is destroyed. An id that the client may have given was not read.
 */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] = refusalOf(error.code);
  const body = JSON.stringify({ errors: [{ code: "REQUEST_INVALID", message }] });
  const headers = [
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestIdFrom(undefined)}`,
    "Connection: close",
  ];
  socket.end(`HTTP/1.1 ${[status, ...headers].join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}

function refusalOf(code: string | undefined): readonly [status: string, message: string] {
  if (code === "HPE_HEADER_OVERFLOW") return ["431 Request Header Fields Too Large", `headers of more than ${headerBytesMax} bytes`];
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return ["408 Request Timeout", "the request took too long to arrive"];
  return ["400 Bad Request", "this is not an HTTP request"];
}
