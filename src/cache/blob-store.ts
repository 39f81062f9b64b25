/**
 * BlobStore: exact bytes by digest, whoever asked for them. It knows nothing of registries: who may see which bytes is the
 * provenance's affair. A file of another size than expected, or small bytes with another digest, count as absent.
 */
import { constants } from "node:fs";
import { chmod, open, rename, stat, utimes } from "node:fs/promises";
import { LRUCache } from "lru-cache";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { algorithmOf, digestOf, findDigest, type Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { manifestBytesMax } from "../oci/manifest.ts";
import { giveBack } from "./aside.ts";
import { isStorageFailure, publish, statIfThere, unlinkIfThere, writeAtomic } from "./atomic-write.ts";
import type { DiskReads } from "./disk-reads.ts";
import type { InstanceFolder } from "./instance-folder.ts";
import type { Layout } from "./layout.ts";
import { OpenBlob } from "./open-blob.ts";
import { Ownership } from "./ownership.ts";
import type { StoreChanges } from "./store-changes.ts";
import { TrustedFiles, type TrustedFile } from "./trusted-files.ts";

/** Blobs up to this size are answered from memory when they are asked for often. */
export const smallBytesMax = 64 * 1024;

const memoryBytesMax = 24 * 1024 * 1024;
const memoryEntriesMax = 8_192;
/** A file that could not be read is tried again after so long: not every disk that fails is lost. */
const distrustMs = 60_000;
const distrustedMax = 10_000;

export interface BlobStoreOptions {
  readonly layout: Layout;
  readonly instance: InstanceFolder;
  readonly clock: Clock;
  readonly background: Background;
  readonly reads: DiskReads;
  readonly changes: StoreChanges;
}

export class BlobStore {
  readonly #layout: Layout;
  readonly #instance: InstanceFolder;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #reads: DiskReads;
  readonly #changes: StoreChanges;
  readonly #bytes: TrustedFiles<Buffer>;
  readonly #ownership: Ownership;
  readonly #readers = new Map<Digest, number>();
  readonly #open = new Map<Digest, Promise<OpenBlob | undefined>>();
  readonly #distrusted = new LRUCache<Digest, { readonly inode: number; readonly atMs: number }>({ max: distrustedMax });

  constructor({ layout, instance, clock, background, reads, changes }: BlobStoreOptions) {
    this.#changes = changes;
    this.#background = background;
    this.#reads = reads;
    this.#layout = layout;
    this.#instance = instance;
    this.#clock = clock;
    this.#ownership = new Ownership({ layout, instance, clock, reads, publish: (path, digest) => this.#publish(path, digest) });
    this.#bytes = new TrustedFiles({ clock, reads, fileBytesMax: manifestBytesMax, entriesMax: memoryEntriesMax, memoryBytesMax, parse: verified });
  }

  /** All bytes of something small (up to a manifest's limit), their digest checked; undefined when absent or wrong. */
  findBytes(digest: Digest): Buffer | undefined | Promise<Buffer | undefined> {
    return this.#bytes.find(this.#layout.blob(digest));
  }

  /** The file behind `findBytes`, while it is trusted. */
  findTrusted(digest: Digest): TrustedFile | undefined {
    return this.#bytes.findTrusted(this.#layout.blob(digest));
  }

  /** The same without keeping them in memory: for a search that reads many. */
  async readBytes(digest: Digest): Promise<Buffer | undefined> {
    return (await this.#bytes.read(this.#layout.blob(digest)))?.value;
  }

  /** Whether a file has the digest's name, whatever is in it. */
  async has(digest: Digest): Promise<boolean> {
    const path = this.#layout.blob(digest);
    return (await this.#reads.attempt(path, () => stat(path))) !== undefined;
  }

  /** An open file of exactly `sizeBytes`, shared with its other readers, or undefined. Release it once. */
  async open(digest: Digest, sizeBytes: number): Promise<OpenBlob | undefined> {
    const opening = this.#open.get(digest) ?? this.#beginOpening(digest);
    const blob = await opening.catch((error: unknown) => this.#forgetOpen(digest, opening, error));
    if (!blob) {
      this.#forgetOpen(digest, opening);
      return undefined;
    }
    if (blob.acquire()) {
      if (blob.sizeBytes === sizeBytes && (await blob.isCurrent(this.#layout.blob(digest)))) return blob;
      blob.release();
      this.#forgetOpen(digest, opening);
      if (blob.sizeBytes === sizeBytes) return await this.open(digest, sizeBytes); // Another file took the name.
      return undefined;
    }
    this.#forgetOpen(digest, opening);
    return await this.open(digest, sizeBytes);
  }

  /** The file could not be read: it counts as absent from now on, until another has its name or a while has passed. */
  distrust(digest: Digest, { inode }: OpenBlob, error: unknown): void {
    this.#distrusted.set(digest, { inode, atMs: this.#clock.elapsed() });
    this.#open.delete(digest); // Its readers keep the file that they have.
    this.#reads.tell(this.#layout.blob(digest), error);
  }

  /** Writes small bytes under their digest. The caller has checked them. */
  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    const path = this.#layout.blob(digest);
    await writeAtomic(path, bytes, { temporaryPath: await this.#instance.temporaryPath(), mode: 0o444 });
    this.#bytes.forget(path);
    await this.#tellWritten(digest);
  }

  /** Gives a synced file that was checked its final name. */
  async adopt(temporaryPath: string, digest: Digest): Promise<void> {
    await this.#publish(temporaryPath, digest);
    await this.#tellWritten(digest);
  }

  /**
   * Something that is held names the blob from now on: whoever was about to remove it finds its time changed, and leaves it. False when
   * it is not there (any more), or when its time cannot be set. The file of another user is copied for that, and is ours then; who need
   * not know that it is done (`waits: false`) is not held up by a large one.
   */
  async touch(digest: Digest, { waits = true }: { readonly waits?: boolean } = {}): Promise<boolean> {
    const path = this.#layout.blob(digest);
    const now = new Date(this.#clock.now());
    try {
      await utimes(path, now, now);
    } catch (error) {
      if (!isStorageFailure(error)) throw error;
      if (isErrno(error, "EPERM")) return await this.#takeOver(digest, waits);
      return isErrno(error, "EROFS"); // Nothing can be removed there either.
    }
    await this.#tellTouched(digest);
    return true;
  }

  /** True while somebody reads the blob's file in this process. */
  isRead(digest: Digest): boolean {
    return this.#readers.has(digest);
  }

  /**
   * Removes the blob, if its time is still `mtimeMs`. It is taken aside first and looked at again there, so that whoever touches it either
   * is seen or misses it; "changed": it is in its place, or back there. Throws the system's error.
   */
  async remove(digest: Digest, { mtimeMs }: { readonly mtimeMs: number }): Promise<"removed" | "absent" | "changed"> {
    const path = this.#layout.blob(digest);
    const foundMs = (await statIfThere(path))?.mtimeMs;
    if (foundMs === undefined) return "absent";
    if (foundMs !== mtimeMs) return "changed";
    const aside = await this.#instance.asidePath(digest);
    try {
      await rename(path, aside);
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return "absent";
      throw error;
    }
    // Not there any more: we were taken for dead meanwhile, and somebody gave it back.
    const isRemoved = (await statIfThere(aside))?.mtimeMs === mtimeMs && (await unlinkIfThere(aside));
    if (!isRemoved) await giveBack(aside, path);
    this.#bytes.forget(path);
    this.#open.delete(digest); // Its readers keep the file that they have.
    if (!isRemoved) return "changed";
    this.#changes.blobRemoved(digest);
    return "removed";
  }

  async #takeOver(digest: Digest, waits: boolean): Promise<boolean> {
    const taking = this.#ownership.take(digest);
    if (!waits) this.#background.run("make a blob ours", taking);
    if (waits && !(await taking)) return false;
    await this.#tellTouched(digest);
    return true;
  }

  async #publish(temporaryPath: string, digest: Digest): Promise<void> {
    const path = this.#layout.blob(digest);
    await chmod(temporaryPath, 0o444);
    await publish(temporaryPath, path);
    this.#bytes.forget(path);
    this.#open.delete(digest); // Its readers keep the file that they have.
    this.#distrusted.delete(digest);
  }

  async #tellTouched(digest: Digest): Promise<void> {
    const path = this.#layout.blob(digest);
    const file = await this.#reads.attempt(path, () => stat(path));
    if (file) this.#changes.blobTouched(digest, file);
  }

  async #tellWritten(digest: Digest): Promise<void> {
    const path = this.#layout.blob(digest);
    const file = await this.#reads.attempt(path, () => stat(path));
    if (file) this.#changes.blobWritten(digest, file);
  }

  #countReaders(digest: Digest, by: 1 | -1): void {
    const count = (this.#readers.get(digest) ?? 0) + by;
    if (count > 0) this.#readers.set(digest, count);
    else this.#readers.delete(digest);
  }

  /** Known until it is closed. */
  #beginOpening(digest: Digest): Promise<OpenBlob | undefined> {
    const opening: Promise<OpenBlob | undefined> = this.#openFile(digest, () => this.#forgetOpen(digest, opening));
    this.#open.set(digest, opening);
    return opening;
  }

  async #openFile(digest: Digest, onClose: () => void): Promise<OpenBlob | undefined> {
    const path = this.#layout.blob(digest);
    return await this.#reads.attempt(path, async () => {
      const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // A pipe that somebody put there has no writer to wait for.
      const file = await this.#reads.attempt(path, () => handle.stat());
      if (file && !this.#isDistrusted(digest, file.ino)) {
        const common = { clock: this.#clock, background: this.#background, reads: this.#reads };
        const onReaders = (by: 1 | -1): void => this.#countReaders(digest, by);
        return new OpenBlob({ handle, sizeBytes: file.size, inode: file.ino, onReaders, onClose, ...common });
      }
      await handle.close();
      return undefined;
    });
  }

  #isDistrusted(digest: Digest, inode: number): boolean {
    const distrusted = this.#distrusted.get(digest);
    return distrusted?.inode === inode && this.#clock.elapsed() - distrusted.atMs < distrustMs;
  }

  #forgetOpen(digest: Digest, opening: Promise<OpenBlob | undefined>, error?: unknown): undefined {
    if (this.#open.get(digest) === opening) this.#open.delete(digest);
    if (error !== undefined) throw error;
    return undefined;
  }
}

function verified(bytes: Buffer, _file: unknown, path: string): Buffer | undefined {
  const [hex, , algorithm] = path.split("/").reverse();
  const digest = findDigest(`${algorithm}:${hex}`);
  return digest && digestOf(bytes, algorithmOf(digest)) === digest ? bytes : undefined;
}
