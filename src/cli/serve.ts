/** `ociregistry serve`: from a configuration to a running server, and back when a signal says so. */
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { findExposed } from "../config/exposed-files.ts";
import { configFileOf, loadConfig } from "../config/load.ts";
import { findMissing } from "../config/named-files.ts";
import { systemClock, type Clock } from "../oci/clock.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { ConfigWatch } from "./config-watch.ts";

/** The running parts, as far as a command steers them. */
export interface ServedProgram {
  /** Resolves, to why, when somebody asks it to stop who is no signal. */
  readonly stopAsked: Promise<string>;
  /** Reads the configuration again and takes it over whole or not at all; logs which, and why. Reopens the log file. Never rejects. */
  reload(reason: string): Promise<void>;
  /** Drains. Resolves when everything has ended. */
  stop(reason: string): Promise<void>;
}

export interface StartOptions {
  readonly config: Config;
  /** What the configuration says now. Rejects with `ConfigError`. */
  reload(): Promise<Config>;
  readonly environment: NodeJS.ProcessEnv;
}

export interface ServeOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  readonly start?: (options: StartOptions) => Promise<ServedProgram>;
  readonly clock?: Clock;
}

/** Resolves when a first SIGTERM or SIGINT, or an administrator's word, has been followed to its end; a second ends the process at once. Throws `ConfigError`. */
export async function serve({ flags, io, start = startWhole, clock = systemClock }: ServeOptions): Promise<number> {
  const { environment } = io;
  const load = async () => {
    const loaded = await loadConfig({ environment, flags });
    const missing = await findMissing(loaded.config, environment);
    if (missing.length > 0) throw new ConfigError(missing);
    return loaded;
  };
  const reloads = new Reloads();
  const configFile = configFileOf({ environment, flags });
  const watch = configFile === undefined ? undefined : new ConfigWatch({ path: configFile, clock, onChange: () => reloads.ask(`${configFile} changed`) });
  await watch?.remember();
  const loaded = await load();
  const { config, notices } = loaded;
  for (const notice of notices) io.writeError(`ociregistry: notice: ${notice}\n`);
  for (const warning of await findExposed(loaded)) io.writeError(`ociregistry: warning: ${warning}\n`);

  const stopped = stopSignal(io);
  const forgetHangup = io.onSignal("SIGHUP", () => reloads.ask("SIGHUP"));
  const program = await start({ config, reload: async () => (await load()).config, environment });
  reloads.begin(program);
  watch?.start();

  const reason = await Promise.race([stopped, program.stopAsked]);
  // With its sockets closed nothing else keeps the process: it would end, as failed, in the middle of a wait.
  const hold = setInterval(() => {}, 60_000);
  forgetHangup();
  await watch?.stop();
  await reloads.settled();
  await program.stop(reason);
  clearInterval(hold);
  return exitCodes.done;
}

/** The first signal to stop. From then on, another one ends the process at once. */
function stopSignal(io: CommandIo): Promise<string> {
  return new Promise((resolve) => {
    let isFirst = true;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      io.onSignal(signal, () => {
        if (!isFirst) io.exit(exitCodes.failed);
        isFirst = false;
        resolve(signal);
      });
    }
  });
}

/** One reload at a time; what is asked for while one runs, or before there is a program, follows once. */
class Reloads {
  #program: ServedProgram | undefined;
  #next: string | undefined;
  #running: Promise<void> | undefined;

  begin(program: ServedProgram): void {
    this.#program = program;
    if (this.#next !== undefined) this.ask(this.#next);
  }

  ask(reason: string): void {
    this.#next = reason;
    if (this.#program) this.#running ??= this.#run(this.#program);
  }

  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(program: ServedProgram): Promise<void> {
    while (this.#next !== undefined) {
      const reason = this.#next;
      this.#next = undefined;
      await program.reload(reason);
    }
    this.#running = undefined;
  }
}

/** Imported when it is needed: nothing else here takes the whole program to load. */
async function startWhole(options: StartOptions): Promise<ServedProgram> {
  const { startProgram } = await import("../wiring.ts");
  return startProgram(options);
}
