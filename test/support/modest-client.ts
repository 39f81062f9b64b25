/**
 * ModestClient: a process of its own that asks for one URL so many times a second and times each answer, so that neither its own load
 * nor that of whoever runs the test is what is measured. `node modest-client.ts URL PER-SECOND HEADERS` prints the times when its input ends.
 */
import { once } from "node:events";
import { Agent, request } from "node:http";
import { spawn } from "node:child_process";
import { join } from "node:path";

export interface Times {
  readonly answers: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly worstMs: number;
}

export interface ModestClient extends AsyncDisposable {
  /** Ends it, and tells how long its answers took. Rejects when one of them was no 200. */
  stop(): Promise<Times>;
}

export interface ModestClientOptions {
  readonly url: string;
  readonly perSecond: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const socketsMax = 32;

/** Starts one. Where we may, it goes before others that wait for the processor: what waits there is not what is measured. */
export function startModestClient({ url, perSecond, headers = {} }: ModestClientOptions): ModestClient {
  const node = [process.execPath, import.meta.filename, url, String(perSecond), JSON.stringify(headers)];
  const [command = "", ...args] = process.getuid?.() === 0 ? ["nice", "-n", "-15", ...node] : node;
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], cwd: join(import.meta.dirname, "..", "..") });
  let output = "";
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  const ended = once(child, "close");
  return {
    async stop() {
      child.stdin.end();
      await ended;
      const { failure, ...times } = JSON.parse(output) as Times & { readonly failure: string | null }; // Our own last line below.
      if (failure !== null) throw new Error(`${url}: ${failure}`);
      return times;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** For so long, and no longer. */
export async function timesWithin(durationMs: number, options: ModestClientOptions): Promise<Times> {
  await using client = startModestClient(options);
  await new Promise((resolve) => setTimeout(resolve, durationMs));
  return await client.stop();
}

if (import.meta.main) await askOn(process.argv[2] ?? "", Number(process.argv[3]), JSON.parse(process.argv[4] ?? "{}") as Record<string, string>); // Our own words above.

async function askOn(url: string, perSecond: number, headers: Readonly<Record<string, string>>): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax });
  const times: number[] = [];
  const running = new Set<Promise<void>>();
  let failure: string | null = null;
  const ask = (): Promise<void> =>
    new Promise((resolve) => {
      const startMs = performance.now();
      const fail = (error: Error): void => {
        failure ??= error.message;
        resolve();
      };
      const asked = request(url, { agent, headers }, (answer) => {
        if (answer.statusCode !== 200) failure ??= `answered ${answer.statusCode}`;
        answer.once("error", fail).resume();
        answer.once("end", () => {
          times.push(performance.now() - startMs);
          resolve();
        });
      });
      asked.once("error", fail).end();
    });
  await ask(); // The connection, and what is compiled once.
  times.length = 0;
  const timer = setInterval(() => {
    const asking = ask().finally(() => running.delete(asking));
    running.add(asking);
  }, 1_000 / perSecond);
  process.stdin.resume();
  await once(process.stdin, "end");
  clearInterval(timer);
  await Promise.all(running);
  agent.destroy();
  const sorted = times.toSorted((one, other) => one - other);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  console.log(JSON.stringify({ answers: sorted.length, medianMs: at(0.5), p99Ms: at(0.99), worstMs: at(1), failure }));
}
