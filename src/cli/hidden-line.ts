/** readHiddenLine: a line from whoever sits at the terminal, which does not show it, or from what stands before us in a pipe. */
import type { ReadStream } from "node:tty";

export interface HiddenLineOptions {
  /** A terminal, a pipe or a file. */
  readonly input: NodeJS.ReadableStream & Partial<Pick<ReadStream, "isTTY" | "setRawMode">>;
  /** For the prompt. */
  readonly output: NodeJS.WritableStream;
  readonly prompt: string;
}

const lineBytesMax = 4_096;
/** What terminals send for a typing error, for "no more", and for "stop". */
const keys = { erase: new Set([0x7f, 0x08]), eraseAll: 0x15, end: 0x04, interrupt: 0x03, enter: new Set([0x0d, 0x0a]) } as const;

/** Without its end. What follows it stays in `input`. Rejects when there is nothing, too much, or Ctrl-C. */
export async function readHiddenLine({ input, output, prompt }: HiddenLineOptions): Promise<string> {
  const isTerminal = input.isTTY === true && input.setRawMode !== undefined;
  if (!isTerminal) return await lineOf(input, false);
  input.setRawMode?.(true);
  output.write(prompt);
  try {
    return await lineOf(input, true);
  } finally {
    input.setRawMode?.(false);
    output.write("\n");
  }
}

function lineOf(input: NodeJS.ReadableStream, isTyped: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let line: number[] = [];
    const over = (settle: () => void): void => {
      input.pause();
      input.off("data", onData).off("end", onEnd).off("error", onError);
      settle();
    };
    const done = (): void => over(() => resolve(Buffer.from(line).toString("utf8").replace(/\r$/, "")));
    const onError = (error: Error): void => over(() => reject(error));
    const onEnd = (): void => (line.length > 0 ? done() : onError(new Error("no password was given")));
    const onData = (chunk: Buffer | string): void => {
      const bytes = Buffer.from(chunk);
      for (const [index, byte] of bytes.entries()) {
        if (isTyped ? keys.enter.has(byte) : byte === 0x0a) {
          done();
          const rest = bytes.subarray(index + 1);
          if (rest.length > 0) input.unshift(rest);
          return;
        }
        if (isTyped && byte === keys.interrupt) return onError(new Error("interrupted"));
        if (isTyped && byte === keys.end) return onEnd();
        if (isTyped && byte === keys.eraseAll) line = [];
        else if (isTyped && keys.erase.has(byte)) line = withoutLastCharacter(line);
        else line.push(byte);
        if (line.length > lineBytesMax) return onError(new Error(`a line of more than ${lineBytesMax} bytes`));
      }
    };
    input.on("data", onData).on("end", onEnd).on("error", onError);
    input.resume();
  });
}

/** In UTF-8 a character is its first byte and those that begin with 10. */
function withoutLastCharacter(line: readonly number[]): number[] {
  const startsAt = line.findLastIndex((byte) => (byte & 0xc0) !== 0x80);
  return line.slice(0, Math.max(0, startsAt));
}
