/** findListFiles: the files that the words of a command line mean, and their texts. What holds images itself is told apart. */
import { glob, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ListProblem } from "./listed-reference.ts";

export interface ListFiles {
  readonly texts: readonly { readonly file: string; readonly text: string }[];
  readonly archives: readonly string[];
  readonly input: AsyncIterable<Uint8Array> | undefined;
  readonly problems: readonly ListProblem[];
}

export interface ListFileOptions {
  readonly standardInput?: (() => AsyncIterable<Uint8Array>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `kubectl get pods -A -o yaml` of a large cluster is some 100 MiB. */
const listBytesMax = 512 * 1024 * 1024;
const filesMax = 10_000;
/** What tells an archive. */
const headBytes = 512;

export async function findListFiles(sources: readonly string[], { standardInput, signal }: ListFileOptions): Promise<ListFiles> {
  const texts: { file: string; text: string }[] = [];
  const archives: string[] = [];
  const problems: ListProblem[] = [];
  let input: AsyncIterable<Uint8Array> | undefined;
  const refuse = (file: string, message: string): void => void problems.push({ file, line: 0, message });
  for (const word of sources.flatMap((source) => source.split(",")).map((source) => source.trim())) {
    if (word === "") continue;
    signal?.throwIfAborted();
    if (word === "-") {
      if (!standardInput) refuse("-", "nothing comes by stdin here");
      else if (!archives.includes("-") && !texts.some(({ file }) => file === "-")) {
        const read = await readInput(standardInput());
        if (typeof read === "string") texts.push({ file: "-", text: read });
        else [input] = [read, archives.push("-")];
      }
      continue;
    }
    const files = await filesOf(word);
    if (files.length === 0) refuse(word, "no such file");
    for (const file of files.slice(0, filesMax)) {
      if (texts.some((known) => known.file === file) || archives.includes(file)) continue;
      const read = await readFileText(file);
      if (read === "archive") archives.push(file);
      else if (read.problem !== undefined) refuse(file, read.problem);
      else texts.push({ file, text: read.text });
    }
  }
  return { texts, archives, input, problems };
}

async function filesOf(word: string): Promise<readonly string[]> {
  const here = await statIfThere(word);
  if (here?.isDirectory() === true) {
    const entries = await readdir(word, { withFileTypes: true });
    if (entries.some(({ name }) => name === "oci-layout")) return [word];
    return entries
      .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
      .map(({ name }) => join(word, name))
      .sort();
  }
  if (here) return [word];
  if (!/[*?[{]/.test(word)) return [];
  const matched: string[] = [];
  for await (const file of glob(word)) if (matched.length < filesMax) matched.push(file);
  return matched.sort();
}

async function readFileText(file: string): Promise<"archive" | { readonly text: string; readonly problem?: undefined } | { readonly problem: string }> {
  const found = await statIfThere(file);
  if (!found) return { problem: "no such file" };
  if (found.isDirectory()) return (await statIfThere(join(file, "oci-layout"))) ? "archive" : { problem: "a folder, and no OCI layout" };
  await using handle = await open(file);
  const head = Buffer.alloc(headBytes);
  const { bytesRead } = await handle.read(head, 0, head.byteLength, 0);
  if (isArchive(head.subarray(0, bytesRead))) return "archive";
  if (head.subarray(0, bytesRead).includes(0)) return { problem: "neither text nor an archive of images" };
  if (found.size > listBytesMax) return { problem: `a list of ${found.size} bytes: at most ${listBytesMax}` };
  return { text: await handle.readFile("utf8") };
}

/** gzip, zstd, or tar. */
function isArchive(head: Buffer): boolean {
  return (
    (head[0] === 0x1f && head[1] === 0x8b) ||
    (head.length >= 4 && head.readUInt32LE(0) === 0xfd2fb528) ||
    head.subarray(257, 262).toString("latin1") === "ustar"
  );
}

async function statIfThere(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  return await stat(path).catch(() => undefined); // Whatever the reason: it cannot be read, and that is said.
}

/** Its text; or all of it again, where it begins as an archive does. Throws where a text is larger than a list can be. */
async function readInput(input: AsyncIterable<Uint8Array>): Promise<string | AsyncIterable<Uint8Array>> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  const reader = input[Symbol.asyncIterator]();
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    pieces.push(next.value);
    sizeBytes += next.value.byteLength;
    if (sizeBytes >= headBytes && isArchive(Buffer.concat(pieces).subarray(0, headBytes))) return joined(pieces, reader);
    if (sizeBytes >= headBytes) break;
  }
  for await (const piece of { [Symbol.asyncIterator]: () => reader }) {
    sizeBytes += piece.byteLength;
    if (sizeBytes > listBytesMax) throw new Error(`stdin: a list of more than ${listBytesMax} bytes`);
    pieces.push(piece);
  }
  const whole = Buffer.concat(pieces);
  return isArchive(whole) ? joined(pieces, reader) : whole.toString("utf8");
}

async function* joined(first: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first;
  yield* { [Symbol.asyncIterator]: () => rest };
}
