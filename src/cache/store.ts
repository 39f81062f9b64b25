/**
 * Store: the image store on disk, put together. Opening it reads one small file; everything else is looked at when it is asked
 * for. The disk is the truth: what another process, a command or a hand changes is seen within a second.
 */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import type { Log } from "../oci/log.ts";
import { isStorageFailure, writeAtomic } from "./atomic-write.ts";
import { BlobStore } from "./blob-store.ts";
import { DiskReads } from "./disk-reads.ts";
import { InstanceFolder } from "./instance-folder.ts";
import { Layout, layoutVersion } from "./layout.ts";
import { Pins } from "./pins.ts";
import { nameOfThisProcess } from "./process-name.ts";
import { Provenance } from "./provenance.ts";
import { ReferrersStore } from "./referrers-store.ts";
import { RepositoryStore } from "./repository-store.ts";
import { StoreChanges } from "./store-changes.ts";
import { Uses } from "./uses.ts";

export interface StoreOptions {
  /** The store's folder; made when it is not there. */
  readonly root: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

export class Store {
  readonly layout: Layout;
  readonly instance: InstanceFolder;
  readonly reads: DiskReads;
  /** What this process writes and removes. */
  readonly changes: StoreChanges;
  readonly blobs: BlobStore;
  readonly provenance: Provenance;
  readonly repositories: RepositoryStore;
  readonly referrers: ReferrersStore;
  readonly pins: Pins;
  readonly uses: Uses;
  #failure: string | undefined;

  /** Opens the store at `root`. Throws an `Error` in plain words when it is of a newer layout or no folder; a read-only one opens. */
  static async open(options: StoreOptions): Promise<Store> {
    const { root, clock, log } = options;
    const layout = new Layout(root);
    const blobPath = (digest: Digest): string => layout.blob(digest);
    const instance = new InstanceFolder({ tmp: layout.temporary(), self: await nameOfThisProcess(), clock, log, blobPath });
    const store = new Store(options, layout, instance);
    await store.#checkVersion();
    await store.whereWritable(() => access(root, constants.W_OK));
    instance.start();
    return store;
  }

  private constructor({ clock, log, background }: StoreOptions, layout: Layout, instance: InstanceFolder) {
    this.layout = layout;
    this.instance = instance;
    const reads = new DiskReads({ clock, log });
    this.reads = reads;
    const changes = new StoreChanges();
    this.changes = changes;
    this.blobs = new BlobStore({ layout, instance, clock, background, reads, changes });
    this.provenance = new Provenance({ layout, clock, reads });
    this.repositories = new RepositoryStore({ layout, instance, clock, background, reads, changes });
    this.referrers = new ReferrersStore({ layout, instance, clock, reads });
    this.pins = new Pins({ layout, instance, clock, reads });
    this.uses = new Uses({ repositories: this.repositories, clock, background });
  }

  /** The result of `work`, or undefined where the store cannot be written at the moment. A temporary folder that somebody removed is made again. */
  async whereWritable<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!isStorageFailure(error)) throw error;
      if (!isErrno(error, "ENOENT")) return this.#failed(error);
    }
    this.instance.forget();
    try {
      return await work();
    } catch (error) {
      if (!isStorageFailure(error)) throw error;
      return this.#failed(error);
    }
  }

  /** The last write failed for the disk's sake. */
  noteFailure(error: unknown): void {
    this.#failure = error instanceof Error ? error.message : String(error);
  }

  noteWritten(): void {
    this.#failure = undefined;
  }

  status(): { readonly writable: boolean; readonly reason?: string } {
    return this.#failure === undefined ? { writable: true } : { writable: false, reason: this.#failure };
  }

  /** Writes down what was only noted, and gives the temporary folder back. */
  async close(): Promise<void> {
    await this.repositories.writeNotes();
    await this.uses.write();
    await this.instance.close();
  }

  #failed(error: unknown): undefined {
    this.noteFailure(error);
    return undefined;
  }

  async #checkVersion(): Promise<void> {
    const { root } = this.layout;
    const text = await this.#readVersion();
    if (text !== undefined) {
      const version = Number(text.trim());
      if (Number.isInteger(version) && version > layoutVersion) {
        throw new Error(
          `imagePath ${root} holds a store of layout ${version}; this program knows layouts up to ${layoutVersion}: use a newer ociregistry, or another folder`,
        );
      }
      if (version === layoutVersion) return;
    }
    // Among our temporary files: killed here, we leave nothing that nobody sweeps.
    await this.whereWritable(async () => {
      await writeAtomic(this.layout.version(), `${layoutVersion}\n`, { temporaryPath: await this.instance.temporaryPath() });
    });
  }

  async #readVersion(): Promise<string | undefined> {
    try {
      return await readFile(this.layout.version(), "utf8");
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      if (isErrno(error, "ENOTDIR")) throw new Error(`imagePath ${this.layout.root} is not a folder`, { cause: error });
      if (isErrno(error, "EACCES", "EPERM", "EISDIR")) throw new Error(`imagePath ${this.layout.root} cannot be read: ${error.message}`, { cause: error });
      this.reads.note(this.layout.version(), error); // As good as torn.
      return undefined;
    }
  }
}
