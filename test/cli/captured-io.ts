/** A process's surroundings for one command: what it writes is kept, signals are sent by the test. */
import { EventEmitter } from "node:events";
import { Writable } from "node:stream";
import type { CommandIo, StopSignal } from "../../src/cli/command-io.ts";
import { run } from "../../src/cli/program.ts";

export class CapturedIo implements CommandIo {
  readonly environment: NodeJS.ProcessEnv;
  readonly columns = 80;
  /** Codes with which the process would have ended at once. */
  readonly exits: number[] = [];
  /** What is typed when a hidden line is asked for, and what was asked. */
  readonly hidden: string[] = [];
  readonly prompts: string[] = [];
  isInteractive = false;
  isTerminal = false;
  /** What comes by stdin. */
  given: string | Uint8Array = "";
  out = "";
  errors = "";
  /** What was written to `output`. */
  outBytes = Buffer.alloc(0);
  readonly #signals = new EventEmitter();

  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.environment = environment;
  }

  writeOut(text: string): void {
    this.out += text;
  }

  writeError(text: string): void {
    this.errors += text;
  }

  readHidden(prompt: string): Promise<string> {
    this.prompts.push(prompt);
    const line = this.hidden.shift();
    return line === undefined ? Promise.reject(new Error("nothing was given")) : Promise.resolve(line);
  }

  output(): Writable {
    return new Writable({
      write: (piece: Buffer, _encoding, done) => {
        this.outBytes = Buffer.concat([this.outBytes, piece]);
        done();
      },
    });
  }

  async *input(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(this.given);
  }

  stepBack(): void {}

  onSignal(signal: StopSignal, listener: () => void): () => void {
    this.#signals.on(signal, listener);
    return () => this.#signals.off(signal, listener);
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  send(signal: StopSignal): void {
    this.#signals.emit(signal);
  }

  /** The listeners that are left. */
  listening(signal: StopSignal): number {
    return this.#signals.listenerCount(signal);
  }
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** Runs a command line as a shell would split it at spaces. */
export async function runLine(line: string, environment: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const io = new CapturedIo(environment);
  const code = await run(
    line.split(" ").filter((word) => word !== ""),
    io,
  );
  return { code, out: io.out, errors: io.errors };
}
