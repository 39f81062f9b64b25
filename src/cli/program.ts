/** The command line: which command was meant, its flags, and what its end means for the exit code. */
import { Command, CommanderError } from "commander";
import { packageVersion } from "../config/package-version.ts";
import { addAccessCommands } from "./access-commands.ts";
import { addCarryingCommands } from "./carrying-commands.ts";
import { addExamples, CommandDefinitions } from "./command-definitions.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { errorLines, isMisuse } from "./error-lines.ts";
import { addFlags, globalFlags, normalizeSwitches } from "./flag-table.ts";
import { addKeepingCommands } from "./keeping-commands.ts";
import { addServingCommands } from "./serving-commands.ts";

/**
 * Runs what `args` (without node and script) say and resolves to the exit code: 0 done, 1 failed, 2 the command line was misused.
 * Results go to stdout, everything else to stderr, each error on a line of its own. Never rejects.
 */
export async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const commands = new CommandDefinitions(io);
  const program = createProgram(commands);
  try {
    if (args.length === 0) program.help({ error: true });
    await program.parseAsync(normalizeSwitches(args), { from: "user" });
    return commands.exitCode;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.code === "commander.helpDisplayed" || error.code === "commander.version" ? exitCodes.done : exitCodes.misuse;
    for (const line of errorLines(error)) io.writeError(`ociregistry: ${line}\n`);
    return isMisuse(error) ? exitCodes.misuse : exitCodes.failed;
  }
}

/** In the order of its help. */
function createProgram(commands: CommandDefinitions): Command {
  const program = new Command("ociregistry");
  commands.configure(program);
  program.description("A caching pull-through registry in front of every container registry.");
  program.version(packageVersion(), "--version", "print the version");
  addFlags(program, globalFlags);
  addServingCommands(program, commands);
  addCarryingCommands(program, commands);
  addKeepingCommands(program, commands);
  addAccessCommands(program, commands);
  addExamples(program, programExamples);
  return program;
}

const programExamples = [
  "ociregistry serve --image-path ./cache",
  "ociregistry serve --config-file config.yaml --port 5000",
  "ociregistry config check --config-file config.yaml",
  "ociregistry serve --help",
];
