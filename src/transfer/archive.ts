/**
 * openArchive: an archive of images, all of it read and hashed, none of it visible. In a tar nothing says in which order entries
 * come (skopeo writes the list of images last), so what may be needed lies among our temporary files until that is known; of a
 * folder only what is asked for is read. Dispose of it; what was kept stays.
 */
import { createReadStream } from "node:fs";
import { open, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Deposits } from "../cache/deposits.ts";
import { DepositRefused } from "../cache/deposit-failures.ts";
import type { StagedBlob } from "../cache/staged-blob.ts";
import { algorithmOf, findDigest, hexOf, type Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { parseEntryPath, quoted, readArchiveEntries, type ArchiveFile } from "./archive-entries.ts";
import { ArchiveRefused } from "./archive-refused.ts";

export interface Archive extends AsyncDisposable {
  /** The file at `path` below the archive's root, links within it followed; undefined when there is none. Throws `ArchiveRefused`. */
  find(path: string): Promise<StagedBlob | undefined>;
  /** The blob of an OCI layout; undefined when it is not there. Throws `ArchiveRefused` naming it where its bytes are wrong. */
  findBlob(digest: Digest): Promise<StagedBlob | undefined>;
}

/** Where an archive comes from. */
export type ArchiveSource = { readonly path: string } | { readonly stream: AsyncIterable<Uint8Array> };

export interface OpenArchiveOptions {
  readonly deposits: Deposits;
  readonly signal: AbortSignal;
  /** An entry begins. */
  readonly onEntry?: (entry: { readonly path: string; readonly sizeBytes: number }) => void;
}

const linksMax = 8;
const readBytes = 1024 * 1024;
const blobPathPattern = /^blobs\/(sha256|sha512)\/([a-f0-9]+)$/;
/** What `docker save` wrote for docker 1.9 and before, layer by layer. */
const neverNeeded = /^(?:[a-f0-9]{64}\/(?:json|VERSION)|repositories)$/;

/** Throws `ArchiveRefused`, `StoreUnwritable`, the signal's reason, and the system's error where `path` cannot be read. */
export async function openArchive(source: ArchiveSource, options: OpenArchiveOptions): Promise<Archive> {
  if ("path" in source) {
    if ((await stat(source.path)).isDirectory()) return new FolderArchive(await realpath(source.path), options);
    return await readTar(createReadStream(source.path, { highWaterMark: readBytes }), options);
  }
  return await readTar(source.stream, options);
}

/** The path of a blob in an OCI layout. OCI image-spec "Image Layout". */
export function blobPathOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

async function readTar(stream: AsyncIterable<Uint8Array>, { deposits, signal, onEntry }: OpenArchiveOptions): Promise<Archive> {
  const archive = new TarArchive();
  try {
    for await (const entry of readArchiveEntries(stream, { signal })) {
      if (entry.kind === "link") archive.link(entry.path, entry.target);
      else if (!neverNeeded.test(entry.path)) {
        onEntry?.(entry);
        archive.put(entry.path, await stage(deposits, entry));
      }
    }
    return archive;
  } catch (error) {
    await archive[Symbol.asyncDispose]();
    throw error;
  }
}

async function stage(deposits: Deposits, { path, sizeBytes, pieces }: Pick<ArchiveFile, "path" | "sizeBytes" | "pieces">): Promise<StagedBlob> {
  const digest = digestInPath(path);
  try {
    return await deposits.stage(pieces, { claimedBytes: sizeBytes, ...(digest ? { expected: { digest, sizeBytes } } : {}) });
  } catch (error) {
    if (error instanceof DepositRefused) throw new ArchiveRefused(`entry ${quoted(path)} is damaged: ${error.message}`, { cause: error });
    throw error;
  }
}

function digestInPath(path: string): Digest | undefined {
  const [, algorithm, hex] = blobPathPattern.exec(path) ?? [];
  return algorithm === undefined || hex === undefined ? undefined : findDigest(`${algorithm}:${hex}`);
}

class TarArchive implements Archive {
  readonly #files = new Map<string, StagedBlob>();
  readonly #links = new Map<string, string>();

  put(path: string, blob: StagedBlob): void {
    this.#files.set(path, blob);
  }

  link(path: string, target: string): void {
    this.#links.set(path, target);
  }

  async find(path: string): Promise<StagedBlob | undefined> {
    let at = parseEntryPath(path);
    for (let links = 0; links <= linksMax; links += 1) {
      const file = this.#files.get(at);
      if (file) return file;
      const target = this.#links.get(at);
      if (target === undefined) return undefined;
      at = target;
    }
    throw new ArchiveRefused(`entry ${quoted(path)} is a link that leads to no file`);
  }

  findBlob(digest: Digest): Promise<StagedBlob | undefined> {
    return this.find(blobPathOf(digest));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file[Symbol.asyncDispose]();
  }
}

/** An OCI layout that was unpacked. */
class FolderArchive implements Archive {
  readonly #root: string;
  readonly #options: OpenArchiveOptions;
  readonly #files = new Map<string, StagedBlob | undefined>();

  constructor(root: string, options: OpenArchiveOptions) {
    this.#root = root;
    this.#options = options;
  }

  async find(raw: string): Promise<StagedBlob | undefined> {
    const { signal, onEntry, deposits } = this.#options;
    const path = parseEntryPath(raw);
    if (this.#files.has(path)) return this.#files.get(path);
    signal.throwIfAborted();
    const real = await this.#realPath(path);
    if (real === undefined) return undefined;
    await using file = await open(real, "r");
    const { size: sizeBytes } = await file.stat();
    onEntry?.({ path, sizeBytes });
    const pieces = file.createReadStream({ highWaterMark: readBytes, autoClose: false, signal });
    const staged = await stage(deposits, { path, sizeBytes, pieces });
    this.#files.set(path, staged);
    return staged;
  }

  findBlob(digest: Digest): Promise<StagedBlob | undefined> {
    return this.find(blobPathOf(digest));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file?.[Symbol.asyncDispose]();
  }

  /** Links within the folder are followed; others would let an archive name any file of ours. */
  async #realPath(path: string): Promise<string | undefined> {
    const wanted = join(this.#root, path);
    const real = await realpath(wanted).catch((error: unknown) => {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    });
    if (real === undefined) return undefined;
    if (!real.startsWith(`${this.#root}/`)) throw new ArchiveRefused(`entry ${quoted(path)} leads out of ${basename(this.#root)}`);
    if (!(await stat(real)).isFile()) throw new ArchiveRefused(`entry ${quoted(path)} is not a file`);
    return real;
  }
}
