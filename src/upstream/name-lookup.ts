/**
 * NameLookup: names to addresses. The system's resolver blocks a thread for as long as it likes; so look-ups of one name are shared,
 * few run at once, each wait has an end, and the last good answer stands in for a resolver that fails or dawdles.
 */
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { LRUCache } from "lru-cache";
import type { Background } from "../oci/background.ts";
import { delay, type Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Resolve } from "./upstream-options.ts";

const namesMax = 4_096;
const freshMs = 5_000;
/** So long a name that has a last good answer waits for a new one. */
const patienceMs = 200;
const runningMax = 6;
const waitingMax = 256;

export interface NameLookupOptions {
  readonly clock: Clock;
  readonly background: Background;
  readonly lookupMs: number;
  readonly resolve?: Resolve;
}

interface Known {
  readonly addresses: readonly LookupAddress[];
  readonly at: number;
}

interface Pending {
  readonly work: Promise<Known>;
  readonly sinceMs: number;
}

export class NameLookup {
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #lookupMs: number;
  readonly #resolve: Resolve;
  readonly #known = new LRUCache<string, Known>({ max: namesMax });
  readonly #pending = new Map<string, Pending>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor({ clock, background, lookupMs, resolve = resolveBySystem }: NameLookupOptions) {
    this.#clock = clock;
    this.#background = background;
    this.#lookupMs = lookupMs;
    this.#resolve = resolve;
  }

  /** The addresses of `hostname`, at least one. Throws the resolver's error, or `UPSTREAM_TIMEOUT`, when none was ever known. */
  async addressesOf(hostname: string): Promise<readonly LookupAddress[]> {
    const known = this.#known.get(hostname);
    if (known && this.#clock.elapsed() - known.at < freshMs) return known.addresses;
    const work = this.#findPending(hostname) ?? this.#start(hostname);
    try {
      const { addresses } = await this.#within(work, known ? patienceMs : this.#lookupMs, hostname);
      return addresses;
    } catch (error) {
      if (known) return known.addresses;
      throw error;
    }
  }

  /** What is known of `hostname` may be wrong by now: the next who asks for it looks it up. Where that fails, it stands in as before. */
  doubt(hostname: string): void {
    const known = this.#known.get(hostname);
    if (known) this.#known.set(hostname, { ...known, at: -Infinity });
  }

  /** A look-up that took too long may never end: then another is made beside it, as long as most of the places are free for other names. */
  #findPending(hostname: string): Promise<Known> | undefined {
    const pending = this.#pending.get(hostname);
    const isLost = pending && this.#clock.elapsed() - pending.sinceMs >= this.#lookupMs && this.#running <= runningMax / 2;
    return isLost ? undefined : pending?.work;
  }

  #start(hostname: string): Promise<Known> {
    if (this.#waiting.length >= waitingMax) return Promise.reject(new OciError("UPSTREAM_UNAVAILABLE", `too many names wait to be looked up: ${hostname}`));
    const work = this.#run(hostname).finally(() => {
      if (this.#pending.get(hostname)?.work === work) this.#pending.delete(hostname);
    });
    this.#pending.set(hostname, { work, sinceMs: this.#clock.elapsed() });
    // Owned here: those who wait for it may leave, and they hear of a failure themselves.
    this.#background.run(
      "name lookup",
      work.catch(() => {}),
    );
    return work;
  }

  async #run(hostname: string): Promise<Known> {
    await this.#turn();
    try {
      const addresses = await this.#resolve(hostname);
      if (addresses.length === 0) throw Object.assign(new Error(`no address for ${hostname}`), { code: "ENOTFOUND" });
      const known = { addresses, at: this.#clock.elapsed() };
      this.#known.set(hostname, known);
      return known;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  /** Resolves when one of the few places is ours; whoever leaves hands its place on. */
  #turn(): Promise<void> {
    if (this.#running >= runningMax) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    return Promise.resolve();
  }

  async #within<T>(work: Promise<T>, limitMs: number, hostname: string): Promise<T> {
    const enough = new AbortController();
    const late = delay(this.#clock, limitMs, enough.signal).then(
      () => Promise.reject(new OciError("UPSTREAM_TIMEOUT", `no address for ${hostname} within ${limitMs} ms`, { source: "upstream" })),
      () => new Promise<never>(() => {}),
    );
    try {
      return await Promise.race([work, late]);
    } finally {
      enough.abort();
    }
  }
}

function resolveBySystem(hostname: string): Promise<LookupAddress[]> {
  return lookup(hostname, { all: true, order: "verbatim" });
}
