/**
 * HotAnswers: answers as they were made a moment ago, for whoever asks the same again. An answer is made of a few small files;
 * while each of those is still trusted, so is the answer, and it costs one look-up instead of one for each.
 */
import type { Clock } from "../oci/clock.ts";
import type { Repository } from "../oci/repository.ts";
import type { TrustedFile } from "./trusted-files.ts";

/** Few are hot at once, and what is large costs more than its look-ups: 16 MiB at most. */
const answersMax = 256;
const answerBytesMax = 64 * 1024;

/** An answer of so many bytes, and every file that it follows from: undefined for one that is not trusted just now. */
export interface MadeAnswer<T> {
  readonly answer: T;
  readonly sizeBytes: number;
  readonly files: readonly (TrustedFile | undefined)[];
}

interface HotAnswer<T> {
  readonly name: string;
  readonly answer: T;
  readonly files: readonly TrustedFile[];
}

export class HotAnswers<T> {
  readonly #clock: Clock;
  /** By the very object that was asked with: a server that remembers what URLs mean asks with the same one again. */
  readonly #answers = new Map<Repository, HotAnswer<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The answer to `name` (a tag, a digest) of `repository`; undefined when none is known, or one of its files has to be looked at. */
  find(repository: Repository, name: string): T | undefined {
    const hot = this.#answers.get(repository);
    if (hot?.name !== name) return undefined;
    const nowMs = this.#clock.elapsed();
    for (const file of hot.files) if (!file.isTrusted(nowMs)) return undefined;
    return hot.answer;
  }

  /** Remembers an answer, when all its files are trusted: else there is nothing to be sure of. */
  put(repository: Repository, name: string, { answer, sizeBytes, files }: MadeAnswer<T>): void {
    const known = files.filter((file) => file !== undefined);
    if (known.length < files.length || sizeBytes > answerBytesMax) return;
    // Full: all are forgotten at once, which costs each of them one walk through its files.
    if (this.#answers.size >= answersMax && !this.#answers.has(repository)) this.#answers.clear();
    this.#answers.set(repository, { name, answer, files: known });
  }
}
