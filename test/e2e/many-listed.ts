/**
 * Commands that look at everything in a store of many manifests, beside a server that answers from it: how soon they say something, how
 * long they take, what memory they need, and how long the server's answers take meanwhile.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startOurServer } from "../support/our-server.ts";
import { startModestClient, timesWithin, type Times } from "../support/modest-client.ts";
import { plantStore } from "../support/planted-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface ListedOptions {
  readonly manifests: number;
  /** Of these, how many in one repository; the others are spread over small ones. */
  readonly inOneRepository: number;
  /** Command lines of ours, without `--image-path`. `LIST` in one is a file that names every tag of the large repository. */
  readonly commands: readonly string[];
  /** How long the server is watched alone. */
  readonly calmMs: number;
  readonly perSecond: number;
}

export interface ListedCommand {
  readonly command: string;
  readonly code: number;
  readonly lines: number;
  /** To the first byte of the result, or of what is said beside it, from the start of the process. */
  readonly firstMs: number;
  readonly tookMs: number;
  /** The most that it ever had resident. */
  readonly peakBytes: number;
  /** What a client of the server saw while it ran. */
  readonly meanwhile: Times;
}

export interface ListedResult {
  readonly calm: Times;
  readonly commands: readonly ListedCommand[];
}

const host = "registry.example";
const perSmallRepository = 50;
const warmMs = 2_000;
const lookEveryMs = 20;
const saidCharsMax = 10_000;

/** Plants the store, starts the server, and runs the commands one after the other. */
export async function runListed({ manifests, inOneRepository, commands, calmMs, perSecond }: ListedOptions): Promise<ListedResult> {
  await using folder = await temporaryFolder();
  const others = Math.ceil((manifests - inOneRepository) / perSmallRepository);
  const small = Array.from({ length: others }, (_, number): [string, number] => [`team/small-${number}`, perSmallRepository]);
  const root = join(folder.path, "store");
  const { first } = plantStore(root, { host, repositories: { "team/large": inOneRepository, ...Object.fromEntries(small) } });
  const config = { airGapped: true, registries: [{ name: host }], logFile: join(folder.path, "log") };
  await using server = await startOurServer({ folder: folder.path, config });
  const client = { url: `${server.url}/v2/${host}/team/large/manifests/${first.tag}`, perSecond };
  await timesWithin(warmMs, client);
  const calm = await timesWithin(calmMs, client);
  const list = join(folder.path, "images.txt");
  await writeFile(
    list,
    tagsOf(inOneRepository)
      .map((tag) => `${host}/team/large:${tag}\n`)
      .join(""),
  );
  const ran: ListedCommand[] = [];
  for (const command of commands) {
    await using asking = startModestClient(client);
    const words = command.split(" ").map((word) => (word === "LIST" ? list : word));
    const result = await runWatched([...words, "--image-path", root, "--log-level", "error"]);
    ran.push({ command, ...result, meanwhile: await asking.stop() });
  }
  return { calm, commands: ran };
}

/** Those that a planted repository has: every tenth manifest has none. */
function tagsOf(manifests: number): readonly string[] {
  return Array.from({ length: manifests }, (_, number) => number).flatMap((number) => (number % 10 === 1 ? [] : [`t${number}`]));
}

async function runWatched(args: readonly string[]): Promise<Omit<ListedCommand, "command" | "meanwhile">> {
  const startMs = performance.now();
  const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let lines = 0;
  let firstMs = NaN;
  let peakBytes = 0;
  const onFirst = (): void => {
    if (Number.isNaN(firstMs)) firstMs = performance.now() - startMs;
  };
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => {
    onFirst();
    said = (said + bytes.toString()).slice(-saidCharsMax);
  });
  child.stdout.on("data", (bytes: Buffer) => {
    onFirst();
    lines += bytes.toString("latin1").split("\n").length - 1;
  });
  // The system keeps the peak as long as the process is there, and tells nobody when it grows.
  const timer = setInterval(() => {
    readPeak(child.pid ?? 0).then(
      (bytes) => (peakBytes = Math.max(peakBytes, bytes)),
      () => {}, // It has just ended.
    );
  }, lookEveryMs);
  const [code] = (await once(child, "close")) as [number]; // It is not killed.
  clearInterval(timer);
  if (lines === 0) throw new Error(`${args.join(" ")}: no result; it said:\n${said}`);
  return { code, lines, firstMs, tookMs: performance.now() - startMs, peakBytes };
}

async function readPeak(pid: number): Promise<number> {
  const [, kibibytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kibibytes) * 1024;
}
