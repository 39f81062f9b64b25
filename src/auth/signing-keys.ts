/**
 * SigningKeys: the keys by which we sign tokens of our own. They lie in a folder that all processes share; each signs with the newest,
 * all take what any of them signed. A key signs for a week; it is trusted until the last token that it can have signed is over.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { libtrustFingerprint } from "./key-ids.ts";
import { listPrivate, readPrivate, removePrivate, writePrivate } from "./private-files.ts";
import { selectKey, tokenKey, type KeyHint, type TokenKey } from "./token-key.ts";
import type { KeySearch, TokenKeys } from "./token-keys.ts";

/** How long a key signs. */
export const signingMs = 7 * 86_400_000;
/** How much longer its signatures count: no token of ours lives this long. */
export const overlapMs = 3_600_000;
/** Other processes' new keys, and keys that somebody took away, are seen after this long at most. */
const rereadMs = 60_000;
/** A key id that nobody knows may be another process's: looked for this often at most. */
const unknownIdRereadMs = 1_000;
const keysMax = 64;

export interface SigningKeysOptions {
  /** Made when it is not there. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface SigningKey {
  /** libtrust's fingerprint: what distribution 2, too, knows keys by. */
  readonly id: string;
  readonly privateKey: KeyObject;
}

interface OwnKey extends SigningKey {
  readonly trusted: TokenKey;
  /** By the clock of the process that made it. */
  readonly atMs: number;
  /** Its file; undefined for a key that could not be kept. */
  readonly name: string | undefined;
}

const generate = promisify(generateKeyPair);

export class SigningKeys implements TokenKeys {
  readonly roots = [];
  readonly #options: SigningKeysOptions;
  #generation = 0;
  #keys: readonly OwnKey[] = [];
  #readAtMs = -Infinity;
  #work: Promise<void> = Promise.resolve();

  constructor(options: SigningKeysOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  /** The key to sign with now. Never rejects for want of a disk: a key that cannot be kept ends with this process, and the log says so. */
  async current(): Promise<SigningKey> {
    await this.#reread(rereadMs);
    const newest = this.#newest();
    if (newest) return newest;
    await this.#inTurn(async () => {
      if (!this.#newest()) await this.#add();
    });
    const made = this.#newest();
    if (!made) throw new Error("a key was made, and is not there");
    return made;
  }

  async find(hint: KeyHint): Promise<KeySearch> {
    await this.#reread(rereadMs);
    if (!this.#select(hint)) await this.#reread(unknownIdRereadMs);
    const key = this.#select(hint);
    return key ? { kind: "found", key, generation: this.#generation } : { kind: "unknown" };
  }

  #select(hint: KeyHint): KeyObject | undefined {
    const nowMs = this.#options.clock.now();
    const live = this.#keys.filter(({ atMs }) => nowMs < atMs + signingMs + overlapMs);
    // Every token of ours names its key.
    return hint.id === undefined
      ? undefined
      : selectKey(
          live.map(({ trusted }) => trusted),
          hint,
          { acceptsUnknownId: false },
        );
  }

  #newest(): OwnKey | undefined {
    const nowMs = this.#options.clock.now();
    return this.#keys.filter(({ atMs }) => nowMs < atMs + signingMs).toSorted((one, other) => other.atMs - one.atMs)[0];
  }

  async #reread(olderThanMs: number): Promise<void> {
    const { clock } = this.#options;
    const isDue = (): boolean => clock.elapsed() - this.#readAtMs >= olderThanMs;
    if (!isDue()) return;
    await this.#inTurn(async () => {
      if (!isDue()) return;
      this.#readAtMs = clock.elapsed();
      await this.#read();
    });
  }

  async #read(): Promise<void> {
    const { folder, log } = this.#options;
    try {
      const names = (await listPrivate(folder))
        .filter((name) => keyFilePattern.test(name))
        .toSorted()
        .slice(-keysMax);
      const read = await Promise.all(names.map(async (name) => this.#keys.find((key) => key.name === name) ?? (await this.#readKey(name))));
      this.#replace([...read.filter((key) => key !== undefined), ...this.#keys.filter(({ name }) => name === undefined)]);
    } catch (error) {
      log.warn({ folder, error }, "token signing keys could not be read: those that are known stay");
    }
  }

  async #readKey(name: string): Promise<OwnKey | undefined> {
    const { folder, log } = this.#options;
    const pem = await readPrivate(folder, name);
    if (pem === undefined) return undefined;
    try {
      return ownKey(createPrivateKey(pem), Number.parseInt(name, 10), name);
    } catch {
      log.warn({ folder, file: name }, "token signing key is broken: it is left aside"); // The error may quote the key.
      return undefined;
    }
  }

  async #add(): Promise<void> {
    const { folder, clock, log } = this.#options;
    const { privateKey } = await generate("ec", { namedCurve: "P-256" });
    const atMs = clock.now();
    const name = `${atMs}-${randomBytes(4).toString("hex")}.pem`;
    const text = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const isKept = await writePrivate(folder, name, { text, atMs }).then(
      () => true,
      (error: unknown) => {
        log.warn({ folder, error }, "token signing key could not be kept: tokens end with this process, and others do not take them");
        return false;
      },
    );
    this.#replace([...this.#keys, ownKey(privateKey, atMs, isKept ? name : undefined)]);
    if (isKept) await this.#removeOld();
  }

  async #removeOld(): Promise<void> {
    const { folder, clock, log } = this.#options;
    const over = this.#keys.filter(({ atMs }) => clock.now() >= atMs + signingMs + overlapMs);
    for (const { name } of over) {
      if (name === undefined) continue;
      await removePrivate(folder, name).catch((error: unknown) => log.warn({ folder, file: name, error }, "old token signing key could not be removed"));
    }
    this.#replace(this.#keys.filter((key) => !over.includes(key)));
  }

  #replace(keys: readonly OwnKey[]): void {
    const ids = new Set(keys.map(({ id }) => id));
    // Only what is gone makes remembered tokens doubtful.
    if (this.#keys.some(({ id }) => !ids.has(id))) this.#generation++;
    this.#keys = keys;
  }

  /** One look at the folder, or change of it, after the other. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(work, work);
    return this.#work;
  }
}

/** When it was made, so that the newest is found without reading any. */
const keyFilePattern = /^[0-9]{13}-[0-9a-f]{8}\.pem$/;

function ownKey(privateKey: KeyObject, atMs: number, name: string | undefined): OwnKey {
  const publicKey = createPublicKey(privateKey);
  return { id: libtrustFingerprint(publicKey), privateKey, trusted: tokenKey(publicKey), atMs, name };
}
