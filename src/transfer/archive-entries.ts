/**
 * readArchiveEntries: the files of a tar archive as they come, each checked before anybody acts on it. Nothing is ever extracted to
 * a path of an entry's choosing, and still an entry whose name leads out of the archive is refused: such an archive was made by
 * somebody who hoped for the opposite. POSIX.1-2017 pax "ustar Interchange Format".
 */
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import { extract, type Header } from "tar-stream";
import { untilAborted } from "../oci/waiting.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import { decompressed } from "./decompression.ts";

/** A regular file: read `pieces` before you ask for the next entry, or leave them. */
export interface ArchiveFile {
  readonly kind: "file";
  /** Without `./`, without `..`. */
  readonly path: string;
  /** As its header claims. */
  readonly sizeBytes: number;
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** Another name for an entry of the archive. */
export interface ArchiveLink {
  readonly kind: "link";
  readonly path: string;
  readonly target: string;
}

/** More files than any archive of images has. */
const entriesMax = 200_000;
const pathCharsMax = 4_096;
/** Between two entries, and after the last: headers of names (4 MiB each), and the padding that tapes need. */
const betweenBytesMax = 16 * 1024 * 1024;
const blockBytes = 512;

/**
 * Reads an archive, plain or within gzip or zstd. Throws `ArchiveRefused` for what no archive of images has (a path that leads out
 * of it, a device, a path twice), for one that is torn or cut short, and the source's own error; `pieces` throw the same. Aborting
 * ends it at once, also while the source keeps us waiting.
 */
export async function* readArchiveEntries(source: AsyncIterable<Uint8Array>, { signal }: { signal: AbortSignal }): AsyncGenerator<ArchiveFile | ArchiveLink> {
  const unpacking = new Unpacking(source, signal);
  const seen = new Set<string>();
  try {
    for await (const entry of unpacking.entries()) {
      if (entry.kind === "folder") continue;
      if (seen.has(entry.path)) throw new ArchiveRefused(`entry ${quoted(entry.path)} is there twice`);
      seen.add(entry.path);
      if (seen.size > entriesMax) throw new ArchiveRefused(`more than ${entriesMax} entries`);
      yield entry;
    }
  } finally {
    await unpacking.close();
  }
}

/** An entry's path as the archive means it: relative, without `.` and `..`. Throws `ArchiveRefused` when it leads out. */
export function parseEntryPath(raw: string, { from = "", entry = raw }: { from?: string; entry?: string } = {}): string {
  const joined = posix.normalize(posix.join(from, raw)).replace(/\/$/, "");
  const isOutside = raw.startsWith("/") || joined === ".." || joined.startsWith("../") || raw.includes("\0");
  if (isOutside || raw === "" || raw.length > pathCharsMax) throw new ArchiveRefused(`entry ${quoted(entry)} leads out of the archive`);
  return joined;
}

/** An entry's name, in an error, cannot fill a screen or move its cursor. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}

function readEntry(header: Header, pieces: AsyncIterable<Uint8Array>): ArchiveFile | ArchiveLink | { readonly kind: "folder" } {
  const { name, size, linkname } = header;
  if (name.split("/").includes("..")) throw new ArchiveRefused(`entry ${quoted(name)} leads out of the archive`);
  const path = parseEntryPath(name);
  switch (header.type) {
    case "directory":
      return { kind: "folder" };
    case "file":
    case "contiguous-file":
      return { kind: "file", path, sizeBytes: size, pieces };
    case "symlink":
      return { kind: "link", path, target: parseEntryPath(linkname, { from: posix.dirname(path), entry: `${name} -> ${linkname}` }) };
    case "link":
      return { kind: "link", path, target: parseEntryPath(linkname, { entry: `${name} -> ${linkname}` }) };
    default:
      throw new ArchiveRefused(`entry ${quoted(name)} is neither a file nor a link`);
  }
}

/** The source on its way through the unpacker into tar's parser; whatever goes wrong in there is told by what went wrong first. */
class Unpacking {
  readonly #tar = extract();
  readonly #ending = new AbortController();
  readonly #piping: Promise<PromiseSettledResult<void>[]>;
  #sourceError: { readonly error: unknown } | undefined;
  #readBytes = 0;
  #entryEndBytes = 0;

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    const stopping = AbortSignal.any([signal, this.#ending.signal]);
    this.#piping = Promise.allSettled([pipeline(this.#counted(decompressed(this.#watched(untilStopped(source, stopping)))), this.#tar)]);
  }

  async *entries(): AsyncGenerator<ReturnType<typeof readEntry>> {
    const entries = this.#explained(this.#tar as AsyncIterable<Entry>); // Its entries are streams of buffers, which its types do not say.
    for await (const entry of entries) {
      const { header, offset } = entry;
      this.#entryEndBytes = offset + blockBytes + header.size;
      const read = readEntry(header, this.#explained(entry));
      if (read.kind !== "file") entry.resume();
      yield read;
      entry.resume();
    }
  }

  /** Stops everything; the source is closed, or left behind when it answers no more. */
  async close(): Promise<void> {
    this.#ending.abort(new Error("nobody reads the archive any more"));
    this.#tar.destroy();
    await this.#piping;
  }

  async *#watched(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* pieces;
    } catch (error) {
      this.#sourceError = { error };
      throw error;
    }
  }

  /** An archive that goes on without entries would never end. */
  async *#counted(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#readBytes += piece.byteLength;
      if (this.#readBytes - this.#entryEndBytes > betweenBytesMax) throw new ArchiveRefused(`more than ${betweenBytesMax} bytes that belong to no entry`);
      yield piece;
    }
  }

  async *#explained<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* items;
    } catch (error) {
      throw await this.#cause(error);
    }
  }

  /** Streams that are destroyed for another's sake say only that. */
  async #cause(symptom: unknown): Promise<unknown> {
    this.#tar.destroy();
    const [piped] = await this.#piping;
    if (this.#sourceError) return this.#sourceError.error;
    const error: unknown = piped?.status === "rejected" ? piped.reason : symptom;
    return error instanceof Error && isTorn(error) ? new ArchiveRefused(`the archive is torn or cut short: ${error.message}`, { cause: error }) : error;
  }
}

interface Entry extends AsyncIterable<Uint8Array> {
  readonly header: Header;
  /** Where its header begins. */
  readonly offset: number;
  resume(): unknown;
}

/** `source`, until `signal` aborts: then its reason is thrown at once, whatever the source is waiting for. */
async function* untilStopped(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const nothing = (): undefined => undefined;
  try {
    for (;;) {
      const waiting = iterator.next();
      waiting.catch(nothing); // Whoever stops waiting does not hear of it.
      const { value, done } = await untilAborted(waiting, signal);
      if (done === true) return;
      yield value;
    }
  } finally {
    const closing = Promise.resolve(iterator.return?.()).catch(nothing); // It has nothing to say any more.
    if (!signal.aborted) await closing;
  }
}

/** tar-stream's and zlib's own words; what a reader of ours threw goes on as it is. */
function isTorn(error: Error): boolean {
  if (error instanceof ArchiveRefused) return false;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return code.startsWith("Z_") || code.startsWith("ZSTD_") || /^(Unexpected end of data|Invalid (tar )?header|Header exceeds max size)/.test(error.message);
}
