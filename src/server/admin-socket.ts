/**
 * The administrative socket: `admin-<instance>.sock` in the folder of the server's own, and `admin.sock`, a link to the newest that
 * lives. Several servers may share the folder, on several machines even; what a dead one left is removed by the others.
 */
import { chmod, mkdir, open, readdir, readlink, rename, stat, symlink, unlink, utimes, type FileHandle } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join, relative } from "node:path";
import type { Clock } from "../oci/clock.ts";
import { isErrno } from "../oci/errno.ts";
import type { Log } from "../oci/log.ts";
import type { App } from "./app.ts";
import { listen, type Listener } from "./listening.ts";

export interface AdminSocketOptions {
  readonly app: App;
  /** Made, for its owner alone, when it is not there. */
  readonly statePath: string;
  /** Of this process, among all that may share the folder; up to its first `-` the name of what boots of the machine tells apart. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a system takes for a socket's path is 108 bytes, or 104, with a zero at its end. */
const pathBytesMax = 100;
const linkName = "admin.sock";
const socketPattern = /^admin-[A-Za-z0-9-]{1,80}\.sock$/;
/** Sockets of others that are looked at. */
const othersMax = 256;
const probeMs = 1_000;
/** How often each looks after its own, and after the link. */
const keepEveryMs = 60_000;
/** Of another machine nobody here can ask who listens: its owner touches its socket, and one that nobody touched for so long is dead. */
const silenceMs = 24 * 3_600_000;

/** Opens it. Where the folder cannot be written there is none, and the log says so: nothing else fails for it. */
export async function openAdminSocket(options: AdminSocketOptions): Promise<Listener | undefined> {
  try {
    return await new AdminSocket(options).open();
  } catch (error) {
    options.log.warn({ statePath: options.statePath, error }, "no admin.sock: the server can be administered over its port only");
    return undefined;
  }
}

class AdminSocket {
  readonly #options: AdminSocketOptions;
  readonly #folder: string;
  readonly #name: string;
  #cancel: (() => void) | undefined;
  #keeping: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: AdminSocketOptions) {
    this.#options = options;
    this.#folder = options.statePath;
    this.#name = `admin-${options.instance}.sock`;
  }

  async open(): Promise<Listener> {
    const { app, log } = this.#options;
    await makeFolder(this.#folder, 0o700);
    await this.#sweep();
    const path = join(this.#folder, this.#name);
    await removed(path);
    const near = await shortPath(this.#folder, this.#name);
    try {
      const listener = await listen({ app, host: "", port: 0, path: near.path, log });
      await chmod(path, 0o600);
      await this.#point(this.#name);
      this.#keepLater();
      return { ...listener, close: () => this.#close(listener) };
    } finally {
      await near.folder?.close();
    }
  }

  async #close(listener: Listener): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#keeping;
    await listener.close();
    await removed(join(this.#folder, this.#name));
    if ((await this.#linked()) !== this.#name) return;
    await this.#sweep();
    const [newest] = await this.#others();
    if (newest === undefined) await removed(join(this.#folder, linkName));
    else await this.#point(newest);
  }

  #keepLater(): void {
    const { clock, log } = this.#options;
    this.#cancel = clock.after(keepEveryMs, () => {
      this.#keeping = this.#keep()
        .catch((error: unknown) => log.debug({ error }, "admin.sock cannot be looked after"))
        .then(() => this.#isClosed || this.#keepLater())
        .then(() => {});
    });
  }

  /** The link leads to somebody who lives: to us where the newest has died. */
  async #keep(): Promise<void> {
    const now = new Date(this.#options.clock.now());
    await utimes(join(this.#folder, this.#name), now, now);
    await this.#sweep();
    const linked = await this.#linked();
    if (linked === undefined || (linked !== this.#name && !(await this.#others()).includes(linked))) await this.#point(this.#name);
  }

  /** Undefined: gone, or no link of ours. */
  async #linked(): Promise<string | undefined> {
    return await readlink(join(this.#folder, linkName)).catch(() => undefined);
  }

  /** Replaces the link in one step: who follows it meanwhile finds the old one or the new. */
  async #point(name: string): Promise<void> {
    const temporary = join(this.#folder, `.${this.#name}.link`);
    await removed(temporary);
    await symlink(name, temporary);
    await rename(temporary, join(this.#folder, linkName));
  }

  /** Removes the sockets behind which nobody listens. Of what this kernel runs it knows, whatever container that is in. */
  async #sweep(): Promise<void> {
    for (const name of await this.#others()) {
      const path = join(this.#folder, name);
      const near = await shortPath(this.#folder, name);
      try {
        const isOurs = bootOf(name) === bootOf(this.#name);
        const isSilent = isOurs || this.#options.clock.now() - (await touchedAtMs(path)) > silenceMs;
        if (isSilent && (await isDead(near.path))) await removed(path);
      } finally {
        await near.folder?.close();
      }
    }
  }

  /** Of other processes, those that were touched last first. */
  async #others(): Promise<readonly string[]> {
    const names = (await readdir(this.#folder)).filter((name) => socketPattern.test(name) && name !== this.#name).slice(0, othersMax);
    const aged = await Promise.all(names.map(async (name) => ({ name, atMs: await touchedAtMs(join(this.#folder, name)) })));
    return aged.toSorted((one, other) => other.atMs - one.atMs).map(({ name }) => name);
  }
}

/** Not `mkdir`'s own recursion, which never ends where a folder can be neither found nor made (/proc, a removed one). */
async function makeFolder(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, { mode });
  } catch (error) {
    if (isErrno(error, "EEXIST")) return;
    const parent = dirname(folder);
    if (!isErrno(error, "ENOENT") || parent === folder) throw error;
    await makeFolder(parent, 0o775);
    await mkdir(folder, { mode });
  }
}

interface ShortPath {
  readonly path: string;
  /** To be closed when the path has been used. */
  readonly folder?: FileHandle;
}

/** A name for a socket that the system takes: its path, that from where we are, or that from a folder that we hold open (Linux). */
async function shortPath(folder: string, name: string): Promise<ShortPath> {
  const path = join(folder, name);
  for (const candidate of [path, relative(process.cwd(), path)]) if (Buffer.byteLength(candidate) <= pathBytesMax) return { path: candidate };
  const handle = await open(folder, "r");
  return { path: `/proc/self/fd/${handle.fd}/${name}`, folder: handle };
}

/** Who cannot be asked may live: on another machine, say. */
function isDead(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (dead: boolean): void => {
      socket.destroy();
      resolve(dead);
    };
    socket.setTimeout(probeMs, () => settle(false));
    socket.once("connect", () => settle(false));
    socket.once("error", (error) => settle(isErrno(error, "ECONNREFUSED")));
  });
}

function bootOf(name: string): string | undefined {
  return name.split("-")[1];
}

async function touchedAtMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return 0; // Gone while we looked.
  }
}

/** A file that is not there is as good as removed. */
async function removed(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
