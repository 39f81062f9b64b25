/**
 * StagedBlob: bytes that were brought and hashed, and that nobody sees yet: a temporary file of ours, or the store's own where it
 * holds them already. Dispose of it; what was kept stays.
 */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { removeIfThere } from "./atomic-write.ts";

const chunkBytes = 1024 * 1024;

export interface StagedBlobOptions {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly path: string;
  /** False: the file is the store's. */
  readonly isOurs: boolean;
}

export class StagedBlob implements AsyncDisposable {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly path: string;
  readonly isOurs: boolean;

  constructor({ digest, sizeBytes, path, isOurs }: StagedBlobOptions) {
    this.digest = digest;
    this.sizeBytes = sizeBytes;
    this.path = path;
    this.isOurs = isOurs;
  }

  /** All of it, which is no more than `bytesMax`; undefined when it is more. Throws the system's error. */
  async read(bytesMax: number): Promise<Buffer | undefined> {
    if (this.sizeBytes > bytesMax) return undefined;
    await using file = await open(this.path, "r");
    return await file.readFile();
  }

  /** Its bytes, piece by piece. */
  pieces(): AsyncIterable<Uint8Array> {
    return createReadStream(this.path, { highWaterMark: chunkBytes });
  }

  /** Puts it on the disk for good, where it is ours. False when it is gone. */
  async sync(): Promise<boolean> {
    if (!this.isOurs) return false;
    try {
      await using file = await open(this.path, "r+");
      await file.sync();
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isOurs) await removeIfThere(this.path);
  }
}
