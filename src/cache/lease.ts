/**
 * Lease: of all processes that share a store, one does a work at a time that would be a waste, or a danger, to do twice: removing images, verifying all. Whoever holds it shows so by touching its file; a holder of
 * this machine that is gone is known at once, any other by a minute of silence as our own clock counts it. Nothing is lost when two hold
 * it for a moment: what they do may be done twice.
 */
import { randomBytes } from "node:crypto";
import { link, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { delay, type Clock } from "../oci/clock.ts";
import { isErrno } from "../oci/errno.ts";
import { isStorageFailure, makeFolder, removeIfThere } from "./atomic-write.ts";
import { heartbeatMs, leaseFolders, type InstanceFolder, type LeasedWork } from "./instance-folder.ts";
import { findProcessName, formatProcessName, nameOfThisProcess, startTimeOf } from "./process-name.ts";

export interface LeaseOptions {
  readonly work: LeasedWork;
  /** The store's temporary folder. */
  readonly tmp: string;
  readonly instance: InstanceFolder;
  readonly clock: Clock;
}

export interface LeaseWaiting {
  readonly waitMs: number;
  /** How long to wait for a holder that is not of this machine: whether that one lives is known after `silenceMs`, in this call or several. */
  readonly foreignWaitMs?: number;
  /** Such a one holds it: said once. */
  readonly onForeign?: (() => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Held. Dispose of it. */
export interface Lease extends AsyncDisposable {
  /** Aborts when somebody else has taken it: we were silent for too long. */
  readonly lost: AbortSignal;
}

const lookEveryMs = 250;

/**
 * The lease, as soon as nobody else holds it; undefined when somebody still does when the wait is over. Throws the signal's reason, or the
 * system's error where nothing can be written.
 */
export async function takeLease(
  { work, tmp, instance, clock }: LeaseOptions,
  { waitMs, foreignWaitMs = waitMs, onForeign, signal }: LeaseWaiting,
): Promise<Lease | undefined> {
  const folder = `${tmp}/${leaseFolders[work]}`;
  const path = `${folder}/lease`;
  const sinceMs = clock.elapsed();
  let isTold = false;
  // An inode's number is used again at once: the holder is known by what it has written.
  const self = `${formatProcessName(await nameOfThisProcess())}-${randomBytes(6).toString("hex")}`;
  await makeFolder(folder, { sync: false });
  for (;;) {
    signal?.throwIfAborted();
    const own = await instance.temporaryPath();
    await writeFile(own, `${self}\n`);
    try {
      await link(own, path); // Whole, or not at all; and not where there is one.
      return new HeldLease(path, self, clock);
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    } finally {
      await removeIfThere(own);
    }
    const state = await stateOf(path, instance);
    if (state === "left") {
      await takeAway(path, await instance.temporaryPath());
      continue;
    }
    if (state === "foreign" && !isTold) {
      isTold = true;
      onForeign?.();
    }
    const leftMs = sinceMs + (state === "foreign" ? foreignWaitMs : waitMs) - clock.elapsed();
    if (leftMs <= 0) return undefined;
    await delay(clock, Math.min(lookEveryMs, leftMs), signal);
  }
}

/** Who holds the lease: its process's id on its machine, or undefined when nobody does or it cannot be told. */
export async function holderOfLease(work: LeasedWork, tmp: string): Promise<number | undefined> {
  return (await readLease(`${tmp}/${leaseFolders[work]}/lease`))?.owner?.pid;
}

class HeldLease implements Lease {
  readonly #path: string;
  readonly #self: string;
  readonly #clock: Clock;
  readonly #lost = new AbortController();
  #cancel: () => void;
  #beating: Promise<void> | undefined;

  constructor(path: string, self: string, clock: Clock) {
    this.#path = path;
    this.#self = self;
    this.#clock = clock;
    this.#cancel = this.#later();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancel();
    await this.#beating;
    if (await this.#isOurs()) await removeIfThere(this.#path);
  }

  #later(): () => void {
    return this.#clock.after(heartbeatMs, () => {
      this.#beating = this.#beat().finally(() => (this.#beating = undefined));
    });
  }

  async #beat(): Promise<void> {
    if (!(await this.#isOurs())) return this.#lost.abort(new Error("another process has taken over this work"));
    const now = new Date(this.#clock.now());
    await utimes(this.#path, now, now).catch((error: unknown) => {
      if (!isStorageFailure(error)) throw error; // What cannot be touched is taken from us in a while.
    });
    this.#cancel = this.#later();
  }

  async #isOurs(): Promise<boolean> {
    try {
      return (await readFile(this.#path, "utf8")) === `${this.#self}\n`;
    } catch (error) {
      if (isStorageFailure(error)) return false;
      throw error;
    }
  }
}

/** Who holds it: nobody any more, a process of this machine that lives, or another whose life only its silence can disprove. */
async function stateOf(path: string, instance: InstanceFolder): Promise<"left" | "held" | "foreign"> {
  const lease = await readLease(path);
  if (!lease) return "held"; // Given back just now.
  const self = await nameOfThisProcess();
  const { owner } = lease;
  if (owner?.boot === self.boot && owner.namespace === self.namespace) return (await startTimeOf(owner.pid)) === owner.startTime ? "held" : "left";
  return instance.isSilent(path, lease.mtimeMs) ? "left" : "foreign";
}

/** Of several who try, one succeeds; and should it be another's by now, that one finds out at its next heartbeat. */
async function takeAway(path: string, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
  await removeIfThere(aside);
}

async function readLease(path: string): Promise<{ readonly owner: ReturnType<typeof findProcessName>; readonly mtimeMs: number } | undefined> {
  try {
    const { mtimeMs } = await stat(path);
    return { owner: findProcessName((await readFile(path, "utf8")).trim()), mtimeMs };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
