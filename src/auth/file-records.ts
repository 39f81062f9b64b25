/**
 * FileRecords: records as files that only this user may read, one folder for each name of a path but the last. Other processes of the same
 * folder see each change at once. What is over is removed when somebody comes upon it, and now and then.
 */
import { randomUUID } from "node:crypto";
import { link, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { silentLog, type Log } from "../oci/log.ts";
import { DiskHangs, DiskShare } from "./disk-share.ts";
import { findObject, textOf } from "./json-object.ts";
import { OutageNotice } from "./outage-notice.ts";
import { readPrivate, removePrivate, syncFolder, writePrivate } from "./private-files.ts";
import { checkPath, listedMax, RecordsUnavailable, type RecordPath, type Records } from "./records.ts";

export interface FileRecordsOptions {
  /** Made when something is written. */
  readonly folder: string;
  readonly clock: Clock;
  /** Owns the sweeping. */
  readonly background: Background;
  /** Told once of what cannot be read or written. Default: nobody is. */
  readonly log?: Log;
  /** How much of the disk's threads it may hold, and what the log calls what it is for. Default: that of keys and sessions. */
  readonly share?: RecordsShare;
}

export interface RecordsShare {
  readonly workingMax: number;
  readonly waitingMax: number;
  readonly what: string;
}

/** A disk that hangs is no better than none: nobody waits longer for it, and pulls keep most of the threads by which files are read. */
const answerMs = 10_000;
const usualShare: RecordsShare = { workingMax: 8, waitingMax: 1_000, what: "sessions and keys" };
/** How often what nobody asks for any more is looked for, of each kind that is written: oftener of what lives shorter. */
const sweepEveryMs = 3_600_000;
const sweepEveryMsMin = 600_000;
/** Folders below a kind: no path is longer. */
const depthMax = 4;
/** What is written, or taken, is under another name for moments only: what is older was left by a process that ended in between. */
const leftoverMs = 3_600_000;

interface Place {
  readonly folder: string;
  readonly name: string;
}

export class FileRecords implements Records {
  readonly #options: FileRecordsOptions;
  readonly #disk: DiskShare;
  readonly #unread: OutageNotice;
  readonly #unwritten: OutageNotice;
  readonly #sweptAtMs = new Map<string, number>();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(options: FileRecordsOptions) {
    this.#options = options;
    const { folder, clock, log = silentLog, share = usualShare } = options;
    const { workingMax, waitingMax, what } = share;
    this.#disk = new DiskShare({ workingMax, waitingMax, answerMs, clock });
    const told = { log, fields: { folder } };
    this.#unread = new OutageNotice({
      ...told,
      away: `${what} cannot be read: nobody can tell whose they are`,
      back: `${what} are read again`,
    });
    this.#unwritten = new OutageNotice({
      ...told,
      away: `${what} cannot be written: nobody signs in, and no key is made`,
      back: `${what} are written again`,
    });
  }

  async read(path: RecordPath): Promise<string | undefined> {
    const text = await this.#attempt(this.#unread, () => this.#read(this.#placeOf(path)));
    this.#unread.end();
    return text;
  }

  async write(path: RecordPath, text: string, { lifeMs }: { readonly lifeMs: number }): Promise<void> {
    await this.#attempt(this.#unwritten, async () => {
      const { folder, name } = this.#placeOf(path);
      const atMs = this.#options.clock.now();
      await writePrivate(folder, name, { text: JSON.stringify({ until: atMs + lifeMs, text }), atMs });
      this.#sweepNowAndThen(path[0], Math.min(sweepEveryMs, Math.max(sweepEveryMsMin, lifeMs)));
    });
    this.#unwritten.end();
  }

  take(path: RecordPath): Promise<string | undefined> {
    return this.#attempt(this.#unwritten, async () => {
      const place = this.#placeOf(path);
      const ours = await setAside(place);
      if (ours === undefined) return undefined;
      const text = await readPrivate(place.folder, ours);
      await removePrivate(place.folder, ours);
      // What was revoked, or used, must not be there again without power.
      await syncFolder(place.folder);
      return text === undefined ? undefined : this.#good(text);
    });
  }

  async remove(path: RecordPath): Promise<boolean> {
    return (await this.take(path)) !== undefined;
  }

  async list(path: RecordPath): Promise<readonly string[]> {
    const good = await this.#attempt(this.#unread, async () => {
      checkPath(path);
      const folder = join(this.#options.folder, ...path);
      const { names } = await entriesOf(folder);
      return await this.#goodOnes(folder, names.slice(0, listedMax));
    });
    this.#unread.end();
    return good;
  }

  /** Sweeping ends first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sweeping;
  }

  #placeOf(path: RecordPath): Place {
    checkPath(path);
    return { folder: join(this.#options.folder, ...path.slice(0, -1)), name: path.at(-1) ?? "" };
  }

  async #read(place: Place): Promise<string | undefined> {
    const text = await readPrivate(place.folder, place.name);
    if (text === undefined) return undefined;
    const record = this.#good(text);
    if (record === undefined) await this.#removeOver(place);
    return record;
  }

  /** The record in a file's text; undefined when it is over, or torn. */
  #good(text: string): string | undefined {
    const read = findObject(text);
    const until = read?.["until"];
    return typeof until === "number" && this.#options.clock.now() < until ? textOf(read?.["text"]) : undefined;
  }

  /** Removes what is over. It may have been written anew since somebody saw that: then it comes back, unless there is one newer still. */
  async #removeOver(place: Place): Promise<void> {
    const ours = await setAside(place);
    if (ours === undefined) return;
    const text = await readPrivate(place.folder, ours);
    if (text !== undefined && this.#good(text) !== undefined) {
      await link(join(place.folder, ours), join(place.folder, place.name)).catch((error: unknown) => {
        if (!hasCode(error, "EEXIST")) throw error;
      });
    }
    await removePrivate(place.folder, ours);
  }

  #sweepNowAndThen(kind: string, everyMs: number): void {
    const nowMs = this.#options.clock.elapsed();
    if (nowMs - (this.#sweptAtMs.get(kind) ?? -Infinity) < everyMs) return;
    this.#sweptAtMs.set(kind, nowMs);
    const sweeping = this.#sweeping.then(() => this.#sweep(join(this.#options.folder, kind), depthMax));
    this.#options.background.run("removing records that are over", sweeping);
    this.#sweeping = sweeping.catch(() => {}); // Its owner logs it.
  }

  async #sweep(folder: string, depth: number): Promise<void> {
    const { names, folders, leftovers } = await entriesOf(folder);
    await this.#goodOnes(folder, names);
    for (const name of leftovers) await this.#removeLeftover(join(folder, name));
    if (depth === 0) return;
    for (const name of folders) await this.#sweep(join(folder, name), depth - 1);
  }

  /** The names of what is not over; what is goes. */
  async #goodOnes(folder: string, names: readonly string[]): Promise<readonly string[]> {
    const good: string[] = [];
    for (const name of names) if ((await this.#read({ folder, name })) !== undefined) good.push(name);
    return good;
  }

  async #removeLeftover(path: string): Promise<void> {
    const { ctimeMs } = await stat(path).catch((error: unknown) => {
      if (hasCode(error, "ENOENT")) return { ctimeMs: Infinity }; // It was none: its process has gone on.
      throw error;
    });
    if (this.#options.clock.now() - ctimeMs > leftoverMs) await rm(path, { force: true });
  }

  async #attempt<T>(notice: OutageNotice, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#disk.run(work);
    } catch (error) {
      if (!(error instanceof DiskHangs) && !(error instanceof Error && "code" in error)) throw error;
      notice.begin(problemOf(error));
      throw new RecordsUnavailable(this.#options.folder, error);
    }
  }
}

/** Without the path: it is another each time. */
function problemOf({ message }: Error): string {
  return message.split(",", 1)[0] ?? message;
}

/** Gives a record's file a name that is ours alone, or finds none: of several who try, one does. */
async function setAside({ folder, name }: Place): Promise<string | undefined> {
  const ours = `.${randomUUID()}.taken`;
  try {
    await rename(join(folder, name), join(folder, ours));
    return ours;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

interface Entries {
  readonly names: readonly string[];
  readonly folders: readonly string[];
  readonly leftovers: readonly string[];
}

/** None of a folder that is not there. */
async function entriesOf(folder: string): Promise<Entries> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
    return { folders, names: files.filter((name) => !name.startsWith(".")), leftovers: files.filter((name) => name.startsWith(".")) };
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { names: [], folders: [], leftovers: [] };
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
