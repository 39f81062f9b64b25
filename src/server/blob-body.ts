/**
 * The fast road: a blob's bytes from where they lie to Node's response, in large pieces, through buffers of one bounded pool.
 * Streams in between cost half of the speed.
 */
import type { ServerResponse } from "node:http";
import type { BlobContent } from "../oci/registry.ts";
import { BodyTransfer, ClientGone, endedEarly, type BlobBodyOptions, type BlobHead, type SentBody } from "./body-transfer.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { BodySegment } from "./multipart.ts";

const onePieceBytes = 64 * 1024;

/**
 * Sends head and `segments`, counts into `sent`, and resolves when all is handed to the connection. Throws what `content`
 * throws, or `ClientGone`; once the head is out (`headersSent`) the connection is destroyed then, never ended: a body that is cut
 * must not look whole. Every buffer is back in the pool, or will be, when it settles.
 */
export async function sendBlobBody(
  outgoing: ServerResponse,
  head: BlobHead,
  segments: readonly BodySegment[],
  content: BlobContent,
  options: BlobBodyOptions,
  sent: SentBody,
): Promise<void> {
  const [only] = segments;
  if (head.isHeld && segments.length === 1 && only?.kind === "blob" && only.sizeBytes !== undefined && only.sizeBytes <= onePieceBytes) {
    return sendOnePiece(outgoing, head, { startBytes: only.startBytes, sizeBytes: only.sizeBytes }, content, options.pool, sent);
  }
  const transfer = new BodyTransfer(outgoing, head, content, options, sent);
  try {
    await transfer.run(segments);
  } catch (error) {
    if (outgoing.headersSent) cut(outgoing, segments);
    throw error;
  } finally {
    transfer.detach();
  }
}

/** Ends the connection so that the body does not look whole: where neither a length nor chunks say what is missing, only a reset does. */
function cut(outgoing: ServerResponse, segments: readonly BodySegment[]): void {
  const endsWithConnection = outgoing.req.httpVersion === "1.0" && segments.some((segment) => segment.kind === "blob" && segment.sizeBytes === undefined);
  if (endsWithConnection) outgoing.socket?.resetAndDestroy();
  outgoing.destroy();
}

/** The short road for what is held and fits one buffer: read it, then head and body in one write. */
async function sendOnePiece(
  outgoing: ServerResponse,
  head: BlobHead,
  { startBytes, sizeBytes }: { startBytes: number; sizeBytes: number },
  content: BlobContent,
  pool: BufferPool,
  sent: SentBody,
): Promise<void> {
  const taken = pool.take(sizeBytes);
  const buffer = taken instanceof Promise ? await taken : taken;
  const bytes = buffer.bytes.subarray(0, sizeBytes);
  try {
    for (let filled = 0; filled < sizeBytes;) {
      const count = await content.read(filled === 0 ? bytes : bytes.subarray(filled), startBytes + filled);
      if (count === 0) throw endedEarly(startBytes + filled, sizeBytes - filled);
      filled += count;
    }
    if (outgoing.destroyed) throw new ClientGone("the client closed the connection");
  } catch (error) {
    buffer.discard();
    throw error;
  }
  sent.bytes = sizeBytes;
  buffer.sending(() => outgoing.destroy());
  outgoing.once("close", () => buffer.release());
  outgoing.writeHead(head.status, head.headers);
  outgoing.end(bytes);
}
