/**
 * FillSource: one blob of one registry as a stream that does not break. Cut, slow or expired, it is taken up again at its offset,
 * at another endpoint when the registry has one; only when nothing moved for long does it give up.
 */
import { delay, type Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { isOutage, OciError } from "../oci/errors.ts";
import type { Answered, BlobContent, Registry, SourceId } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";

/** Below this, for `slowWindowMs`, a stream is taken up at another endpoint. */
const rateFloorBytesPerSecond = 16 * 1024;
const slowWindowMs = 5_000;
const retryDelayFirstMs = 100;
const retryDelayMaxMs = 2_000;

export interface FillSourceOptions {
  readonly upstream: Registry;
  readonly repository: Repository;
  readonly digest: Digest;
  readonly requestId: string;
  readonly clock: Clock;
  /** How long nothing may move, tries included, before the stream is given up. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

export class FillSource {
  readonly #options: FillSourceOptions;
  #content: (BlobContent & Answered) | undefined;
  #sizeBytes: number | undefined;
  #isPublic = true;
  #avoid: readonly SourceId[] = [];
  #onlyOneEndpoint = false;
  #begun = false;
  #movedAtMs = 0;
  #failures = 0;
  #slow = false;
  #windowBytes = 0;
  #isWaiting = false;
  #cancelWatch: (() => void) | undefined;

  constructor(options: FillSourceOptions) {
    this.#options = options;
    // A read may hang on a connection that says nothing: dropping the connection ends it, and it reports what is to be reported.
    options.signal.addEventListener("abort", () => void this.#drop().catch(() => {}), { once: true });
  }

  /** True when nothing of what came needed a credential. */
  get isPublic(): boolean {
    return this.#isPublic;
  }

  /** Asks for the blob from `positionBytes` on; resolves to its size, as far as that is told. Throws what the registry said: nobody has been promised anything yet. */
  async begin(positionBytes: number): Promise<number | undefined> {
    await this.#open(positionBytes);
    this.#begun = true;
    this.#movedAtMs = this.#options.clock.elapsed();
    return this.#sizeBytes;
  }

  /** The next bytes, at `positionBytes`, into `target`; 0 at the end. Rejects with `OciError` when it has to be given up. */
  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    for (;;) {
      try {
        if (this.#sizeBytes !== undefined && positionBytes >= this.#sizeBytes) return 0;
        if (!this.#content) await this.#open(positionBytes);
        const length = await this.#readWatched(target, positionBytes);
        if (length > 0) {
          this.#failures = 0;
          this.#movedAtMs = this.#options.clock.elapsed();
        } else if (this.#sizeBytes !== undefined && positionBytes < this.#sizeBytes) {
          throw new OciError("UPSTREAM_UNAVAILABLE", `the upstream ended ${this.#options.digest} early`, { source: "upstream" });
        }
        return length;
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  /** What came was wrong: the next `begin` asks somebody else, if there is somebody. */
  async distrust(): Promise<void> {
    const source = this.#content?.source;
    await this.#drop();
    if (source !== undefined) this.#avoid = [...this.#avoid, source];
    this.#sizeBytes = undefined;
    this.#begun = false;
  }

  async close(): Promise<void> {
    await this.#drop();
  }

  async #open(positionBytes: number): Promise<void> {
    const { upstream, repository, digest, requestId, signal } = this.#options;
    const ranges = positionBytes > 0 ? { ranges: [{ startBytes: positionBytes }] } : {};
    const call = { signal, requestId, purpose: "pull", mayFetch: true, ...ranges } as const;
    let content: BlobContent & Answered;
    try {
      content = await upstream.getBlob(repository, digest, { ...call, avoid: this.#avoid });
    } catch (error) {
      if (this.#avoid.length === 0 || signal.aborted) throw error;
      // Nobody else to ask, or nobody better: take whom we have.
      this.#avoid = [];
      this.#onlyOneEndpoint = true;
      content = await upstream.getBlob(repository, digest, call);
    }
    const sizeBytes = content.descriptor.sizeBytes;
    if (this.#begun && this.#sizeBytes !== undefined && sizeBytes !== undefined && sizeBytes !== this.#sizeBytes) {
      await content[Symbol.asyncDispose]();
      throw new OciError("UPSTREAM_UNAVAILABLE", `the upstream changed the size of ${digest} from ${this.#sizeBytes} to ${sizeBytes} bytes`, {
        source: "upstream",
      });
    }
    this.#content = content;
    this.#sizeBytes ??= sizeBytes;
    this.#isPublic &&= content.isPublic === true;
  }

  async #readWatched(target: Uint8Array, positionBytes: number): Promise<number> {
    const content = this.#content;
    if (!content) throw new OciError("UPSTREAM_UNAVAILABLE", "the stream was closed", { source: "upstream" });
    this.#watch(content);
    this.#isWaiting = true;
    const length = await content.read(target, positionBytes);
    this.#isWaiting = false;
    this.#windowBytes += length;
    return length;
  }

  /** Looks every window whether enough came; if not, the connection is dropped, which ends the read that hangs on it. */
  #watch(content: BlobContent & Answered): void {
    if (this.#onlyOneEndpoint || this.#cancelWatch) return;
    this.#windowBytes = 0;
    this.#cancelWatch = this.#options.clock.after(slowWindowMs, () => {
      this.#cancelWatch = undefined;
      if (this.#content !== content) return;
      // Bytes that wait for room on our side are no fault of the upstream's.
      if (!this.#isWaiting || this.#windowBytes >= (rateFloorBytesPerSecond * slowWindowMs) / 1_000) return this.#watch(content);
      this.#slow = true;
      if (content.source !== undefined) this.#avoid = [...this.#avoid, content.source];
      void Promise.resolve(content[Symbol.asyncDispose]()).catch(() => {}); // The read that hangs on it reports what is to be reported.
    });
  }

  async #recover(error: unknown): Promise<void> {
    await this.#drop();
    if (this.#options.signal.aborted || !isOutage(error)) throw error;
    if (this.#slow) {
      this.#slow = false;
      return;
    }
    if (this.#options.clock.elapsed() - this.#movedAtMs > this.#options.patienceMs) throw error;
    this.#failures += 1;
    if (this.#failures === 1) return; // A cut is most often just a cut.
    const delayMs = Math.min(retryDelayFirstMs * 2 ** (this.#failures - 2), retryDelayMaxMs);
    await delay(this.#options.clock, delayMs, this.#options.signal);
  }

  async #drop(): Promise<void> {
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
    const content = this.#content;
    this.#content = undefined;
    await content?.[Symbol.asyncDispose]();
  }
}
