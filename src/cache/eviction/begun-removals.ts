/**
 * BegunRemovals: what is about to be removed, written down before the first file goes. Whoever prunes next reads what a killed one left
 * here and finishes it: else nobody could tell half a removal from images that are on their way in.
 */
import { readFile, stat } from "node:fs/promises";
import { findDigest, type Digest } from "../../oci/digest.ts";
import { isErrno } from "../../oci/errno.ts";
import { makeFolder, unlinkIfThere, writeAtomic } from "../atomic-write.ts";
import { leaseFolders, type InstanceFolder } from "../instance-folder.ts";

export interface BegunRemoval {
  /** Manifests by the name of their repository, `host/path`. */
  readonly manifests: ReadonlyMap<string, readonly Digest[]>;
  readonly blobs: readonly Digest[];
  /** What came or was used later is not meant. In milliseconds since 1970. */
  readonly begunAtMs: number;
}

export class BegunRemovals {
  readonly #folder: string;
  readonly #path: string;
  readonly #instance: InstanceFolder;

  constructor({ tmp, instance }: { readonly tmp: string; readonly instance: InstanceFolder }) {
    this.#folder = `${tmp}/${leaseFolders.evict}`;
    this.#path = `${this.#folder}/begun`;
    this.#instance = instance;
  }

  /** What was begun and not ended; undefined when nothing is left of any. A torn file says nothing: then nothing had been removed. */
  async find(): Promise<BegunRemoval | undefined> {
    try {
      const { mtimeMs } = await stat(this.#path);
      return parse(await readFile(this.#path, "utf8"), mtimeMs);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** On the disk, synced, when it resolves. */
  async begin({ manifests, blobs }: Pick<BegunRemoval, "manifests" | "blobs">): Promise<void> {
    await makeFolder(this.#folder, { sync: false });
    const lines = [...manifests].map(([repository, digests]) => `${repository} ${digests.join(" ")}\n`);
    const text = `${lines.join("")}- ${blobs.join(" ")}\n`;
    await writeAtomic(this.#path, text, { temporaryPath: await this.#instance.temporaryPath() });
  }

  async end(): Promise<void> {
    await unlinkIfThere(this.#path);
  }
}

function parse(text: string, begunAtMs: number): BegunRemoval | undefined {
  const lines = text.split("\n").slice(0, -1);
  const parsed = lines.map((line): readonly [string, readonly Digest[]] => {
    const [name = "", ...digests] = line.split(" ");
    return [name, digests.flatMap((digest) => findDigest(digest) ?? [])];
  });
  const blobs = parsed.at(-1);
  if (blobs?.[0] !== "-") return undefined;
  return { manifests: new Map(parsed.slice(0, -1)), blobs: blobs[1], begunAtMs };
}
