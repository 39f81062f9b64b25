/**
 * BufferPool: the memory that blob bodies pass through, bounded for the whole process. A body begins with small buffers and gets
 * larger ones as it proves to move; when many bodies share the pool, all get small ones; when it is empty, they wait their turn.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";

/** Sizes handed out. Large ones make a body as fast as the machine; small ones let a thousand bodies share the pool. */
export const bufferSizesBytes = [65_536, 262_144, 1_048_576] as const;

type BufferSize = (typeof bufferSizesBytes)[number];

/** How full the pool may be for a buffer of this size to be handed out, as a share of all: hundreds of stalled bodies leave room. */
const shares: Readonly<Record<BufferSize, number>> = { 65_536: 1, 262_144: 0.25, 1_048_576: 0.25 };
const [smallestBytes] = bufferSizesBytes;
const largestFirst = bufferSizesBytes.toReversed();

export interface BufferPoolOptions {
  readonly clock: Clock;
  readonly totalBytes?: number;
  /** When nothing was on loan for so long, the free buffers go back to the system. */
  readonly idleMs?: number;
  /** How long a body waits for a buffer. */
  readonly waitMs?: number;
  readonly waitersMax?: number;
  /** While bodies wait, one whose client has not taken its buffer for so long is cut for them. */
  readonly yieldMs?: number;
}

/** A buffer on loan. Give it back once, by one of both ways. */
export interface PooledBuffer {
  readonly bytes: Uint8Array;
  /** From now on it is the client who holds it; `cut` is called when others have waited for too long. */
  sending(cut: () => void): void;
  /** Nobody touches the bytes any more: they may be used again. */
  release(): void;
  /** Somebody may still touch the bytes: count them as free, but never use them again. */
  discard(): void;
}

interface Sending {
  readonly sinceMs: number;
  readonly cut: () => void;
}

interface Waiter {
  readonly resolve: (buffer: PooledBuffer) => void;
  readonly cancelTimer: () => void;
}

export class BufferPool {
  readonly #clock: Clock;
  readonly #totalBytes: number;
  readonly #idleMs: number;
  readonly #waitMs: number;
  readonly #waitersMax: number;
  readonly #yieldMs: number;
  readonly #free: Readonly<Record<BufferSize, Uint8Array[]>> = { 65_536: [], 262_144: [], 1_048_576: [] };
  readonly #waiters = new Set<Waiter>();
  /** What clients hold, the longest held first. */
  readonly #sending = new Map<PooledBuffer, Sending>();
  #usedBytes = 0;
  #freeBytes = 0;
  #cancelTrim: (() => void) | undefined;
  #cancelYield: (() => void) | undefined;

  constructor({ clock, totalBytes = 64 * 1024 * 1024, idleMs = 10_000, waitMs = 20_000, waitersMax = 1_024, yieldMs = 5_000 }: BufferPoolOptions) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#idleMs = idleMs;
    this.#waitMs = waitMs;
    this.#waitersMax = waitersMax;
    this.#yieldMs = yieldMs;
  }

  /** Bytes on loan now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** True while a body should make do with one buffer at a time. */
  get isTight(): boolean {
    return this.#usedBytes > this.#totalBytes / 4;
  }

  /**
   * A buffer of at most `wantedBytes` rounded up to a size, smaller when the pool is tight. Throws `OVERLOADED` when none came
   * free in time or too many wait already.
   */
  take(wantedBytes: number): PooledBuffer | Promise<PooledBuffer> {
    const buffer = this.#waiters.size === 0 ? this.#lend(wantedBytes) : undefined;
    return buffer ?? this.#wait();
  }

  #lend(wantedBytes: number): PooledBuffer | undefined {
    for (const size of largestFirst) {
      if (size > smallestBytes && size / 4 >= wantedBytes) continue;
      if (this.#usedBytes + size <= this.#totalBytes * shares[size]) return this.#loanOf(size);
    }
    return undefined;
  }

  #loanOf(size: BufferSize): PooledBuffer {
    const kept = this.#free[size].pop();
    if (kept) this.#freeBytes -= size;
    else this.#makeRoom(size);
    const bytes = kept ?? Buffer.allocUnsafeSlow(size);
    this.#usedBytes += size;
    this.#cancelTrim?.();
    const loan: PooledBuffer = {
      bytes,
      sending: (cut) => this.#sending.set(loan, { sinceMs: this.#clock.elapsed(), cut }),
      release: () => {
        this.#free[size].push(bytes);
        this.#freeBytes += size;
        this.#returned(loan, size);
      },
      discard: () => this.#returned(loan, size),
    };
    return loan;
  }

  /** Free buffers of other sizes count too: what is on loan and what is free stay within the total together. */
  #makeRoom(size: BufferSize): void {
    for (const other of largestFirst) {
      while (this.#usedBytes + this.#freeBytes + size > this.#totalBytes && this.#free[other].pop()) this.#freeBytes -= other;
    }
  }

  #wait(): Promise<PooledBuffer> {
    if (this.#waiters.size >= this.#waitersMax) return Promise.reject(noBuffer());
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#clock.after(this.#waitMs, () => {
        this.#waiters.delete(waiter);
        reject(noBuffer());
      });
      const waiter: Waiter = { resolve, cancelTimer };
      this.#waiters.add(waiter);
      this.#cutLongestHeld();
    });
  }

  /** Cuts a client for each body that waits, if it has held its buffer long enough; else looks again when it will have. */
  #cutLongestHeld(): void {
    this.#cancelYield?.();
    let wanted = this.#waiters.size;
    for (const [loan, { sinceMs, cut }] of this.#sending) {
      if (wanted === 0) return;
      const leftMs = sinceMs + this.#yieldMs - this.#clock.elapsed();
      if (leftMs > 0) {
        this.#cancelYield = this.#clock.after(leftMs, () => this.#cutLongestHeld());
        return;
      }
      this.#sending.delete(loan);
      wanted -= 1;
      cut();
    }
  }

  #returned(loan: PooledBuffer, size: BufferSize): void {
    this.#sending.delete(loan);
    this.#usedBytes -= size;
    for (const waiter of this.#waiters) {
      const buffer = this.#lend(smallestBytes);
      if (!buffer) return;
      this.#waiters.delete(waiter);
      waiter.cancelTimer();
      waiter.resolve(buffer);
    }
    if (this.#usedBytes === 0) this.#cancelTrim = this.#clock.after(this.#idleMs, () => this.#trim());
  }

  #trim(): void {
    for (const size of bufferSizesBytes) this.#free[size].length = 0;
    this.#freeBytes = 0;
  }
}

function noBuffer(): OciError {
  return new OciError("OVERLOADED", "too many bodies are being sent at once", { retryAfterMs: 5_000 });
}
