/**
 * BodyTransfer: a body on its way from a blob to Node's response. It reads the next piece while the one before is being sent, at
 * the client's pace, and lets go of everything as soon as the client does.
 */
import type { ServerResponse } from "node:http";
import { OciError } from "../oci/errors.ts";
import type { BlobContent } from "../oci/registry.ts";
import { endWith, writeTo, type Written } from "./answer-writing.ts";
import type { BufferPool, PooledBuffer } from "./buffer-pool.ts";
import type { BodySegment } from "./multipart.ts";

export interface BlobBodyOptions {
  readonly pool: BufferPool;
  /** How long the client may take nothing before its connection is cut. */
  readonly stallTimeoutMs: number;
}

export interface BlobHead {
  readonly status: number;
  readonly headers: string[];
  /** True: the first bytes are read before the head goes, so that a failure can still be a status. False: the head goes at once. */
  readonly waitsForBytes: boolean;
  /** True: every byte is here, so that no read waits for anybody. */
  readonly isHeld: boolean;
}

/** The client left, or was cut because it took nothing: nobody is there to be told anything. */
export class ClientGone extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "ClientGone";
  }
}

/** How many bytes of a body were handed to the connection so far: true also after a failure. */
export interface SentBody {
  bytes: number;
}

/** What a body begins with. */
const pieceBytesMin = 64 * 1024;

export class BodyTransfer {
  readonly #outgoing: ServerResponse;
  readonly #head: BlobHead;
  readonly #content: BlobContent;
  readonly #pool: BufferPool;
  readonly #stallTimeoutMs: number;
  readonly #sent: SentBody;
  #pieceBytes = pieceBytesMin;
  #isWatched = false;
  #gone: ClientGone | undefined;
  /** The write that is on its way; the next one waits for it, so that two buffers are in use at most. */
  #writing: Promise<void> | undefined;
  /** Ends the wait that is going on, when the client leaves. */
  #abandon: ((reason: ClientGone) => void) | undefined;

