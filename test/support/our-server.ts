/** Our own program as a real process: `node src/main.ts serve`, on a free port, with a configuration of the test's. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../../src/oci/errno.ts";
import { followFile, type FollowedFile } from "./followed-file.ts";
import { startProcess, type RunningProcess, type StartOptions } from "./processes.ts";

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
  /** Like in a container: its process ids are its own. `process` is then what started it; takes root, and `unshare`. */
  readonly ownProcessIds?: boolean;
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
export async function startOurServer({
  folder,
  config = {},
  env = {},
  through = [],
  nodeArgs = [],
  nameServer,
  ownProcessIds = false,
}: OurServerOptions): Promise<OurServer> {
  const imagePath = typeof config["imagePath"] === "string" ? config["imagePath"] : join(folder, "store");
  const logFile = typeof config["logFile"] === "string" ? await followFile(config["logFile"]) : undefined;
  const configFile = join(folder, "config.yaml");
  await writeFile(configFile, JSON.stringify({ host: "127.0.0.1", port: 0, logFormat: "json", ...config, imagePath })); // JSON is YAML.
  const command = [...through, join(root, "node_modules", ".bin", "node"), ...nodeArgs, join(root, "src", "main.ts"), "serve", "--config-file", configFile];
  const inPlace = ownProcessIds ? ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", ...command] : command;
  const [program = "", ...args] = nameServer === undefined ? inPlace : await withNameServer(folder, nameServer, inPlace);
  const running = await startProcess({
    command: program,
    args,
    env: { ...withoutOurVariables(), ...env },
    ...(logFile ? {} : { ready: { output: listening } }),
  });
  const port = portIn(logFile ? await listeningIn(logFile, running) : listening.exec(running.output));
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

/** The log line's contract: it carries `host` and `port`. */
const listening = /^.*"msg":"listening".*\n/m;
const readyMs = 30_000;

async function listeningIn(logFile: FollowedFile, running: RunningProcess): Promise<RegExpExecArray> {
  const ending = new AbortController();
  void running.ended.then(() => ending.abort(new Error(`it ended before it listened; it said:\n${running.output}`))); // Never rejects.
  try {
    return await logFile.waitFor(listening, { signal: AbortSignal.any([ending.signal, AbortSignal.timeout(readyMs)]) });
  } catch (error) {
    await running.kill("SIGKILL");
    throw error;
  }
}

function portIn(line: RegExpExecArray | null): number {
  const { port } = JSON.parse(line?.[0] ?? "{}") as { port: number };
  return port;
}

/** Its metrics: the result gives the value of a sample, as `ociregistry_fills{state="running"}`. */
export async function readMetrics({ url }: OurServer): Promise<(sample: string) => number> {
  const page = await (await fetch(`${url}/metrics`, { headers: { connection: "close" } })).text();
  const values = new Map(page.split("\n").map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
  return (sample) => values.get(sample) ?? NaN;
}

/** Downloads that it has under way, until their files are where they belong; by its metrics. */
export async function fillsRunning(server: OurServer): Promise<number> {
  const metric = await readMetrics(server);
  return metric('ociregistry_fills{state="running"}') + metric('ociregistry_fills{state="publishing"}');
}

/** Names of the files that it, or another process, has under the store's `tmp`. */
export async function temporaryFiles({ imagePath }: OurServer): Promise<readonly string[]> {
  try {
    const entries = await readdir(join(imagePath, "tmp"), { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return []; // Nothing was ever written; or a folder went while it was looked through.
    throw error;
  }
}

/** The same command where /etc/resolv.conf is another: in a mount namespace of its own. It keeps its process id. */
async function withNameServer(folder: string, address: string, command: readonly string[]): Promise<readonly string[]> {
  const file = join(folder, "resolv.conf");
  await writeFile(file, `nameserver ${address}\n`);
  return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', file, ...command];
}

/** What the machine's environment says about us is not for tests. */
export function withoutOurVariables(): Record<string, undefined> {
  return Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => name.startsWith("OCIREGISTRY_"))
      .map((name) => [name, undefined]),
  );
}
