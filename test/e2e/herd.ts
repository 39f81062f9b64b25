/**
 * The herd: many clients want one cold blob at once. Some stall, some dawdle, some come late, some ask through another
 * repository. Measures what the upstream was asked for, and what each client got and when.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { startPull, type PullResult, type RunningPull } from "../support/raw-client.ts";
import { Throttle } from "../support/sending.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface HerdOptions {
  readonly blobBytes: number;
  /** In all, the odd ones included. */
  readonly clients: number;
  readonly upstreamBytesPerSecond: number;
  /** Of the clients: how many come when half of the blob has left the upstream, and when 99 % has. */
  readonly joiningAtHalf: number;
  readonly joiningAtEnd: number;
  /** Of the clients: how many ask through a second repository. */
  readonly throughOther: number;
}

export interface HerdResult {
  /** Body bytes that the upstream sent for the blob, as a multiple of its size. */
  readonly upstreamRatio: number;
  /** GETs of the blob that the upstream saw. */
  readonly blobRequests: number;
  /** Clients that got every byte right: the whole, or for the slow one what it had when the others were done. */
  readonly exactClients: number;
  /** The worst wait for a first byte, counted from the upstream's first byte or the client's own start, whichever was later. */
  readonly firstByteWorstMs: number;
  readonly upstreamMs: number;
  /** The slowest of the quick clients that were there from the start, as a multiple of the upstream's time. */
  readonly quickWorstRatio: number;
  readonly residentPeakBytes: number;
}

const stalledAfterBytes = 1024 * 1024;
const slowBytesPerSecond = 256 * 1024;

/** Runs one herd against a server and an upstream of its own. */
export async function runHerd({ blobBytes, clients, upstreamBytesPerSecond, joiningAtHalf, joiningAtEnd, throughOther }: HerdOptions): Promise<HerdResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const content = seededBytes(blobBytes, "herd");
  const digest = upstream.putBlob("team/app", content);
  upstream.putBlob("team/other", content);
  upstream.when({ kind: "blob" }, { bytesPerSecond: new Throttle({ bytesPerSecond: upstreamBytesPerSecond }) });
  await mkdir(join(folder.path, "server"));
  const config = { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  await using server = await startOurServer({ folder: join(folder.path, "server"), config });

  const started: { readonly pull: RunningPull; readonly startMs: number }[] = [];
  const start = (repository: string, odd: { stallAfterBytes?: number; bytesPerSecond?: number } = {}): RunningPull => {
    const startMs = performance.now();
    const pull = startPull({ host: server.host, path: `/v2/up/${repository}/blobs/${digest}`, expected: content, deadlineMs: 600_000, ...odd });
    started.push({ pull, startMs });
    return pull;
  };
  const beginMs = performance.now();
  const stalled = start("team/app", { stallAfterBytes: stalledAfterBytes });
  const slow = start("team/app", { bytesPerSecond: slowBytesPerSecond });
  const quickCount = clients - 2 - joiningAtHalf - joiningAtEnd;
  const quick = range(quickCount).map((at) => start(at < throughOther ? "team/other" : "team/app"));
  await upstream.waitForBytes(1);
  const upstreamFirstMs = performance.now();
  await upstream.waitFor(() => upstream.bytesSent.total >= blobBytes / 2, "half of the blob", { waitMs: 300_000 });
  const late = range(joiningAtHalf).map(() => start("team/app"));
  await upstream.waitFor(() => upstream.bytesSent.total >= blobBytes * 0.99, "99 % of the blob", { waitMs: 300_000 });
  late.push(...range(joiningAtEnd).map(() => start("team/app")));
  await upstream.waitFor(() => upstream.bytesSent.total >= blobBytes, "the whole blob", { waitMs: 300_000 });
  const upstreamMs = performance.now() - beginMs;

  const quickResults = await Promise.all(quick.map((pull) => pull.done));
  const lateResults = await Promise.all(late.map((pull) => pull.done));
  stalled.resume();
  const stalledResult = await stalled.done;
  slow.abort();
  const slowResult = await slow.done;
  const firstBytes = await Promise.all(started.map(async ({ pull, startMs }) => startMs + (await pull.done).firstByteMs - Math.max(startMs, upstreamFirstMs)));
  const isWhole = (result: PullResult): boolean => result.ending === "complete" && result.isExact && result.receivedBytes === blobBytes;
  return {
    upstreamRatio: upstream.bytesSent.total / blobBytes,
    blobRequests: upstream.requests.filter((line) => line.startsWith("GET ") && line.includes("/blobs/")).length,
    exactClients:
      [...quickResults, ...lateResults, stalledResult].filter(isWhole).length +
      (slowResult.isExact && slowResult.receivedBytes > 0 && slowResult.ending !== "cut" ? 1 : 0),
    firstByteWorstMs: Math.max(...firstBytes.map((ms) => (Number.isNaN(ms) ? Infinity : ms))),
    upstreamMs,
    quickWorstRatio: Math.max(...quickResults.map((result) => result.doneMs)) / upstreamMs,
    residentPeakBytes: await server.process.residentPeakBytes(),
  };
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, at) => at);
}
