import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { serve, type ServedProgram, type StartOptions } from "../../src/cli/serve.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { CapturedIo } from "./captured-io.ts";

/** Stands for the running parts: keeps what it is told, and waits to be let go on. */
class RecordedProgram implements ServedProgram {
  readonly told: string[] = [];
  readonly options: StartOptions;
  /** Awaited by each reload and stop before it ends. */
  gate: Promise<void> = Promise.resolve();
  readonly #stopAsked = Promise.withResolvers<string>();
  readonly stopAsked = this.#stopAsked.promise;
  /** As an administrator does. */
  readonly askToStop = this.#stopAsked.resolve;
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor(options: StartOptions) {
    this.options = options;
  }

  async reload(reason: string): Promise<void> {
    this.#tell(`reload: ${reason}`);
    await this.gate;
  }

  async stop(reason: string): Promise<void> {
    this.#tell(`stop: ${reason}`);
    await this.gate;
  }

  /** Resolves as soon as it was told `count` things. */
  whenTold(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { count, resolve };
    this.#check();
    return promise;
  }

  #tell(what: string): void {
    this.told.push(what);
    this.#check();
  }

  #check(): void {
    if (this.#waiting && this.told.length >= this.#waiting.count) this.#waiting.resolve();
  }
}

async function started(flags: Record<string, string>, environment: Record<string, string> = {}, clock = new TestClock()) {
  const io = new CapturedIo(environment);
  const { promise, resolve } = Promise.withResolvers<RecordedProgram>();
  const code = serve({
    flags: new Map(Object.entries(flags)),
    io,
    clock,
    async start(options) {
      const program = new RecordedProgram(options);
      resolve(program);
      return program;
    },
  });
  const program = await Promise.race([promise, code.then(() => Promise.reject(new Error("it ended before it began")))]);
  return { io, code, program, clock };
}

describe("serve", () => {
  test("hands the configuration to the program, and stops it at SIGTERM with 0", async () => {
    const { io, code, program } = await started({ port: "0", imagePath: "/x" }, { OCIREGISTRY_HELLO_WORLD: "true" });
    expect(program.options.config).toMatchObject({ port: 0, imagePath: "/x", helloWorld: true });
    io.send("SIGTERM");
    expect(await code).toBe(0);
    expect(program.told).toEqual(["stop: SIGTERM"]);
    expect({ out: io.out, errors: io.errors, exits: io.exits }).toEqual({ out: "", errors: "", exits: [] });
  });

  test("stops likewise when an administrator has asked for it", async () => {
    const { code, program } = await started({});
    program.askToStop("somebody said so");
    expect(await code).toBe(0);
    expect(program.told).toEqual(["stop: somebody said so"]);
  });

  test("a second signal while it drains ends the process at once with 1", async () => {
    const { io, code, program } = await started({});
    const { promise, resolve } = Promise.withResolvers<void>();
    program.gate = promise;
    io.send("SIGINT");
    await program.whenTold(1);
    expect(io.exits).toEqual([]);
    io.send("SIGTERM");
    expect(io.exits).toEqual([1]);
    resolve();
    await code;
  });

  test("SIGHUP reloads, one at a time, and what comes meanwhile is one reload more", async () => {
    const { io, code, program } = await started({});
    const { promise, resolve } = Promise.withResolvers<void>();
    program.gate = promise;
    io.send("SIGHUP");
    await program.whenTold(1);
    io.send("SIGHUP");
    io.send("SIGHUP");
    expect(program.told).toEqual(["reload: SIGHUP"]);
    resolve();
    await program.whenTold(2);
    io.send("SIGTERM");
    await code;
    expect(program.told).toEqual(["reload: SIGHUP", "reload: SIGHUP", "stop: SIGTERM"]);
    expect(io.listening("SIGHUP")).toBe(0);
  });

  test("a signal that comes while it starts is followed when it has started", async () => {
    const io = new CapturedIo();
    let program: RecordedProgram | undefined;
    const code = serve({
      flags: new Map(),
      io,
      async start(options) {
        io.send("SIGHUP");
        io.send("SIGTERM");
        program = new RecordedProgram(options);
        return program;
      },
    });
    expect(await code).toBe(0);
    expect(program?.told).toEqual(["reload: SIGHUP", "stop: SIGTERM"]);
  });

  test("what a file, certificate or variable named is not there: it does not start", async () => {
    const io = new CapturedIo();
    await using folder = await temporaryFolder();
    const configFile = join(folder.path, "config.yaml");
    await writeFile(configFile, "registries: [{ name: a.b, tls: { ca: /nowhere/ca.pem }, auth: { user: u, passwordFromEnv: NOBODY } }]\n");
    const failed = serve({ flags: new Map([["configFile", configFile]]), io, start: () => Promise.reject(new Error("it started")) });
    await expect(failed).rejects.toThrow(ConfigError);
    await expect(failed).rejects.toThrow(/cannot read \/nowhere\/ca\.pem.*the environment has no NOBODY/);
  });

  test("a changed file is reloaded: what the program then reads is new, or an error", async () => {
    await using folder = await temporaryFolder();
    const configFile = join(folder.path, "config.yaml");
    await writeFile(configFile, "defaultNs: a.b\n");
    const { io, code, program, clock } = await started({ configFile });
    await writeFile(configFile, "defaultNs: c.d\n");
    await clockUntil(clock, program.whenTold(1));
    expect(program.told).toEqual([`reload: ${configFile} changed`]);
    expect(await program.options.reload()).toMatchObject({ defaultNs: "c.d" });
    await writeFile(configFile, "defaultNs: [\n");
    await clockUntil(clock, program.whenTold(2));
    await expect(program.options.reload()).rejects.toThrow(/config\.yaml:\d+: not YAML/);
    io.send("SIGTERM");
    await code;
  });

  test("Kubernetes' swap of a symlink beside the file is a change", async () => {
    await using folder = await temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    await symlink("v1", at("..data"));
    await Promise.all([writeVersion(at("v1"), "defaultNs: a.b\n"), writeVersion(at("v2"), "defaultNs: c.d\n")]);
    await symlink("..data/config.yaml", at("config.yaml"));
    const { io, code, program, clock } = await started({ configFile: at("config.yaml") });
    await symlink("v2", at("..data_tmp"));
    await rename(at("..data_tmp"), at("..data"));
    await clockUntil(clock, program.whenTold(1));
    expect(await program.options.reload()).toMatchObject({ defaultNs: "c.d" });
    io.send("SIGTERM");
    await code;
  });
});

/** Lets the clock run, a settling time at a time, until `condition` holds. */
async function clockUntil(clock: TestClock, condition: Promise<void>): Promise<void> {
  let isMet = false;
  const noted = condition.then(() => {
    isMet = true;
  });
  while (!isMet) await clock.advance(100);
  await noted;
}

async function writeVersion(folder: string, text: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, "config.yaml"), text);
}
