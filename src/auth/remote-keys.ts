/**
 * RemoteKeys: a key set that somebody else publishes and changes. Asked for when a token is first met, one fetch at a time. A key id
 * that is not in it may be new, so it is fetched again, but once in 30 seconds at most, whatever ids strangers make up; when a
 * fetch fails, the keys that were good stay good, and nobody can tell of the others.
 */
import type { KeyObject } from "node:crypto";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { selectKey, type KeyHint, type TokenKey } from "./token-key.ts";
import { readForeignKeySet, type KeySearch, type TokenKeys, type TokenOrigin } from "./token-keys.ts";
import { untilAborted } from "../oci/waiting.ts";

/** After a fetch for an unknown id, the next one waits this long. */
export const unknownIdCooldownMs = 30_000;
/** A set this old is fetched anew behind the answers it still gives: keys that were withdrawn end. */
export const keySetFreshMs = 600_000;
/** A set that could not be renewed for this long is trusted no more: no token lives longer either. */
export const keySetStaleMs = 86_400_000;
/** After a fetch that failed. */
const failureCooldownMs = 5_000;

export interface RemoteKeysOptions {
  /** For logs: the address that the operator wrote. */
  readonly source: string;
  /** Fetches the set. It has its own deadline, and throws an Error. */
  readonly load: () => Promise<Readonly<Record<string, unknown>>>;
  readonly clock: Clock;
  readonly background: Background;
  readonly log: Log;
}

interface Held {
  readonly keys: readonly TokenKey[];
  readonly generation: number;
  readonly atMs: number;
}

export class RemoteKeys implements TokenKeys {
  readonly roots = [];
  readonly #options: RemoteKeysOptions;
  #held: Held | undefined;
  #pending: Promise<void> | undefined;
  #failure: { readonly reason: string; readonly atMs: number } | undefined;
  #unknownIdAtMs = -Infinity;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#held?.generation ?? 0;
  }

  async find(hint: KeyHint, signal: AbortSignal, from: TokenOrigin = "anybody"): Promise<KeySearch> {
    const { clock, background } = this.#options;
    const heldBefore = this.#usable();
    if (!heldBefore) await untilAborted(this.#fetchOnce(), signal);
    const held = this.#usable();
    if (!held) return this.#unavailable();
    const found = select(held, hint);
    if (found) {
      if (clock.elapsed() - held.atMs > keySetFreshMs) background.run("token keys", this.#fetchOnce());
      return { kind: "found", key: found, generation: held.generation };
    }
    // Fetched for this very token: asking again would tell nothing new.
    if (!heldBefore || hint.id === undefined) return { kind: "unknown" };
    const isCoolingDown = from === "anybody" && !this.#pending && clock.elapsed() - this.#unknownIdAtMs < unknownIdCooldownMs;
    if (!isCoolingDown) {
      if (from === "anybody") this.#unknownIdAtMs = clock.elapsed();
      await untilAborted(this.#fetchOnce(), signal);
    }
    const renewed = this.#usable();
    const key = renewed && select(renewed, hint);
    if (key) return { kind: "found", key, generation: renewed.generation };
    return this.#failure ? this.#unavailable() : { kind: "unknown" };
  }

  #unavailable(): KeySearch {
    return { kind: "unavailable", reason: `the keys of ${this.#options.source} cannot be had: ${this.#failure?.reason ?? "not yet"}` };
  }

  #usable(): Held | undefined {
    return this.#held && this.#options.clock.elapsed() - this.#held.atMs < keySetStaleMs ? this.#held : undefined;
  }

  /** Never rejects: a failure is noted. */
  #fetchOnce(): Promise<void> {
    const { clock } = this.#options;
    if (this.#failure && clock.elapsed() - this.#failure.atMs < failureCooldownMs) return Promise.resolve();
    this.#pending ??= this.#fetch().finally(() => (this.#pending = undefined));
    return this.#pending;
  }

  async #fetch(): Promise<void> {
    const { load, clock, log, source } = this.#options;
    try {
      const keys = readForeignKeySet(await load());
      if (keys.length === 0)
        throw new Error("the key set holds no key that could have signed a token: providers that sign with a shared secret (HS256) cannot be used");
      this.#held = { keys, generation: this.generation + 1, atMs: clock.elapsed() };
      this.#failure = undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#failure = { reason, atMs: clock.elapsed() };
      log.warn({ source, error: reason, isHeld: this.#usable() !== undefined }, "token keys could not be fetched");
    }
  }
}

function select({ keys }: Held, hint: KeyHint): KeyObject | undefined {
  return selectKey(keys, hint, { acceptsUnknownId: false });
}
