/**
 * InstanceFolder: the folder under `tmp/` in which this process, and no other, writes. There is no lock on a store: any number
 * of processes share it, each in its own folder, and what a dead one left is taken over.
 *
 * The folder's name tells who owns it: boot id, pid namespace, pid, the pid's start time. Where boot and namespace are ours, the
 * owner's death shows at once; elsewhere (another machine, another container) it shows in a folder that nobody touched for
 * `silenceMs`, as seen by our own monotonic clock: two machines' clocks need not agree.
 */
import { randomBytes } from "node:crypto";
import { rename, rmdir, stat, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import type { Log } from "../oci/log.ts";
import { asideName, findAsideDigest, giveBack } from "./aside.ts";
import { isStorageFailure, isThere, makeFolder, removeIfThere, statIfThere } from "./atomic-write.ts";
import { findProcessName, formatProcessName, startTimeOf, type ProcessName } from "./process-name.ts";
import { listFolder } from "./list-folder.ts";

/** Ending of a fill's file while its owner writes it. */
export const partEnding = ".part";
/** Ending of a fill's file that was left, or taken over, and waits to be gone on with. */
export const claimedEnding = ".claimed";

/** What one process at a time does, of all that share a store. */
export type LeasedWork = "evict" | "verify";
/** Folders beside those of the processes, in which they agree who does it. */
export const leaseFolders = { evict: "eviction", verify: "verification" } as const satisfies Record<LeasedWork, string>;
const sharedNames: ReadonlySet<string> = new Set(Object.values(leaseFolders));

/** How often a process shows that it lives, and how long one may be silent before it is taken for dead. */
export const heartbeatMs = 10_000;
export const silenceMs = 60_000;
const sweepEveryMs = 30_000;
/** A claimed part that nobody asked for in this time is given up. */
const claimedLifeMs = 24 * 3_600_000;

export interface InstanceFolderOptions {
  /** The folder of all processes' folders. */
  readonly tmp: string;
  readonly self: ProcessName;
  readonly clock: Clock;
  readonly log: Log;
  /** Where a blob belongs that a dead process had taken aside. */
  readonly blobPath: (digest: Digest) => string;
}

export class InstanceFolder {
  readonly path: string;
  readonly #tmp: string;
  readonly #blobPath: (digest: Digest) => string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #self: ProcessName;
  readonly #silences = new Map<string, { mtimeMs: number; sinceMs: number }>();
  #made: Promise<void> | undefined;
  #sweeping: Promise<void> | undefined;
  #cancel: (() => void)[] = [];
  #isBeating = false;
  #names = 0;
  #closed = false;

  constructor({ tmp, self, clock, log, blobPath }: InstanceFolderOptions) {
    this.#tmp = tmp;
    this.#blobPath = blobPath;
    this.#self = self;
    this.#clock = clock;
    this.#log = log;
    this.path = join(tmp, `${formatProcessName(self)}-${randomBytes(3).toString("hex")}`);
  }

  /** Begins to sweep by and by; touches nothing before that. */
  start(): void {
    this.#repeat(sweepEveryMs, () => this.sweep());
  }

  /** A new path for a file that will be renamed or removed. The folder is made, and made again if somebody removed it. */
  async temporaryPath(): Promise<string> {
    await this.ensure();
    this.#names += 1;
    return join(this.path, `${this.#names.toString(36)}.tmp`);
  }

  /** The same for a blob's file that leaves its place: should we be killed while it lies there, it is given back. */
  async asidePath(digest: Digest): Promise<string> {
    await this.ensure();
    this.#names += 1;
    return join(this.path, asideName(digest, this.#names.toString(36)));
  }

  /** The same for a fill's file. */
  async partPath(key: string): Promise<string> {
    await this.ensure();
    if (!(await isThere(this.path))) {
      this.forget();
      await this.ensure();
    }
    this.#names += 1;
    return join(this.path, `${key}~${this.#names.toString(36)}${partEnding}`);
  }

  /**
   * What is left of an earlier fill of `key`, whoever left it or took it over, or undefined. It bears a name of its own now, so
   * that nobody else takes it; the caller removes it, or leaves it again.
   */
  async findClaimed(key: string): Promise<{ readonly path: string; readonly sizeBytes: number } | undefined> {
    await this.sweep();
    const left = await this.#longestLeft(key);
    if (left === undefined) return undefined;
    const path = await this.partPath(key);
    try {
      await rename(left, path);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined; // Another process was quicker.
      throw error;
    }
    return { path, sizeBytes: await sizeOf(path) };
  }

  /** Leaves a part for later: the next fill of `key`, in this process or another, goes on with it. Nothing happens when it is gone. */
  async leave(partPath: string, key: string): Promise<void> {
    await this.#claim(partPath, key);
  }

  /** Takes over what dead processes left. Calls while it runs share it. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce()
      .catch((error: unknown) => {
        if (!isStorageFailure(error)) throw error;
        this.#log.debug({ error }, "temporary folders cannot be swept");
      })
      .finally(() => (this.#sweeping = undefined));
    return this.#sweeping;
  }

  /** Stops the timers, and removes the folder if nothing is left in it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#cancel) cancel();
    try {
      await rmdir(this.path);
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTEMPTY", "ENOTDIR") && !isStorageFailure(error)) throw error;
    }
  }

  /** Makes the folder unless it is there. Throws the system's error where nothing can be written. */
  async ensure(): Promise<void> {
    this.#made ??= this.#make();
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
  }

  /** Somebody removed the folder from under us: the next use makes it again. */
  forget(): void {
    this.#made = undefined;
  }

  async #make(): Promise<void> {
    await makeFolder(this.path);
    if (this.#isBeating) return;
    this.#isBeating = true;
    this.#repeat(heartbeatMs, () => this.#beat());
  }

  async #beat(): Promise<void> {
    const now = new Date(this.#clock.now());
    try {
      await utimes(this.path, now, now);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return this.forget();
      if (!isStorageFailure(error)) throw error;
    }
  }

  #repeat(everyMs: number, work: () => Promise<void>): void {
    const cancel = this.#clock.after(everyMs, () => {
      this.#cancel = this.#cancel.filter((other) => other !== cancel);
      if (this.#closed) return;
      work()
        .catch((error: unknown) => this.#log.warn({ error }, "temporary folder cannot be kept"))
        .finally(() => this.#closed || this.#repeat(everyMs, work));
    });
    this.#cancel.push(cancel);
  }

  /** Left parts are nobody's: there is no need to wait until their owner is known to be gone. */
  async #longestLeft(key: string): Promise<string | undefined> {
    const paths = (await listFolder(this.#tmp)).map((name) => join(this.#tmp, name, `${key}${claimedEnding}`));
    const sized = await Promise.all(paths.map(async (path) => ({ path, sizeBytes: await sizeOf(path) })));
    return sized.filter(({ sizeBytes }) => sizeBytes >= 0).sort((a, b) => b.sizeBytes - a.sizeBytes)[0]?.path;
  }

  /** Whether what lies at `path` has had this time for `silenceMs`, in what we have seen of it: its owner is dead. What was seen is kept. */
  isSilent(path: string, mtimeMs: number): boolean {
    const nowMs = this.#clock.elapsed();
    const silence = this.#silences.get(path);
    if (silence?.mtimeMs === mtimeMs) return nowMs - silence.sinceMs >= silenceMs;
    this.#silences.set(path, { mtimeMs, sinceMs: nowMs });
    return false;
  }

  async #sweepOnce(): Promise<void> {
    for (const name of await listFolder(this.#tmp)) {
      if (sharedNames.has(name)) continue; // Nobody's own: whoever works next reads what the last one left there.
      const folder = join(this.#tmp, name);
      try {
        if (folder === this.path) await this.#dropOld(folder);
        else if (await this.#isDead(name, folder)) await this.#takeOver(folder);
      } catch (error) {
        // What somebody else put there, or took away, or made ours to read only, keeps nobody from the rest.
        if (!isStorageFailure(error)) throw error;
        this.#log.debug({ folder, error }, "temporary folder cannot be taken over");
      }
    }
  }

  async #isDead(name: string, folder: string): Promise<boolean> {
    const owner = findProcessName(name);
    if (owner?.boot === this.#self.boot && owner.namespace === this.#self.namespace) return (await startTimeOf(owner.pid)) !== owner.startTime;
    return this.isSilent(folder, (await stat(folder)).mtimeMs);
  }

  async #takeOver(folder: string): Promise<void> {
    this.#silences.delete(folder);
    await this.ensure();
    for (const name of await listFolder(folder)) {
      const key = keyOfPart(name);
      const aside = findAsideDigest(name);
      try {
        if (key) await this.#claim(join(folder, name), key);
        else if (aside) await giveBack(join(folder, name), this.#blobPath(aside));
        else await unlink(join(folder, name));
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error;
      }
    }
    await rmdir(folder).catch((error: unknown) => {
      if (!isErrno(error, "ENOENT", "ENOTEMPTY")) throw error;
    });
    this.#log.info({ folder }, "temporary folder of a gone process taken over");
  }

  /** Renaming claims it: of several processes that try, one succeeds. Of two parts of one blob the longer is worth keeping. */
  async #claim(path: string, key: string): Promise<void> {
    const claimed = join(this.path, `${key}${claimedEnding}`);
    const sizeBytes = await sizeOf(path);
    if (sizeBytes < 0) return;
    if ((await sizeOf(claimed)) >= sizeBytes) return await removeIfThere(path);
    await rename(path, claimed);
  }

  async #dropOld(folder: string): Promise<void> {
    for (const name of await listFolder(folder)) {
      if (!name.endsWith(claimedEnding)) continue;
      const path = join(folder, name);
      const { mtimeMs } = await stat(path);
      if (this.#clock.now() - mtimeMs > claimedLifeMs) await unlink(path);
    }
  }
}

/** -1 for what is not there. */
async function sizeOf(path: string): Promise<number> {
  return (await statIfThere(path))?.size ?? -1;
}

function keyOfPart(name: string): string | undefined {
  if (name.endsWith(claimedEnding)) return name.slice(0, -claimedEnding.length);
  if (name.endsWith(partEnding)) return name.slice(0, name.lastIndexOf("~"));
  return undefined;
}