  constructor(outgoing: ServerResponse, head: BlobHead, content: BlobContent, { pool, stallTimeoutMs }: BlobBodyOptions, sent: SentBody) {
    this.#sent = sent;
    this.#outgoing = outgoing;
    this.#head = head;
    this.#content = content;
    this.#pool = pool;
    this.#stallTimeoutMs = stallTimeoutMs;
    outgoing.on("close", this.#onClose);
    if (outgoing.destroyed) this.#onClose();
  }

  async run(segments: readonly BodySegment[]): Promise<void> {
    if (!this.#head.waitsForBytes) {
      this.#writeHead();
      this.#outgoing.flushHeaders();
    }
    for (const [index, segment] of segments.entries()) {
      const isLast = index === segments.length - 1;
      if (segment.kind === "blob") await this.#copy(segment.startBytes, segment.sizeBytes, isLast);
      else await this.#send(segment.bytes, isLast);
    }
    await this.#written();
    if (!this.#outgoing.writableEnded) {
      if (!this.#outgoing.headersSent) this.#writeHead();
      this.#outgoing.end();
    }
  }

  detach(): void {
    this.#outgoing.off("close", this.#onClose);
    this.#outgoing.off("timeout", this.#onTimeout);
  }

  async #copy(startBytes: number, sizeBytes: number | undefined, isLast: boolean): Promise<void> {
    const end = sizeBytes === undefined ? Number.POSITIVE_INFINITY : startBytes + sizeBytes;
    let position = startBytes;
    while (position < end) {
      if (this.#pool.isTight) await this.#written();
      const taken = this.#pool.take(Math.min(end - position, this.#pieceBytes));
      const buffer = taken instanceof Promise ? await taken : taken;
      const count = await this.#read(buffer, position, end - position);
      this.#pieceBytes = nextPieceBytes(count, buffer.bytes.byteLength, this.#sent.bytes);
      if (count === 0) {
        buffer.release();
        if (sizeBytes === undefined) return;
        throw endedEarly(position, end - position);
      }
      position += count;
      await this.#send(buffer.bytes.subarray(0, count), isLast && position === end, buffer);
    }
  }

  async #read(buffer: PooledBuffer, position: number, wantedBytes: number): Promise<number> {
    let reading: Promise<number> | undefined;
    try {
      const target = wantedBytes < buffer.bytes.byteLength ? buffer.bytes.subarray(0, wantedBytes) : buffer.bytes;
      if (this.#gone) throw this.#gone;
      reading = this.#content.read(target, position);
      return await this.#unlessGone(reading);
    } catch (error) {
      // The read may still be writing into the buffer when the client is what ended the wait.
      const settled = reading ?? Promise.resolve(0);
      settled.then(
        () => buffer.release(),
        () => buffer.discard(),
      );
      throw error;
    }
  }

  /** Begins to write `bytes` once the write before is done; the buffer goes back when these bytes are out. */
  async #send(bytes: Uint8Array, isLast: boolean, buffer?: PooledBuffer): Promise<void> {
    try {
      await this.#written();
      if (!this.#outgoing.headersSent) this.#writeHead();
    } catch (error) {
      buffer?.release();
      throw error;
    }
    if (!isLast) this.#watchForStall();
    this.#sent.bytes += bytes.byteLength;
    buffer?.sending(this.#giveWay);
    const writing = new Promise<void>((resolve, reject) => {
      const written: Written = (error) => {
        this.#writing = undefined;
        // Failed or not: the connection has let go of the bytes.
        buffer?.release();
        if (error) reject(new ClientGone(error.message));
        else resolve();
      };
      if (isLast) endWith(this.#outgoing, bytes, written);
      else writeTo(this.#outgoing, bytes, written);
    });
    this.#writing = writing;
    // Whoever waits for this write next gets its failure; when nobody does, the client's leaving has ended the transfer already.
    writing.catch(() => {});
  }

  #writeHead(): void {
    this.#outgoing.writeHead(this.#head.status, this.#head.headers);
  }

  /** Bodies of one piece are left to the connection's own timeout. */
  #watchForStall(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.#outgoing.setTimeout(this.#stallTimeoutMs);
    this.#outgoing.on("timeout", this.#onTimeout);
  }

  /** Waits for the write that is on its way, if any. */
  async #written(): Promise<void> {
    if (this.#gone) throw this.#gone;
    if (this.#writing) await this.#unlessGone(this.#writing);
  }

  /** `waited`, or a rejection as soon as the client is gone. One wait at a time; nothing is kept once it settled. */
  #unlessGone<T>(waited: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#abandon = reject;
      waited.then(resolve, reject);
    });
  }

  readonly #onClose = (): void => {
    if (this.#outgoing.writableFinished) return;
    this.#gone ??= new ClientGone("the client closed the connection");
    this.#abandon?.(this.#gone);
  };

  /** Node's socket timer: nothing was written for so long. While nothing waits to be written, that is not the client's fault. */
  readonly #onTimeout = (): void => {
    if (this.#writing !== undefined) this.#cut(`the client took nothing for ${this.#stallTimeoutMs} ms`);
  };

  readonly #giveWay = (): void => this.#cut("the client took too little while others waited");

  #cut(reason: string): void {
    this.#gone ??= new ClientGone(reason);
    this.#outgoing.destroy();
    this.#abandon?.(this.#gone);
  }
}

/**
 * How large a piece to ask for next. One that came full may grow, as far as the body has earned it: one that stalls in its first
 * megabytes, as the kernel's buffers fill, holds little. One that came short follows an arriving blob, and needs no more than comes.
 */
function nextPieceBytes(count: number, askedBytes: number, sentBytes: number): number {
  if (count < askedBytes / 2) return Math.max(pieceBytesMin, count);
  const earnedBytes = sentBytes < 256 * 1024 ? pieceBytesMin : sentBytes < 8 * 1024 * 1024 ? 256 * 1024 : 1024 * 1024;
  return Math.min(askedBytes * 4, earnedBytes);
}

/** A blob that gave less than it said it has. */
export function endedEarly(position: number, missingBytes: number): OciError {
  return new OciError("UPSTREAM_UNAVAILABLE", `the blob ended at byte ${position}: ${missingBytes} are missing`);
}
