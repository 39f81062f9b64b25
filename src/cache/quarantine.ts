/**
 * Quarantine: where wrong bytes are put aside. Nothing is ever served from it: a running server finds the name empty within a second,
 * and fetches the blob anew. It is there for people who want to know what happened to their disk, and is bounded.
 */
import { rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { giveBack } from "./aside.ts";
import { isStorageFailure, makeFolder } from "./atomic-write.ts";
import type { Layout } from "./layout.ts";
import { listFolder } from "./list-folder.ts";

/** More files than these, or older ones, are removed when another comes. */
const filesMax = 64;
const lifeMs = 30 * 24 * 3_600_000;

export class Quarantine {
  readonly #layout: Layout;
  readonly #clock: Clock;

  constructor({ layout, clock }: { readonly layout: Layout; readonly clock: Clock }) {
    this.#layout = layout;
    this.#clock = clock;
  }

  /**
   * Puts the blob's file aside if it is still the one of this `inode`, and says where it lies now; undefined when another has the name by
   * now, or none. Throws the system's error where nothing can be moved.
   */
  async put(digest: Digest, { inode }: { readonly inode: number }): Promise<string | undefined> {
    const path = this.#layout.blob(digest);
    const aside = join(this.#layout.quarantine(), `${digest.replace(":", "-")}~${new Date(this.#clock.now()).toISOString().replaceAll(":", "")}`);
    if ((await inodeAt(path)) !== inode) return undefined;
    await makeFolder(this.#layout.quarantine());
    if (!(await moved(path, aside))) return undefined;
    if ((await inodeAt(aside)) !== inode) {
      // A good file took the name between the look and the move: it gets it back, unless yet another has it.
      await giveBack(aside, path);
      return undefined;
    }
    await this.#sweep();
    return aside;
  }

  async #sweep(): Promise<void> {
    const folder = this.#layout.quarantine();
    const names = await listFolder(folder);
    const aged = await Promise.all(names.map(async (name) => ({ path: join(folder, name), changedAtMs: await changedAtMs(join(folder, name)) })));
    const newestFirst = aged.toSorted((one, other) => other.changedAtMs - one.changedAtMs);
    for (const [index, { path, changedAtMs: atMs }] of newestFirst.entries()) {
      if (index < filesMax && this.#clock.now() - atMs < lifeMs) continue;
      await unlink(path).catch((error: unknown) => {
        if (!isStorageFailure(error)) throw error; // Another process sweeps too.
      });
    }
  }
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

async function inodeAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** When it was put there: moving a file changes that, and not its content's time. */
async function changedAtMs(path: string): Promise<number> {
  try {
    return (await stat(path)).ctimeMs;
  } catch (error) {
    if (isStorageFailure(error)) return 0;
    throw error;
  }
}
