/** Our own program as a real process: `node src/main.ts serve`, on a free port, with a configuration of the test's. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, startProcess, type RunningProcess, type StartOptions } from "./processes.ts";

export interface OurServerOptions {
  /** Where its configuration and, unless told otherwise, its store lie; must exist. */
  readonly folder: string;
  /** Keys of config.yaml. `imagePath`, `host` and `port` have defaults for tests. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: StartOptions["env"];
  /** A program that becomes the server, keeping its process id, when these words are put before its command: `setpriv --reuid 1`. */
  readonly through?: readonly string[];
  /** Options for Node itself. */
  readonly nodeArgs?: readonly string[];
  /** The only name server that it knows, at port 53. Takes root, and `unshare`. */
  readonly nameServer?: string;
}

export interface OurServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Its store. */
  readonly imagePath: string;
  readonly configFile: string;
  readonly process: RunningProcess;
}

const root = join(import.meta.dirname, "..", "..");

/** Starts it and waits until it listens. With `logFile` its output is not read here, and costs us nothing. */
export async function startOurServer({ folder, config = {}, env = {}, through = [], nodeArgs = [], nameServer }: OurServerOptions): Promise<OurServer> {
  const imagePath = typeof config["imagePath"] === "string" ? config["imagePath"] : join(folder, "store");
  const logsToFile = config["logFile"] !== undefined;
  const configFile = join(folder, "config.yaml");
  const fixedPort = typeof config["port"] === "number" && config["port"] > 0 ? config["port"] : logsToFile ? await freePort() : 0;
  await writeFile(configFile, JSON.stringify({ host: "127.0.0.1", logFormat: "json", ...config, port: fixedPort, imagePath })); // JSON is YAML.
  const command = [...through, join(root, "node_modules", ".bin", "node"), ...nodeArgs, join(root, "src", "main.ts"), "serve", "--config-file", configFile];
  const [program = "", ...args] = nameServer === undefined ? command : await withNameServer(folder, nameServer, command);
  const running = await startProcess({
    command: program,
    args,
    env: { ...withoutOurVariables(), ...env },
    ready: logsToFile ? { port: fixedPort } : { output: /"msg":"listening".*\n/ },
  });
  const port = logsToFile ? fixedPort : portOf(running.output);
  return {
    host: `127.0.0.1:${port}`,
    port,
    url: `http://127.0.0.1:${port}`,
    imagePath,
    configFile,
    process: running,
    [Symbol.asyncDispose]: () => running.kill(),
  };
}

/** The same command where /etc/resolv.conf is another: in a mount namespace of its own. It keeps its process id. */
async function withNameServer(folder: string, address: string, command: readonly string[]): Promise<readonly string[]> {
  const file = join(folder, "resolv.conf");
  await writeFile(file, `nameserver ${address}\n`);
  return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', file, ...command];
}

/** The port in the line that says `listening`. */
function portOf(output: string): number {
  const line = output.split("\n").find((text) => text.includes('"msg":"listening"')) ?? "{}";
  const { port } = JSON.parse(line) as { port: number }; // The log line's contract: it carries `host` and `port`.
  return port;
}

/** What the machine's environment says about us is not for tests. */
function withoutOurVariables(): Record<string, undefined> {
  return Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => name.startsWith("OCIREGISTRY_"))
      .map((name) => [name, undefined]),
  );
}
