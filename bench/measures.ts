/** How things are measured: small answers by wrk, large ones by curl, both cheap enough not to be what is measured. */
import { manifestAccept } from "../src/oci/media-types.ts";
import { runProcess } from "../test/support/processes.ts";

/** Requests a second, by wrk with one thread. Throws when any answer was not a success. */
export async function requestsPerSecond(
  url: string,
  { connections, seconds, headers = {} }: { connections: number; seconds: number; headers?: Readonly<Record<string, string>> },
): Promise<number> {
  const lines = Object.entries({ accept: manifestAccept, ...headers }).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const { stdout } = await succeed("wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, ...lines, url]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk ${url}:\n${stdout}`);
  return Number(/Requests\/sec:\s+([0-9.]+)/.exec(stdout)?.[1]);
}

/** Asks for a second, whatever is answered: a proxy may stumble over the first requests for what it does not hold. */
export async function warmUp(url: string): Promise<void> {
  await succeed("wrk", ["-t1", "-c1", "-d1s", "-H", `Accept: ${manifestAccept}`, url]);
}

/** Bytes a second of so many curls that read the same URL side by side, from the first's start to the last's end. */
export async function bytesPerSecond(url: string, { connections, sizeBytes }: { connections: number; sizeBytes: number }): Promise<number> {
  const startMs = performance.now();
  await Promise.all(Array.from({ length: connections }, () => download(url, sizeBytes)));
  return (connections * sizeBytes) / ((performance.now() - startMs) / 1000);
}

/** How long one download takes. */
export async function downloadMs(url: string, sizeBytes: number): Promise<number> {
  const startMs = performance.now();
  await download(url, sizeBytes);
  return performance.now() - startMs;
}

async function download(url: string, sizeBytes: number): Promise<void> {
  const { stdout } = await succeed("curl", ["-sS", "--fail", "-o", "/dev/null", "-w", "%{size_download}", url]);
  if (Number(stdout) !== sizeBytes) throw new Error(`curl ${url}: ${stdout} bytes of ${sizeBytes}`);
}

async function succeed(command: string, args: readonly string[]): Promise<{ stdout: string }> {
  const result = await runProcess(command, args, { deadlineMs: 120_000 });
  if (result.code !== 0) throw new Error(`${command} ${args.join(" ")}: exit code ${String(result.code)}\n${result.stderr}${result.stdout}`);
  return result;
}
