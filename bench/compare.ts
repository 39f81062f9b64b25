/**
 * `make bench`: us, docker-registry as a proxy and nginx on the same bytes, each measure taken from each in turn, five rounds in
 * one run, medians. `--rounds N` and `--seconds N` (of each wrk) make it shorter; `--peers` leaves us out.
 */
import { parseArgs } from "node:util";
import { findProgram } from "../test/support/programs.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { runHerd } from "../test/e2e/herd.ts";
import { coldBytes, largeBytes, startLine, startNginx, startOrigin, startOurs, startProxy, type Contender, type Content } from "./contenders.ts";
import { bytesPerSecond, downloadMs, requestsPerSecond, warmUp } from "./measures.ts";
import { Results, type MeasureUnit } from "./results.ts";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" }, peers: { type: "boolean", default: false } },
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const mebibyte = 1024 * 1024;
const perSecond = { unit: "requests/s", decimals: 0 };
const throughput = { unit: "MiB/s", decimals: 0 };
const multiple = { unit: "times", decimals: 2, lessIsBetter: true };
const memory = { unit: "MiB", decimals: 0, lessIsBetter: true };

const missing = ["docker-registry", "nginx", "wrk", "curl"].filter((program) => !findProgram(program));
if (missing.length > 0) throw new Error(`not installed here: ${missing.join(", ")}`);

await using folder = await temporaryFolder();
const { origin, content } = await startOrigin(folder.path, { coldBlobs: rounds });
await using disposables = new AsyncDisposableStack();
disposables.use(origin);
const line = disposables.use(await startLine(origin, { bytesPerSecond: 100 * mebibyte }));
const contenders: Contender[] = [];
for (const start of [...(options.peers ? [] : [startOurs]), startProxy]) contenders.push(disposables.use(await start(folder.path, line)));
contenders.push(disposables.use(await startNginx(folder.path, content)));

const results = new Results();
await measureMemory("resident, just started");
await holdEverything(content);
for (let round = 0; round < rounds; round++) {
  console.error(`round ${round + 1} of ${rounds}`);
  await measureCold(content, round);
  for (const measure of warmMeasures(content)) {
    for (const { name, base } of contenders) results.add(measure.name, measure.unit, name, await measure.take(base));
  }
}
await measureMemory("resident, at the end");
console.log(
  `\nMedians of ${rounds}, interleaved; "x" is how many times better we are. nginx serves plain files with sendfile. One process each; ours and nginx write a line for each request.\n`,
);
console.log(results.table(contenders.map(({ name }) => name)));
if (!options.peers) await reportHerd();

/** Everything that is measured warm is fetched once before. */
async function holdEverything({ small, large }: Content): Promise<void> {
  for (const { base } of contenders) {
    await warmUp(`${base}/manifests/1`);
    await warmUp(`${base}/blobs/${small}`);
    for (let again = 0; again < 2; again++) await downloadMs(`${base}/blobs/${large}`, largeBytes);
  }
}

interface Measure {
  readonly name: string;
  readonly unit: MeasureUnit;
  readonly take: (base: string) => Promise<number>;
}

/** What is asked of everybody in turn. */
function warmMeasures({ image, small, large }: Content): readonly Measure[] {
  const requests = (name: string, path: string, connections: number): Measure => ({
    name: `${name}, ${plural(connections)}`,
    unit: perSecond,
    take: (base) => requestsPerSecond(`${base}/${path}`, { connections, seconds }),
  });
  const download = (connections: number): Measure => ({
    name: `blob of 256 MiB, ${plural(connections)}`,
    unit: throughput,
    take: async (base) => (await bytesPerSecond(`${base}/blobs/${large}`, { connections, sizeBytes: largeBytes })) / mebibyte,
  });
  return [
    requests("manifest by tag", "manifests/1", 8),
    requests("manifest by digest", `manifests/${image.manifest.descriptor.digest}`, 8),
    ...[1, 8].flatMap((connections) => [requests("blob of 20 kB", `blobs/${small}`, connections), download(connections)]),
  ];
}

/** One blob that only the origin has seen, straight over the line first, then through each proxy. */
async function measureCold({ cold }: Content, round: number): Promise<void> {
  const path = `blobs/${cold[round] ?? ""}`;
  const direct = await downloadMs(`${line.base}/${path}`, coldBytes);
  for (const { name, base } of contenders.filter((contender) => contender.name !== "nginx")) {
    results.add("cold blob of 64 MiB, over a line of 100 MiB/s, direct = 1", multiple, name, (await downloadMs(`${base}/${path}`, coldBytes)) / direct);
  }
}

async function measureMemory(when: string): Promise<void> {
  for (const { name, process } of contenders) results.add(when, memory, name, (await process.residentBytes()) / mebibyte);
}

async function reportHerd(): Promise<void> {
  const herd = await runHerd({
    blobBytes: largeBytes,
    clients: 50,
    upstreamBytesPerSecond: 25 * mebibyte,
    joiningAtHalf: 8,
    joiningAtEnd: 4,
    throughOther: 10,
  });
  console.log(`\nHerd of 50 on one cold blob of 256 MiB, upstream at 25 MiB/s: ${JSON.stringify(herd, undefined, 2)}`);
}

function plural(connections: number): string {
  return connections === 1 ? "1 connection" : `${connections} connections`;
}
