/** CensusKeeper: a census that is taken in the background, kept up with what comes, and taken again for what others did. */
import type { Background } from "../../oci/background.ts";
import type { Clock } from "../../oci/clock.ts";
import type { Log } from "../../oci/log.ts";
import { isStorageFailure } from "../atomic-write.ts";
import type { HeldImages } from "../held-images.ts";
import type { Store } from "../store.ts";
import { Census } from "./census.ts";

export interface CensusKeeperOptions {
  readonly store: Store;
  readonly images: HeldImages;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** Something was counted: all of it, or what came since. */
  readonly onCounted: () => Promise<void>;
}

/** What others have done is looked for this often. */
const retakeEveryMs = 10 * 60_000;
/** Manifests and tags that came are counted this often: they are small, and ask for no room. */
const catchUpEveryMs = 2_000;
/** While it looks, for each millisecond of work so many of rest. */
const restFactor = 4;
/** A census that knows this many more digests than there are files is begun anew: it never forgets one. */
const forgottenMax = 200_000;

export class CensusKeeper {
  readonly #options: CensusKeeperOptions;
  readonly #lifetime = new AbortController();
  #census: Census;
  #isHeard = false;
  #forget: () => void = () => {};
  #taking: Promise<void> | undefined;
  #cancelRetake: () => void = () => {};
  #cancelCatchUp: () => void = () => {};

  constructor(options: CensusKeeperOptions) {
    this.#options = options;
    this.#census = this.#newCensus();
  }

  /** What is known now: nothing, before it has been taken. */
  get census(): Census {
    return this.#census;
  }

  get isTaking(): boolean {
    return this.#taking !== undefined;
  }

  /** Takes it, unless that is being done, and from then on keeps it. */
  begin(): void {
    const { clock, background } = this.#options;
    if (this.#taking || this.#lifetime.signal.aborted) return;
    this.#cancelRetake();
    this.#taking = this.#take().finally(() => {
      this.#taking = undefined;
      if (!this.#lifetime.signal.aborted) this.#cancelRetake = clock.after(retakeEveryMs, () => this.begin());
    });
    background.run("count what is held for eviction", this.#taking);
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    this.#lifetime.abort(new Error("the server is shutting down"));
    this.#cancelRetake();
    this.#cancelCatchUp();
    this.#forget();
    await Promise.allSettled([this.#taking]); // Its owner, the background, has told of a failure.
  }

  async #take(): Promise<void> {
    const { store, log, onCounted } = this.#options;
    const { signal } = this.#lifetime;
    const isFirst = !this.#census.isComplete;
    const isSwollen = this.#census.table.count > this.#census.fileCount + forgottenMax;
    const census = isSwollen ? this.#newCensus() : this.#census;
    const isHeard = census === this.#census && this.#isHeard;
    const forget = isHeard ? this.#forget : store.changes.listen(census);
    try {
      await census.takeBlobs(signal);
      for await (const _image of census.takeImages(signal)) signal.throwIfAborted();
    } catch (error) {
      if (!isHeard) forget();
      if (signal.aborted) return;
      if (!isStorageFailure(error)) throw error;
      return log.warn({ error }, "what is held cannot be counted: maxSize does not hold for now");
    }
    if (!isHeard) this.#forget();
    this.#forget = forget;
    this.#isHeard = true;
    this.#census = census;
    this.#keepUp();
    await onCounted();
    if (isFirst) log.info({ images: census.imageCount, bytes: census.takenBytes }, "what is held has been counted");
  }

  #keepUp(): void {
    this.#cancelCatchUp();
    if (this.#lifetime.signal.aborted) return;
    this.#cancelCatchUp = this.#options.clock.after(catchUpEveryMs, () => {
      const work = this.#census.isBehind ? this.#catchUp() : Promise.resolve();
      this.#options.background.run(
        "count what came",
        work.finally(() => this.#keepUp()),
      );
    });
  }

  async #catchUp(): Promise<void> {
    try {
      await this.#census.catchUp(this.#lifetime.signal);
      await this.#options.onCounted();
    } catch (error) {
      if (!this.#lifetime.signal.aborted && !isStorageFailure(error)) throw error;
    }
  }

  #newCensus(): Census {
    const { store, images, clock } = this.#options;
    return new Census({ store, images, clock, restFactor });
  }
}
