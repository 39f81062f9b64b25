/** CommandDefinitions: how a command is added to the command line: its help with examples, how it writes, and what its end means. */
import type { Command } from "commander";
import { exitCodes, type CommandIo } from "./command-io.ts";

const helpColumnsMax = 100;

export interface CommandDefinition {
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  /** Worked ones, for its help. */
  readonly examples: readonly string[];
  /** Resolves to the exit code. A command's module is loaded when it runs: a probe need not read what serves. */
  readonly action: (command: Command) => Promise<number>;
}

export class CommandDefinitions {
  readonly io: CommandIo;
  #exitCode: number = exitCodes.done;

  constructor(io: CommandIo) {
    this.io = io;
  }

  /** Of the command that ran. */
  get exitCode(): number {
    return this.#exitCode;
  }

  define(parent: Command, { name, description, examples, action }: CommandDefinition): Command {
    const command = parent.command(name).description(description);
    this.configure(command);
    addExamples(command, examples);
    return command.action(async () => {
      this.#exitCode = await action(command);
    });
  }

  /** A command that only has others below it. */
  group(parent: Command, name: string, description: string): Command {
    const command = parent.command(name).description(description);
    this.configure(command);
    return command;
  }

  /** It writes where we write, and ends nothing by itself. */
  configure(command: Command): void {
    const { io } = this;
    const columns = Math.min(io.columns, helpColumnsMax);
    command
      .exitOverride()
      .helpCommand(false)
      .helpOption("-h, --help", "print this help")
      .configureOutput({
        writeOut: (text) => io.writeOut(text),
        writeErr: (text) => io.writeError(text),
        getOutHelpWidth: () => columns,
        getErrHelpWidth: () => columns,
        outputError: (text, write) =>
          write(
            `ociregistry: ${text
              .replace(/^error: /, "")
              .trim()
              .replaceAll(/\s*\n\s*/g, " ")}\n`,
          ),
      });
    command.configureHelp({ showGlobalOptions: command.parent !== null });
  }
}

export function addExamples(command: Command, examples: readonly string[]): void {
  command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`);
}

/** For an option that may be repeated. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}
