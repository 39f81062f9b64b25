/**
 * ApiKeys: keys that stand in for a password, `zak_` and 32 hexadecimal digits as zot's. A key is told once, when it is made; what is kept
 * is its SHA-256, below its owner's name, so that neither the records nor a backup of them give any away.
 */
import { hash, randomBytes } from "node:crypto";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { readStoredKey, writeStoredKey, type StoredKey } from "./api-key-records.ts";
import type { Voucher } from "./principal.ts";
import { RecordsUnavailable, unendingMs, type Records } from "./records.ts";
import { userKeyOf } from "./user-key.ts";
import { isSameVoucher } from "./voucher.ts";

export interface ApiKeysOptions {
  readonly records: Records;
  readonly clock: Clock;
  /** Owns noting that a key was used. */
  readonly background: Background;
}

export interface FoundKey extends StoredKey {
  /** Names it, and is no secret: it comes from the hash. A UUID in form, as zot's are. */
  readonly id: string;
  readonly isExpired: boolean;
}

export interface ApiKey extends FoundKey {
  /** To the minute. Undefined: never. */
  readonly usedAtMs: number | undefined;
}

/** Keys of one person; whoever wants more gives some up first. */
export const keysMax = 100;
/** The same of all who have one name. */
export const namesakesKeysMax = 300;
/** A use is noted this often. */
const noteMs = 60_000;
/** How long a key that is over is still listed. */
const listedExpiredMs = 30 * 86_400_000;

/** Thrown for one key too many. */
export class TooManyKeys extends Error {
  constructor(owner: string) {
    super(`${owner} has ${keysMax} keys already: revoke one that is not used`);
    this.name = "TooManyKeys";
  }
}

/** Whether a password is written as a key is: no other backend is shown it. */
export function looksLikeKey(password: string): boolean {
  return /^zak_[0-9a-f]{32}$/.test(password);
}

