/**
 * RefreshTokens: what `docker login` keeps instead of a password. Each belongs to one user, and is good until it has not been used for 30
 * days, until the user's password is another or the provider vouches for the user no more, or until its file is removed. Only hashes are kept:
 * the folder gives no token away.
 */
import { hash, randomBytes } from "node:crypto";
import { utimes, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../oci/clock.ts";
import { isErrno } from "../oci/errno.ts";
import type { AccountName } from "./accounts.ts";
import { findObject, textOf } from "./json-object.ts";
import { listPrivate, listPrivateFolders, readPrivate, removePrivate, writePrivate } from "./private-files.ts";
import { userKeyOf } from "./user-key.ts";

/** Unused for longer, a token is over. */
export const refreshLifeMs = 30 * 86_400_000;
/** Tokens of one user; the one that was not used for the longest makes room. */
export const refreshTokensMax = 50;
/** Its use is noted this often. */
const noteMs = 3_600_000;

export interface RefreshTokensOptions {
  /** Made when it is not there. One folder below for each user. */
  readonly folder: string;
  readonly clock: Clock;
}

/** For whom a token stands. */
export interface RefreshGrant extends AccountName {
  /** Another one once it is to be good no longer: as of `AccountVerdict`. */
  readonly stamp: string;
}

interface Place {
  readonly folder: string;
  readonly name: string;
}

export class RefreshTokens {
  readonly #options: RefreshTokensOptions;

  constructor(options: RefreshTokensOptions) {
    this.#options = options;
  }

  /** A new token. Throws the system's error when it cannot be kept. */
  async issue({ user, stamp, voucher }: RefreshGrant): Promise<string> {
    const folder = this.#folderOf(userKeyOf(user));
    await this.#makeRoom(folder);
    const secret = randomBytes(32).toString("base64url");
    const atMs = this.#options.clock.now();
    await writePrivate(folder, fileName(secret), { text: JSON.stringify({ user, stamp, ...voucher, issuedAt: new Date(atMs).toISOString() }), atMs });
    return `${prefix}${userKeyOf(user)}_${secret}`;
  }

  /** For whom `token` stands; undefined for one that is wrong, over, or revoked. Throws the system's error when nobody can tell. */
  async redeem(token: string): Promise<RefreshGrant | undefined> {
    const place = this.#placeOf(token);
    if (!place) return undefined;
    const text = await readPrivate(place.folder, place.name);
    if (text === undefined) return undefined;
    const grant = readGrant(text);
    if (!grant || this.#folderOf(userKeyOf(grant.user)) !== place.folder) return undefined;
    return (await this.#isAlive(place)) ? grant : undefined;
  }

  /** Ends one token, or does nothing. */
  async revoke(token: string): Promise<void> {
    const place = this.#placeOf(token);
    if (place) await removePrivate(place.folder, place.name);
  }

  /** Ends every token of `user`, or, when that is undefined, of everybody: how many there were. Other processes' next look finds none. Throws the system's error. */
  async revokeAll(user: string | undefined): Promise<number> {
    const users = user === undefined ? await listPrivateFolders(this.#options.folder) : [userKeyOf(user)];
    let revoked = 0;
    for (const folder of users.map((id) => this.#folderOf(id))) {
      for (const name of await listPrivate(folder)) {
        await removePrivate(folder, name);
        revoked++;
      }
    }
    return revoked;
  }

  async #isAlive(place: Place): Promise<boolean> {
    const nowMs = this.#options.clock.now();
    const usedAtMs = await this.#usedAtMs(place);
    if (usedAtMs === undefined || nowMs - usedAtMs > refreshLifeMs) {
      await removePrivate(place.folder, place.name);
      return false;
    }
    if (nowMs - usedAtMs > noteMs) await utimes(join(place.folder, place.name), nowMs / 1_000, nowMs / 1_000);
    return true;
  }

  async #makeRoom(folder: string): Promise<void> {
    const names = await listPrivate(folder);
    if (names.length < refreshTokensMax) return;
    const used = await Promise.all(names.map(async (name) => ({ name, atMs: (await this.#usedAtMs({ folder, name })) ?? 0 })));
    const oldest = used.toSorted((one, other) => one.atMs - other.atMs).slice(0, names.length - refreshTokensMax + 1);
    for (const { name } of oldest) await removePrivate(folder, name);
  }

  /** The file's mtime. */
  async #usedAtMs({ folder, name }: Place): Promise<number | undefined> {
    try {
      return (await stat(join(folder, name))).mtimeMs;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined; // Revoked a moment ago.
      throw error;
    }
  }

  #placeOf(token: string): Place | undefined {
    const [, user, secret] = tokenPattern.exec(token) ?? [];
    return user === undefined || secret === undefined ? undefined : { folder: this.#folderOf(user), name: fileName(secret) };
  }

  #folderOf(user: string): string {
    return join(this.#options.folder, user);
  }
}

/** So that people, and programs that look for leaked secrets, know it when they see it. */
const prefix = "ocr_";
const tokenPattern = /^ocr_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;

/** 256 random bits need no salt, and no slow hash. */
function fileName(secret: string): string {
  return hash("sha256", secret, "hex");
}

function readGrant(text: string): RefreshGrant | undefined {
  const read = findObject(text);
  const [user, stamp, by, subject] = [textOf(read?.["user"]), textOf(read?.["stamp"]), textOf(read?.["by"]), textOf(read?.["subject"])];
  if (user === undefined || stamp === undefined || (by === undefined) !== (subject === undefined)) return undefined;
  return { user, stamp, voucher: by === undefined || subject === undefined ? undefined : { by, subject } };
}
