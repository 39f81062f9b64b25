/**
 * Mixed load with faults for as long as you like: registries that fall ill in turn, clients good and bad, reloads; and what the
 * server holds of the machine meanwhile, looked at again and again.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setInterval as everyMs } from "node:timers/promises";
import { lookUntil } from "../support/looking.ts";
import { readMetrics, startOurServer, temporaryFiles, type OurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { startSoakUpstreams, type SoakUpstreams } from "./soak-upstreams.ts";
import { SoakVisits, type SoakTally } from "./soak-visits.ts";

export interface SoakOptions {
  readonly durationMs: number;
  /** How long each illness lasts; every seventh time everybody is well instead. */
  readonly illnessMs: number;
  readonly sampleEveryMs: number;
  readonly onSample?: (sample: SoakSample) => void;
}

/** What the server holds at one moment. */
export interface SoakSample {
  readonly atMs: number;
  readonly residentBytes: number;
  /** Of these, what JavaScript uses, and the buffers beside it. */
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly openFiles: number;
  readonly threads: number;
  /** Files under the store's `tmp`: blobs on their way, and parts that wait to be gone on with. */
  readonly temporaryFiles: number;
  readonly fillsRunning: number;
  /** Pulls that failed and have not been made good yet. */
  readonly owed: number;
  /** Who is ill. */
  readonly illness: string;
}

export interface SoakResult extends SoakTally {
  readonly samples: readonly SoakSample[];
  /** Before the load, with everything hot held; and when everybody is well, all that was owed is paid, and the clients have gone. */
  readonly before: SoakSample;
  readonly after: SoakSample;
  readonly reloads: number;
  /** Lines of the server's log that told of a bug, or of work that failed in the background. */
  readonly complaints: readonly string[];
}

const reloadEveryMs = 5_000;
const tagsMoveEveryMs = 5_000;
/** Of one kind; beyond it the kind takes a rest. */
const visitsAtOnceMax = 64;
const payWithinMs = 120_000;
const quietWithinMs = 60_000;
const complaintsMax = 20;

/** Runs for so long, and then waits until it is quiet. */
export async function runSoak({ durationMs, illnessMs, sampleEveryMs, onSample }: SoakOptions): Promise<SoakResult> {
  await using folder = await temporaryFolder();
  await using upstreams = await startSoakUpstreams();
  const config = { tagTtl: "1s", logFile: join(folder.path, "log"), registries: upstreams.registries() };
  await using server = await startOurServer({ folder: folder.path, config });
  using visits = new SoakVisits(server, upstreams);
  await visits.warm();
  const startMs = performance.now();
  const over = AbortSignal.timeout(durationMs);
  const samples: SoakSample[] = [];
  let illness = "";
  let turns = 0;
  let reloads = 0;
  const look = (): Promise<SoakSample> => lookAt(server, { atMs: performance.now() - startMs, owed: visits.owedCount, illness });
  const before = await quiet(look, upstreams);

  await Promise.all([
    ...Object.entries(visits.perSecond).map(([kind, { rate }]) => visitAgainAndAgain(visits, kind, { rate, over })),
    repeat(illnessMs, over, async () => void (illness = turns++ % 7 === 6 ? await upstreams.recover() : await upstreams.nextTurn())).then(async () => {
      illness = await upstreams.recover();
      await upstreams.cutConnections(); // Nobody waits for what will never be answered.
    }),
    repeat(tagsMoveEveryMs, over, async () => upstreams.moveTags()),
    repeat(reloadEveryMs, over, async () => await reload(server, reloads++)),
    repeat(sampleEveryMs, over, async () => {
      const sample = await look();
      samples.push(sample);
      onSample?.(sample);
    }),
  ]);

  const deadlineMs = performance.now() + payWithinMs;
  while (visits.owedCount > 0 && performance.now() < deadlineMs) await visits.payOne();
  visits[Symbol.dispose]();
  const after = await quiet(look, upstreams, before);
  return { ...visits.tally(), samples, before, after, reloads, complaints: await complaintsIn(join(folder.path, "log")) };
}

/** Visits at a rate, whether or not those before have ended. Resolves when it is over and the last one has gone. */
async function visitAgainAndAgain(visits: SoakVisits, kind: string, { rate, over }: { rate: number; over: AbortSignal }): Promise<void> {
  const underWay = new Set<Promise<void>>();
  await repeat(1_000 / rate, over, async () => {
    if (underWay.size >= visitsAtOnceMax) return;
    const visit = visits.visit(kind);
    underWay.add(visit);
    void visit.then(() => underWay.delete(visit)); // Awaited below.
  });
  await Promise.all(underWay);
}

async function repeat(periodMs: number, over: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    for await (const _ of everyMs(periodMs, undefined, { signal: over })) await work();
  } catch (error) {
    if (!over.aborted) throw error;
  }
}

/** By a signal and by a change of the file, in turn. */
async function reload(server: OurServer, count: number): Promise<void> {
  if (count % 2 === 0) return server.process.signal("SIGHUP");
  const tagTtl = count % 4 === 1 ? "2s" : "1s";
  const file = server.configFile;
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, "utf8")) as object), tagTtl }));
}

/** When no download runs, and no more is open than before: idle connections to upstreams are cut first. */
async function quiet(look: () => Promise<SoakSample>, upstreams: SoakUpstreams, before?: SoakSample): Promise<SoakSample> {
  await lookUntil(look, ({ fillsRunning }) => fillsRunning === 0, { waitMs: quietWithinMs });
  await upstreams.cutConnections();
  return await lookUntil(look, ({ openFiles }) => openFiles <= (before?.openFiles ?? Infinity), { waitMs: before ? quietWithinMs : 0 });
}

async function lookAt(server: OurServer, known: Pick<SoakSample, "atMs" | "owed" | "illness">): Promise<SoakSample> {
  const [metric, temporary, residentBytes, openFiles, threads] = await Promise.all([
    readMetrics(server),
    temporaryFiles(server),
    server.process.residentBytes(),
    server.process.openFiles(),
    server.process.threads(),
  ]);
  const [heapBytes, externalBytes] = [metric("nodejs_heap_size_used_bytes"), metric("nodejs_external_memory_bytes")];
  const running = metric('ociregistry_fills{state="running"}');
  return { ...known, residentBytes, heapBytes, externalBytes, openFiles, threads, temporaryFiles: temporary.length, fillsRunning: running };
}

async function complaintsIn(logFile: string): Promise<readonly string[]> {
  const lines = (await readFile(logFile, "utf8")).split("\n");
  return lines.filter((line) => line.includes('"level":"error"') || line.includes("background work failed")).slice(0, complaintsMax);
}
