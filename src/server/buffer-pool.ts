/**
 * BufferPool: the memory that blob bodies pass through, bounded for the whole process. A body begins with small buffers and gets
 * larger ones as it proves to move; when many bodies share the pool, all get small ones; when it is empty, they wait their turn.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";

/** Sizes handed out. Large ones make a body as fast as the machine; small ones let a thousand bodies share the pool. */
export const bufferSizesBytes = [65_536, 262_144, 1_048_576] as const;

type BufferSize = (typeof bufferSizesBytes)[number];

/** How full the pool may be for a buffer of this size to be handed out, as a share of all. */
const shares: Readonly<Record<BufferSize, number>> = { 65_536: 1, 262_144: 0.75, 1_048_576: 0.5 };
const [smallestBytes] = bufferSizesBytes;
const largestFirst = bufferSizesBytes.toReversed();

export interface BufferPoolOptions {
  readonly clock: Clock;
  readonly totalBytes?: number;
  /** Free buffers kept for the next body; what is beyond goes back to the system. */
  readonly keptBytes?: number;
  readonly waitMs?: number;
  readonly waitersMax?: number;
}

/** A buffer on loan. Give it back once, by one of both ways. */
export interface PooledBuffer {
  readonly bytes: Uint8Array;
  /** Nobody touches the bytes any more: they may be used again. */
  release(): void;
  /** Somebody may still touch the bytes: count them as free, but never use them again. */
  discard(): void;
}

interface Waiter {
  readonly resolve: (buffer: PooledBuffer) => void;
  readonly cancelTimer: () => void;
}

export class BufferPool {
  readonly #clock: Clock;
  readonly #totalBytes: number;
  readonly #keptBytes: number;
  readonly #waitMs: number;
  readonly #waitersMax: number;
  readonly #free: Readonly<Record<BufferSize, Uint8Array[]>> = { 65_536: [], 262_144: [], 1_048_576: [] };
  readonly #waiters = new Set<Waiter>();
  #freeBytes = 0;
  #usedBytes = 0;

  constructor({ clock, totalBytes = 64 * 1024 * 1024, keptBytes = 8 * 1024 * 1024, waitMs = 20_000, waitersMax = 1_024 }: BufferPoolOptions) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#keptBytes = keptBytes;
    this.#waitMs = waitMs;
    this.#waitersMax = waitersMax;
  }

  /** Bytes on loan now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** True while a body should make do with one buffer at a time. */
  get isTight(): boolean {
    return this.#usedBytes > this.#totalBytes / 2;
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
    const bytes = kept ?? Buffer.allocUnsafeSlow(size);
    this.#usedBytes += size;
    return {
      bytes,
      release: () => {
        if (this.#freeBytes + size <= this.#keptBytes) {
          this.#free[size].push(bytes);
          this.#freeBytes += size;
        }
        this.#returned(size);
      },
      discard: () => this.#returned(size),
    };
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
    });
  }

  #returned(size: BufferSize): void {
    this.#usedBytes -= size;
    for (const waiter of this.#waiters) {
      const buffer = this.#lend(smallestBytes);
      if (!buffer) return;
      this.#waiters.delete(waiter);
      waiter.cancelTimer();
      waiter.resolve(buffer);
    }
  }
}

function noBuffer(): OciError {
  return new OciError("OVERLOADED", "too many bodies are being sent at once", { retryAfterMs: 5_000 });
}
