/**
 * Htpasswd: users and passwords of a file. Whether a name stands in it is told by nothing: a stranger's password is hashed too, against
 * somebody's hash, always the same for one name.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Login, PasswordBackend, PasswordVerdict } from "./authenticator.ts";
import { HashingQueue } from "./hashing-queue.ts";
import { parseHtpasswd, type HtpasswdFile, type PasswordHash } from "./htpasswd-file.ts";
import { KeyedDigest } from "./keyed-digest.ts";

/** bcrypt takes no more and says nothing: the 73rd byte would not matter. */
const bcryptBytesMax = 72;
/** sha-crypt takes any length, and time in proportion. */
const shaCryptBytesMax = 512;

export interface HtpasswdOptions {
  /** What the file says. */
  readonly text: string;
  /** For the log. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Told when what was verified may not be so any more: of which users, by the names they typed. */
export type ChangeListener = (isAffected: (user: string) => boolean) => void;

export class Htpasswd implements PasswordBackend, AsyncDisposable {
  readonly method = "htpasswd";
  readonly #options: HtpasswdOptions;
  readonly #queue: HashingQueue;
  readonly #listeners: ChangeListener[] = [];
  readonly #decoyOf = new KeyedDigest();
  #hashes: ReadonlyMap<string, PasswordHash>;
  #decoys: readonly PasswordHash[];

  /** Throws an Error that names the line at which `text` is broken. Dispose of it. */
  constructor(options: HtpasswdOptions) {
    this.#options = options;
    this.#queue = new HashingQueue(options);
    const file = parseNamed(options.text, options.path);
    this.#hashes = file.hashes;
    this.#decoys = [...file.hashes.values()];
    this.#tell(file);
  }

  /** The file says something else: taken whole, or not at all; then the users stay as they are and the log says why. Never throws. */
  reload(text: string): void {
    const { path, log } = this.#options;
    let file: HtpasswdFile;
    try {
      file = parseNamed(text, path);
    } catch (error) {
      log.error({ path, error }, "password file is broken: the users stay as they were");
      return;
    }
    const before = this.#hashes;
    this.#hashes = file.hashes;
    this.#decoys = [...file.hashes.values()];
    this.#tell(file);
    for (const listener of this.#listeners) listener((user) => before.get(user)?.text !== file.hashes.get(user)?.text);
  }

  /** Of a user that is there: another text once the password is, which tells nothing of it. */
  stampOf(user: string): string | undefined {
    const known = this.#hashes.get(user);
    return known && createHash("sha256").update(known.text).digest("base64url");
  }

  onChange(listener: ChangeListener): void {
    this.#listeners.push(listener);
  }

  /** `rank`: the lower, the sooner. Rejects with the signal's reason. */
  async verify({ user, password }: Login, signal: AbortSignal, { rank = 0 }: { rank?: number } = {}): Promise<PasswordVerdict> {
    const known = this.#hashes.get(user);
    const hash = known ?? this.#decoyFor(user);
    if (!hash || Buffer.byteLength(password) > (hash.kind === "bcrypt" ? bcryptBytesMax : shaCryptBytesMax)) return { kind: "wrong" };
    const outcome = await this.#queue.matches({ password, hash }, { rank, signal });
    if (outcome === "busy") return { kind: "unavailable", reason: "the password was not hashed in time" };
    if (outcome === "wrong" || !known) return { kind: "wrong" };
    return { kind: "right", principal: { name: user, groups: [], method: "htpasswd" } };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#queue[Symbol.asyncDispose]();
  }

  /** Nobody can tell by the time it takes that the name is not there, also where hashes differ in cost. */
  #decoyFor(user: string): PasswordHash | undefined {
    const number = Buffer.from(this.#decoyOf.of(user), "base64url").readUInt32BE();
    return this.#decoys[number % Math.max(1, this.#decoys.length)];
  }

  #tell({ hashes, refused }: HtpasswdFile): void {
    const { path, log } = this.#options;
    for (const reason of refused) log.warn({ path, reason }, "user of the password file is shut out");
    log.info({ path, users: hashes.size }, "password file read");
  }
}

function parseNamed(text: string, path: string): HtpasswdFile {
  try {
    return parseHtpasswd(text);
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
