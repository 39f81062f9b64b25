/**
 * NetworkBody: the body of an upstream's answer, pulled by its one reader. Chunks stay as they came from the socket and are copied
 * once, into the reader's own memory; then their memory is given back at once, which spares the collector a walk through the heap for
 * every few megabytes. When a few chunks wait unread, the socket is told to stop.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";

const pauseAboveBytes = 256 << 10;
const resumeBelowBytes = 64 << 10;
/** What is cheaper to read and forget than a new connection. */
const discardBytesMax = 64 << 10;
const discardMs = 2_000;

/** What steers the flow from the socket. */
export interface Flow {
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

type State = { readonly kind: "arriving" } | { readonly kind: "discarding" } | { readonly kind: "ended" } | { readonly kind: "failed"; readonly error: Error };

export class NetworkBody {
  readonly #flow: Flow;
  readonly #clock: Clock;
  readonly #chunks: Buffer[] = [];
  /** How much of the first chunk has been taken. */
  #takenBytes = 0;
  #waitingBytes = 0;
  #isPaused = false;
  #discardedBytes = 0;
  #state: State = { kind: "arriving" };
  #wake: (() => void) | undefined;

  constructor({ flow, clock }: { flow: Flow; clock: Clock }) {
    this.#flow = flow;
    this.#clock = clock;
  }

  /** Takes a chunk from the socket. */
  push(chunk: Buffer): void {
    if (this.#state.kind === "discarding") {
      this.#discardedBytes += chunk.length;
      if (this.#discardedBytes > discardBytesMax) this.destroy();
      return;
    }
    if (this.#state.kind !== "arriving" || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > pauseAboveBytes && !this.#isPaused) {
      this.#isPaused = true;
      this.#flow.pause();
    }
    this.#wake?.();
  }

  /** The socket says that the body is complete. */
  end(): void {
    if (this.#state.kind === "arriving" || this.#state.kind === "discarding") this.#state = { kind: "ended" };
    this.#wake?.();
  }

  /** The socket says that there will be no more, though there should be. */
  fail(error: Error): void {
    if (this.#state.kind !== "ended" && this.#state.kind !== "failed") this.#state = { kind: "failed", error };
    this.#wake?.();
  }

  /**
   * Copies what is there into `target`; waits while nothing is, at most `idleMs` (Infinity: until the connection ends). Resolves to 0 at the end of the body.
   * Rejects with `UPSTREAM_TIMEOUT` when nothing came in time, and with the socket's error.
   */
  async read(target: Uint8Array, idleMs: number): Promise<number> {
    if (this.#chunks.length === 0) await this.#arrival(idleMs);
    let written = 0;
    while (written < target.length) {
      const chunk = this.#chunks[0];
      if (!chunk) break;
      const count = Math.min(chunk.length - this.#takenBytes, target.length - written);
      target.set(count === chunk.length ? chunk : chunk.subarray(this.#takenBytes, this.#takenBytes + count), written);
      written += count;
      this.#take(chunk, count);
    }
    this.#resumeIfLow();
    return written;
  }

  /** Drops the next `count` bytes; resolves to how many were dropped: fewer only at the end. Rejects as `read`. */
  async skip(count: number, idleMs: number): Promise<number> {
    let skipped = 0;
    while (skipped < count) {
      if (this.#chunks.length === 0) await this.#arrival(idleMs);
      const chunk = this.#chunks[0];
      if (!chunk) break;
      const step = Math.min(chunk.length - this.#takenBytes, count - skipped);
      skipped += step;
      this.#take(chunk, step);
      this.#resumeIfLow();
    }
    return skipped;
  }

  /** All of it. Rejects when it is larger than `bytesMax`, with the signal's reason, and with the socket's error. */
  async readAll(bytesMax: number, signal: AbortSignal): Promise<Buffer> {
    const onAbort = (): void => this.destroy(signal.reason instanceof Error ? signal.reason : new Error("the caller has gone"));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await this.#collect(bytesMax);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Nobody wants it: what is short is read and forgotten, so that the connection can be used again; what is long is cut off. */
  discard(): void {
    if (this.#state.kind !== "arriving") return;
    this.#discardedBytes = this.#waitingBytes;
    this.#chunks.length = 0;
    this.#waitingBytes = 0;
    this.#state = { kind: "discarding" };
    if (this.#discardedBytes > discardBytesMax) return this.destroy();
    if (this.#isPaused) this.#flow.resume();
    this.#clock.after(discardMs, () => {
      if (this.#state.kind === "discarding") this.destroy();
    });
  }

  /** Cuts it off, unless it is complete; a read that waits is rejected. */
  destroy(error: Error = new OciError("UPSTREAM_UNAVAILABLE", "the answer was given up")): void {
    this.#chunks.length = 0;
    this.#waitingBytes = 0;
    if (this.#state.kind === "ended" || this.#state.kind === "failed") return;
    this.#state = { kind: "failed", error };
    this.#flow.abort(error);
    this.#wake?.();
  }

  async #collect(bytesMax: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      if (this.#chunks.length === 0) await this.#arrival();
      const chunk = this.#chunks.shift()?.subarray(this.#takenBytes);
      if (!chunk) return Buffer.concat(chunks, length);
      chunks.push(chunk);
      length += chunk.length;
      this.#takenBytes = 0;
      this.#waitingBytes -= chunk.length;
      this.#resumeIfLow();
      if (length <= bytesMax) continue;
      this.destroy();
      throw new OciError("UPSTREAM_UNAVAILABLE", `an answer of more than ${bytesMax} bytes`, { source: "upstream" });
    }
  }

  #take(chunk: Buffer, count: number): void {
    this.#waitingBytes -= count;
    this.#takenBytes += count;
    if (this.#takenBytes < chunk.length) return;
    this.#chunks.shift();
    this.#takenBytes = 0;
    giveBack(chunk);
  }

  #resumeIfLow(): void {
    if (!this.#isPaused || this.#waitingBytes > resumeBelowBytes) return;
    this.#isPaused = false;
    this.#flow.resume();
  }

  /** Resolves when there is a chunk or the end; rejects on failure, and after `idleMs` when given. */
  async #arrival(idleMs?: number): Promise<void> {
    if (this.#chunks.length === 0 && this.#state.kind === "arriving") {
      await new Promise<void>((resolve) => {
        const cancel = idleMs === undefined || idleMs === Infinity ? undefined : this.#clock.after(idleMs, () => this.destroy(stalled(idleMs)));
        this.#wake = () => {
          cancel?.();
          this.#wake = undefined;
          resolve();
        };
      });
    }
    if (this.#chunks.length === 0 && this.#state.kind === "failed") throw this.#state.error;
  }
}

/** Frees a chunk's memory, if it is no part of something larger: nobody else has a use for it. */
function giveBack(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && chunk.byteLength === buffer.byteLength) buffer.transfer(0);
}

function stalled(idleMs: number): OciError {
  return new OciError("UPSTREAM_TIMEOUT", `no byte from the upstream for ${idleMs} ms`, { source: "upstream" });
}