export class ApiKeys {
  readonly #options: ApiKeysOptions;
  /** When this process noted a key's use, by hash, on the clock that only grows. Those of one owner are few, and owners are people. */
  readonly #notedAtMs = new Map<string, number>();

  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /** Makes a key. It is nowhere else from now on. Throws `TooManyKeys`, `RecordsUnavailable`. */
  async create(wanted: Omit<StoredKey, "createdAtMs">): Promise<{ readonly secret: string; readonly key: ApiKey }> {
    const { records, clock } = this.#options;
    const { owner, expiresAtMs } = wanted;
    const ownerKey = userKeyOf(owner);
    if (await this.hasTooMany(owner, wanted.voucher)) throw new TooManyKeys(owner);
    if ((await records.read(["api-key-owners", ownerKey])) === undefined) await records.write(["api-key-owners", ownerKey], owner, { lifeMs: unendingMs });
    const secret = `zak_${randomBytes(16).toString("hex")}`;
    const hashed = hashOf(secret);
    const stored: StoredKey = { ...wanted, createdAtMs: clock.now() };
    const lifeMs = expiresAtMs === undefined ? unendingMs : Math.max(0, expiresAtMs - clock.now()) + listedExpiredMs;
    await records.write(["api-keys", ownerKey, hashed], writeStoredKey(stored), { lifeMs });
    return { secret, key: this.#described(hashed, stored, undefined) };
  }

  /** Whether there is no room for another key of `owner`, as the one whom `voucher` vouches for. Throws `RecordsUnavailable`. */
  async hasTooMany(owner: string, voucher: Voucher | undefined): Promise<boolean> {
    const all = await this.#options.records.list(["api-keys", userKeyOf(owner)]);
    if (all.length < keysMax) return false;
    if (all.length >= namesakesKeysMax) return true;
    const keys = await Promise.all(all.map((hashed) => this.#read(owner, hashed)));
    return keys.filter((key) => key && isSameVoucher(key.voucher, voucher)).length >= keysMax;
  }

  /** The key behind `secret`, when it is `owner`'s and is good now; its use is noted. Throws `RecordsUnavailable`. */
  async find(owner: string, secret: string): Promise<FoundKey | undefined> {
    if (!looksLikeKey(secret)) return undefined;
    const hashed = hashOf(secret);
    const stored = await this.#read(owner, hashed);
    if (!stored || this.#isOver(stored)) return undefined;
    this.#noteUse(owner, hashed);
    return this.#found(hashed, stored);
  }

  /** Those of `owner`, or of everybody: by owner, the newest first. Throws `RecordsUnavailable`. */
  async list(owner: string | undefined): Promise<readonly ApiKey[]> {
    const owners = owner === undefined ? await this.#owners() : [owner];
    const keys: ApiKey[] = [];
    for (const one of owners.toSorted()) keys.push(...(await this.#listOf(one)));
    return keys;
  }

  /** Ends the key of `owner` that `id` names: whether there was one. Everybody's next look finds none. Throws `RecordsUnavailable`. */
  async revoke(owner: string, id: string): Promise<boolean> {
    const ownerKey = userKeyOf(owner);
    const hashed = (await this.#options.records.list(["api-keys", ownerKey])).find((name) => idOf(name) === id.toLowerCase());
    return hashed !== undefined && (await this.#remove(owner, hashed));
  }

  /** Ends the key behind `secret`, when it is `owner`'s: which one that was. Throws `RecordsUnavailable`. */
  async giveUp(owner: string, secret: string): Promise<string | undefined> {
    const hashed = hashOf(secret);
    return (await this.#remove(owner, hashed)) ? idOf(hashed) : undefined;
  }

  async #owners(): Promise<readonly string[]> {
    const { records } = this.#options;
    const names = await Promise.all((await records.list(["api-key-owners"])).map((name) => records.read(["api-key-owners", name])));
    return names.filter((name) => name !== undefined);
  }

  async #listOf(owner: string): Promise<readonly ApiKey[]> {
    const { records } = this.#options;
    const ownerKey = userKeyOf(owner);
    const keys = await Promise.all(
      (await records.list(["api-keys", ownerKey])).map(async (hashed) => {
        const stored = await this.#read(owner, hashed);
        const used = await records.read(["api-key-uses", ownerKey, hashed]);
        return stored && this.#described(hashed, stored, used === undefined ? undefined : Number(used));
      }),
    );
    return keys.filter((key) => key !== undefined).toSorted((one, other) => other.createdAtMs - one.createdAtMs || one.id.localeCompare(other.id));
  }

  async #read(owner: string, hashed: string): Promise<StoredKey | undefined> {
    const text = await this.#options.records.read(["api-keys", userKeyOf(owner), hashed]);
    const stored = text === undefined ? undefined : readStoredKey(text);
    return stored?.owner === owner ? stored : undefined;
  }

  async #remove(owner: string, hashed: string): Promise<boolean> {
    const { records } = this.#options;
    const wasThere = await records.remove(["api-keys", userKeyOf(owner), hashed]);
    await records.remove(["api-key-uses", userKeyOf(owner), hashed]);
    return wasThere;
  }

  /** Beside the key, not in it: noting a use must not bring back what is revoked meanwhile. */
  #noteUse(owner: string, hashed: string): void {
    const { records, clock, background } = this.#options;
    const nowMs = clock.elapsed();
    if (nowMs - (this.#notedAtMs.get(hashed) ?? -Infinity) < noteMs) return;
    if (this.#notedAtMs.size >= notedMax) this.#notedAtMs.clear();
    this.#notedAtMs.set(hashed, nowMs);
    const noting = records.write(["api-key-uses", userKeyOf(owner), hashed], String(clock.now()), { lifeMs: usesLifeMs });
    background.run("noting that a key is used", noting.catch(ignoreOutage));
  }

  #found(hashed: string, stored: StoredKey): FoundKey {
    return { ...stored, id: idOf(hashed), isExpired: this.#isOver(stored) };
  }

  #described(hashed: string, stored: StoredKey, usedAtMs: number | undefined): ApiKey {
    return { ...this.#found(hashed, stored), usedAtMs };
  }

  #isOver({ expiresAtMs }: StoredKey): boolean {
    return expiresAtMs !== undefined && this.#options.clock.now() >= expiresAtMs;
  }
}

/** A key is good though its use cannot be noted. Whoever keeps the records has told of it, once. */
function ignoreOutage(error: unknown): void {
  if (!(error instanceof RecordsUnavailable)) throw error;
}

const notedMax = 100_000;
const usesLifeMs = 400 * 86_400_000;

/** 128 random bits need no salt, and no slow hash. */
function hashOf(secret: string): string {
  return hash("sha256", secret, "hex");
}

function idOf(hashed: string): string {
  return hashed.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
