/**
 * Staging: bytes that are brought, on their way into a temporary file of ours, hashed as they come. What is wrong, too long, or has
 * no room leaves nothing.
 */
import { open, statfs, type FileHandle } from "node:fs/promises";
import { algorithmOf, Digester, type Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { isStorageFailure, removeIfThere } from "./atomic-write.ts";
import { DepositRefused, StoreUnwritable } from "./deposit-failures.ts";
import { LoopShare } from "./loop-share.ts";
import { StagedBlob } from "./staged-blob.ts";
import type { Store } from "./store.ts";

/** A blob's name and length, as whoever brings it says. */
export interface BlobToDeposit {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Smaller ones find out by themselves. */
const roomCheckedFromBytes = 1024 * 1024;

export class Staging {
  readonly #store: Store;
  readonly #share = new LoopShare();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Throws `DepositRefused`, `StoreUnwritable`, and what `bytes` throws. `claimedBytes`: how many are said to come. */
  async write(
    bytes: AsyncIterable<Uint8Array>,
    { expected, claimedBytes }: { expected: BlobToDeposit | undefined; claimedBytes: number },
  ): Promise<StagedBlob> {
    await this.#checkRoom(expected, claimedBytes);
    const { path, file } = await this.#openTemporary(expected);
    try {
      return new StagedBlob({ ...(await this.#receive(bytes, { expected, file })), path, isOurs: true });
    } catch (error) {
      await removeIfThere(path);
      throw error;
    }
  }

  /** The same, with nothing written. */
  async check(expected: BlobToDeposit, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#receive(bytes, { expected, file: undefined });
  }

  /** What `work` gives, which writes; where the disk does not let it, `StoreUnwritable`. */
  async written<T>(digest: Digest | undefined, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#store.noteWritten();
      return result;
    } catch (error) {
      if (!isStorageFailure(error)) throw error;
      this.#store.noteFailure(error);
      throw new StoreUnwritable(digest ?? "what is brought", error);
    }
  }

  /** Hashes all bytes, on the way into `file` if there is one, which is closed. */
  async #receive(
    bytes: AsyncIterable<Uint8Array>,
    { expected, file }: { expected: BlobToDeposit | undefined; file: FileHandle | undefined },
  ): Promise<BlobToDeposit> {
    await using _closed = file;
    const digester = new Digester(expected ? algorithmOf(expected.digest) : "sha256");
    let sizeBytes = 0;
    for await (const chunk of bytes) {
      const positionBytes = sizeBytes;
      sizeBytes += chunk.byteLength;
      if (expected && sizeBytes > expected.sizeBytes) throw new DepositRefused(expected.digest, `more than its ${expected.sizeBytes} bytes`);
      const writing = file && this.written(expected?.digest, () => writeAll(file, chunk, positionBytes));
      digester.update(chunk);
      await writing;
      await this.#share.spend(chunk.byteLength);
    }
    if (expected && sizeBytes < expected.sizeBytes) throw new DepositRefused(expected.digest, `${sizeBytes} bytes instead of ${expected.sizeBytes}`);
    const digest = digester.digest();
    if (expected && digest !== expected.digest) throw new DepositRefused(expected.digest, `its bytes are wrong: they are those of ${digest}`);
    return { digest, sizeBytes };
  }

  /** What cannot fit is refused before the disk is full of it: others write there too. */
  async #checkRoom(expected: BlobToDeposit | undefined, claimedBytes: number): Promise<void> {
    if (claimedBytes < roomCheckedFromBytes) return;
    const { bavail, bsize } = await this.written(expected?.digest, () => statfs(this.#store.layout.root));
    if (claimedBytes <= bavail * bsize) return;
    throw new StoreUnwritable(expected?.digest ?? "what is brought", new Error(`it has ${claimedBytes} bytes, and the disk has room for ${bavail * bsize}`));
  }

  /** A temporary folder that somebody removed is made again. */
  async #openTemporary(expected: BlobToDeposit | undefined): Promise<{ path: string; file: FileHandle }> {
    const { instance } = this.#store;
    const openOne = async (): Promise<{ path: string; file: FileHandle }> => {
      const path = await instance.temporaryPath();
      return { path, file: await open(path, "wx", 0o664) };
    };
    return await this.written(expected?.digest, async () => {
      try {
        return await openOne();
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error;
        instance.forget();
        return await openOne();
      }
    });
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, positionBytes: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    written += (await file.write(bytes, written, bytes.byteLength - written, positionBytes + written)).bytesWritten;
  }
}
