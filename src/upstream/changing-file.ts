/**
 * ChangingFile: a small file that others write and we go by. While somebody asks for it, it is looked at once a second at most, and read
 * when it has changed; what cannot be understood leaves what held before.
 */
import type { Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { untilAborted } from "../oci/waiting.ts";

const lookEveryMs = 1_000;
const fileBytesMax = 1 << 20;

export interface ChangingFileOptions<T> {
  /** What it is, in messages: `docker config`. */
  readonly name: string;
  /** Where it may be; the first place that has one counts. */
  readonly paths: readonly string[];
  /** Undefined: these bytes are not what they should be. */
  readonly parse: (bytes: Buffer) => T | undefined;
  /** What they should be: `a JSON object`. */
  readonly expected: string;
  /** What to do about it when it is not there, or broken: ends the message. */
  readonly cures: { readonly absent: string; readonly broken: string };
  /** It says something else now, or has become unusable for another reason than before. */
  readonly onChange: (found: Found<T>) => void;
  readonly clock: Clock;
  readonly background: Background;
}

export interface Found<T> {
  /** Undefined: there is no file. */
  readonly path: string | undefined;
  /** What it said when it could last be read. */
  readonly value: T | undefined;
  /** Why it cannot be used as it is now. */
  readonly problem: OciError | undefined;
}

export class ChangingFile<T> {
  readonly #options: ChangingFileOptions<T>;
  #found: Found<T> | undefined;
  /** Of the file that was read; undefined where there was none that could be. */
  #signature: string | undefined;
  #lookedAtMs = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(options: ChangingFileOptions<T>) {
    this.#options = options;
  }

  /** As it was found last; undefined: nobody has looked yet. */
  get found(): Found<T> | undefined {
    return this.#found;
  }

  /** What it says, as of a second ago at most. Rejects with `DENIED` when there is none that could ever be used, or with the signal's reason. */
  async get(signal: AbortSignal): Promise<{ readonly path: string; readonly value: T }> {
    if (this.#options.clock.elapsed() - this.#lookedAtMs >= lookEveryMs) await untilAborted(this.look(), signal);
    const { path = "", value, problem } = this.#found ?? {};
    if (value !== undefined) return { path, value };
    throw problem ?? new OciError("UPSTREAM_UNAVAILABLE", `${this.#options.name}: it has not been read yet`);
  }

  /** Looks now. */
  look(): Promise<void> {
    if (this.#looking) return this.#looking;
    const { clock, background, name } = this.#options;
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
      this.#lookedAtMs = clock.elapsed();
    });
    background.run(`looking at ${name}`, this.#looking);
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { name, paths, cures } = this.#options;
    for (const path of paths) {
      try {
        const stats = await stat(path);
        if (this.#found?.path === path && this.#signature === signatureOf(stats)) return;
        return this.#learn(path, await this.#read(path, stats));
      } catch (error) {
        const code = codeOf(error);
        if (code === "ENOENT" || code === "ENOTDIR") continue;
        return this.#learn(path, this.#problem(`${name} ${path}: it cannot be read (${code}); see whether this user may`));
      }
    }
    this.#learn(undefined, this.#problem(`${name}: there is none${paths.length === 0 ? "" : ` at ${paths.join(", ")}`}; ${cures.absent}`));
  }

  async #read(path: string, stats: Stats): Promise<Reading<T>> {
    const { name, parse, expected, cures } = this.#options;
    // Opened, a pipe would keep us waiting for somebody to write into it.
    const { signature, bytes } = stats.isFile() && stats.size <= fileBytesMax ? await readLimited(path) : { signature: signatureOf(stats), bytes: undefined };
    const value = bytes && parse(bytes);
    if (value !== undefined) return { signature, value, problem: undefined };
    const why = bytes ? `it is not ${expected}` : `it is no file of at most ${fileBytesMax >> 20} MiB`;
    return { ...this.#problem(`${name} ${path}: ${why}; ${cures.broken}`), signature };
  }

  #problem(message: string): Reading<T> {
    return { signature: undefined, value: undefined, problem: new OciError("DENIED", message) };
  }

  #learn(path: string | undefined, { signature, value, problem }: Reading<T>): void {
    const before = this.#found;
    const isNews = problem?.message !== before?.problem?.message || value !== undefined;
    this.#signature = signature;
    // A file that has gone takes what it said with it; one that is broken just now does not.
    this.#found = { path, value: value ?? (before?.path === path ? before?.value : undefined), problem };
    if (isNews) this.#options.onChange(this.#found);
  }
}

interface Reading<T> {
  readonly signature: string | undefined;
  readonly value: T | undefined;
  readonly problem: OciError | undefined;
}

/** The file's bytes; undefined when there are too many. The signature is from before they were read. */
async function readLimited(path: string): Promise<{ readonly signature: string; readonly bytes: Buffer | undefined }> {
  await using file = await open(path);
  const signature = signatureOf(await file.stat());
  const bytes = Buffer.alloc(fileBytesMax + 1);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled);
    if (bytesRead === 0) return { signature, bytes: Buffer.from(bytes.subarray(0, filled)) };
    filled += bytesRead;
  }
  return { signature, bytes: undefined };
}

function signatureOf({ ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}
