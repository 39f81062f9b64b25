/** `make prove`: the proofs that take minutes. Each prints what it measured and what it had to be; the exit code says whether all held. */
import { randomInt } from "node:crypto";
import { runLeavingClients } from "../test/e2e/clients-that-leave.ts";
import { imagesPerArchive, killArchiveLoads } from "../test/e2e/archive-kills.ts";
import { runAgreement } from "../test/e2e/agreement.ts";
import { runAirGap } from "../test/e2e/air-gap.ts";
import { abandonHugeFills, runCrowd } from "../test/e2e/crowds.ts";
import { runDeadResolver, runFastFills } from "../test/e2e/busy.ts";
import { compareHeld, type Down } from "../test/e2e/cached-without-credentials.ts";
import { compareKinds, runAwayDirectory, runGuessers, type DirectoryFault } from "../test/e2e/guarded-pulls.ts";
import { runKilledLoads } from "../test/e2e/killed-loads.ts";
import { runQuickLoads } from "../test/e2e/quick-loads.ts";
import { runEvictionCrowd } from "../test/e2e/eviction-crowd.ts";
import { runHerd } from "../test/e2e/herd.ts";
import { killInMidFill } from "../test/e2e/kill-in-mid-fill.ts";
import { killImports } from "../test/e2e/killed-imports.ts";
import { killRecords } from "../test/e2e/killed-records.ts";
import { killPrunes, prunedPerRound } from "../test/e2e/killed-prunes.ts";
import { knownNameWays, nameWays, networkWays } from "../test/e2e/outage-ways.ts";
import { runOutages, type OutagesResult } from "../test/e2e/outages-in-time.ts";
import { runRangeStorm } from "../test/e2e/range-storm.ts";
import { runRollingRestart } from "../test/e2e/rolling-restart.ts";
import { runListed } from "../test/e2e/many-listed.ts";
import { runManyManifests } from "../test/e2e/many-manifests.ts";
import { parsers } from "../test/fuzz/parsers.ts";
import type { Times } from "../test/support/modest-client.ts";
import { runSilentServer, silentArrivedBytes, silentBlobBytes } from "../test/e2e/silent-server.ts";
import { compareWatched, timePages } from "../test/e2e/watched-pages.ts";
import { runSoak, type SoakSample } from "../test/e2e/soak.ts";
import { createTestAuthority } from "../test/support/certificates.ts";
import { startFakeDns } from "../test/support/fake-dns.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { requestsPerSecond } from "./measures.ts";
import { tryDefences } from "./threats.ts";

interface Claim {
  readonly what: string;
  readonly measured: string | number;
  readonly holds: boolean;
}

const mebibyte = 1024 * 1024;
const proofs: Readonly<Record<string, () => Promise<readonly Claim[]> | AsyncIterable<Claim>>> = {
  herd: proveHerd,
  ranges: proveRanges,
  kills: proveKills,
  leaving: proveLeaving,
  outages: proveOutages,
  hostile: proveHostile,
  rolling: proveRolling,
  silence: proveSilence,
  soak: proveSoak,
  fuzz: proveFuzz,
  many: proveMany,
  holdings: proveHoldings,
  verify: proveVerify,
  busy: proveBusy,
  credentials: proveCredentials,
  threats: proveThreats,
  access: proveAccess,
  guarded: proveGuarded,
  archives: proveArchives,
  "air-gap": proveAirGap,
  "killed-imports": proveKilledImports,
  load: proveLoad,
  "killed-loads": proveKilledLoads,
  "killed-prunes": proveKilledPrunes,
  "killed-records": proveKilledRecords,
  eviction: proveEviction,
  pages: provePages,
};
const fuzzedInputs = 30_000;
const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in proofs));
if (unknown.length > 0) {
  console.error(`no proof is called ${unknown.join(", ")}; there are: ${Object.keys(proofs).join(" ")}`);
  process.exit(2);
}
let broken = 0;

for (const [name, prove] of Object.entries(proofs)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  console.log(`\n${name}`);
  for await (const { what, measured, holds } of await prove()) {
    if (!holds) broken++;
    console.log(`  ${holds ? "holds " : "BROKEN"}  ${what}: ${measured}`);
  }
}
console.log(broken === 0 ? "\nall hold" : `\n${broken} broken`);
process.exitCode = broken === 0 ? 0 : 1;

async function proveArchives(): Promise<readonly Claim[]> {
  const rounds = 50;
  const kills = await killArchiveLoads({ rounds, random: Math.random });
  return [
    { what: "loads of archives that were running when they were killed, at least 35 of 50", measured: kills.killed, holds: kills.killed >= 35 },
    { what: "looks at images while loads ran or were killed", measured: kills.wholeLooks, holds: kills.wholeLooks > 0 },
    { what: "images seen that were not whole and exact, 0", measured: kills.halves.length, holds: kills.halves.length === 0 },
    { what: "images served after second runs, 150", measured: kills.servedAtEnd, holds: kills.servedAtEnd === rounds * imagesPerArchive },
    { what: "temporary files that stay, 0", measured: kills.leftovers.length, holds: kills.leftovers.length === 0 },
  ];
}

async function proveHerd(): Promise<readonly Claim[]> {
  const herd = await runHerd({
    blobBytes: 256 * mebibyte,
    clients: 50,
    upstreamBytesPerSecond: 25 * mebibyte,
    joiningAtHalf: 8,
    joiningAtEnd: 4,
    throughOther: 10,
  });
  return [
    { what: "upstream bytes / blob bytes, 1.00", measured: herd.upstreamRatio.toFixed(4), holds: herd.upstreamRatio <= 1.005 },
    { what: "GETs of the blob, 1", measured: herd.blobRequests, holds: herd.blobRequests === 1 },
    { what: "clients with exact bytes, 50", measured: herd.exactClients, holds: herd.exactClients === 50 },
    { what: "worst first byte after the upstream's, at most 500 ms", measured: Math.round(herd.firstByteWorstMs), holds: herd.firstByteWorstMs <= 500 },
    { what: "slowest quick client / upstream's time, at most 1.10", measured: herd.quickWorstRatio.toFixed(3), holds: herd.quickWorstRatio <= 1.1 },
    { what: "most resident memory, under 250 MiB", measured: Math.round(herd.residentPeakBytes / mebibyte), holds: herd.residentPeakBytes < 250 * mebibyte },
  ];
}

async function proveRanges(): Promise<readonly Claim[]> {
  const storm = await runRangeStorm({ blobBytes: 256 * mebibyte, partBytes: 8 * mebibyte, clients: 50, atOnce: 4, upstreamBytesPerSecond: 50 * mebibyte });
  return [
    { what: "clients with exact parts, 50", measured: storm.exactClients, holds: storm.exactClients === 50 },
    { what: "upstream bytes / blob bytes, at most 1.10", measured: storm.upstreamRatio.toFixed(3), holds: storm.upstreamRatio <= 1.1 },
  ];
}

async function proveKills(): Promise<readonly Claim[]> {
  const rounds = 200;
  const kills = await killInMidFill({
    rounds,
    blobBytes: 48 * mebibyte,
    upstreamBytesPerSecond: 96 * mebibyte,
    pairs: 3,
    layerBytes: 200_000,
    random: Math.random,
    report: (line) => console.log(`  ${line}`),
  });
  const { crowdImages, crowdImagesWithoutUpstream } = kills;
  return [
    { what: `exact after the restart, ${rounds}`, measured: kills.exactAfterRestart, holds: kills.exactAfterRestart === rounds },
    { what: `exact without the upstream, ${rounds}`, measured: kills.exactWithoutUpstream, holds: kills.exactWithoutUpstream === rounds },
    {
      what: `the crowd's images exact without the upstream, ${crowdImages} (${kills.crowdInterrupted} of their pulls were cut)`,
      measured: crowdImagesWithoutUpstream,
      holds: crowdImages > rounds && crowdImagesWithoutUpstream === crowdImages,
    },
    { what: "wrong bodies taken for complete, 0", measured: kills.wrongBodies, holds: kills.wrongBodies === 0 },
    { what: "files with wrong bytes, none", measured: kills.wrongFiles.join(" ") || "none", holds: kills.wrongFiles.length === 0 },
    {
      what: `what had come before the kill and was sent again / blob bytes at worst, under 0.10 (with what had not come: ${(kills.upstreamRatioWorst - 1).toFixed(3)})`,
      measured: kills.sentAgainWorst.toFixed(3),
      holds: kills.sentAgainWorst < 0.1,
    },
    {
      what: "gone on behind what a client had, at most 3 MiB",
      measured: (kills.behindClientBytesWorst / mebibyte).toFixed(2),
      holds: kills.behindClientBytesWorst <= 3 * mebibyte,
    },
    { what: "temporary files left, none", measured: kills.leftovers.join(" ") || "none", holds: kills.leftovers.length === 0 },
  ];
}

async function proveLeaving(): Promise<readonly Claim[]> {
  const { before, after, inexact, upstreamRatio } = await runLeavingClients({
    pulls: 1000,
    blobs: 40,
    blobBytes: 4 * mebibyte,
    atOnce: 20,
    random: Math.random,
  });
  const [beforeMebibytes, afterMebibytes] = [before, after].map(({ residentBytes }) => Math.round(residentBytes / mebibyte));
  return [
    { what: "pulls with a wrong byte, 0", measured: inexact, holds: inexact === 0 },
    { what: `open files as before, ${before.openFiles}`, measured: after.openFiles, holds: after.openFiles <= before.openFiles },
    { what: `temporary files as before, ${before.temporaryFiles}`, measured: after.temporaryFiles, holds: after.temporaryFiles <= before.temporaryFiles },
    {
      what: `resident MiB no more than 40 above what they were, ${beforeMebibytes}`,
      measured: afterMebibytes ?? NaN,
      holds: after.residentBytes - before.residentBytes < 40 * mebibyte,
    },
    // A download that pauses for want of readers loses what was on the wire.
    { what: "upstream bytes / all blobs' bytes, at most 1.10", measured: upstreamRatio.toFixed(3), holds: upstreamRatio <= 1.1 },
  ];
}

async function proveOutages(): Promise<readonly Claim[]> {
  await using folder = await temporaryFolder();
  const network = await runOutages({ ways: networkWays(await createTestAuthority(folder.path)), neighbourPulls: 1_500 });
  await using dns = await startFakeDns();
  const names = await runOutages({ ways: nameWays(dns), nameServer: dns.address, restarts: true, neighbourPulls: 1_500 });
  const knownNames = await runOutages({ ways: knownNameWays(dns), nameServer: dns.address, neighbourPulls: 1_500 });
  return [...outageClaims(network), ...outageClaims(names), ...outageClaims(knownNames)];
}

function outageClaims({ outages, neighbour }: OutagesResult): readonly Claim[] {
  const ratio = neighbour.besideMs / neighbour.aloneMs;
  const each = outages.flatMap(({ name, heldAnswers, absentAnswers, absentStatus, isNoticed, isEveryBodyRight, pauseMs, recoveredMs }): readonly Claim[] => {
    const [firstHeldMs, laterHeldMs] = firstAndWorstOf(heldAnswers);
    const [firstAbsentMs, laterAbsentMs] = firstAndWorstOf(absentAnswers);
    // The first may still have been confirmed: a HEAD is answered where bodies never end.
    const isWarned = heldAnswers.slice(1).every(({ warning }) => isNoticed !== (warning === null));
    return [
      {
        what: `${name}: held, 200 ${isNoticed ? "with" : "without"} a warning`,
        measured: heldAnswers.map(({ status }) => status).join(" "),
        holds: isWarned && heldAnswers.every(({ status }) => status === 200),
      },
      { what: "  the first within 2000 ms", measured: firstHeldMs, holds: firstHeldMs <= 2_000 },
      { what: "  later ones within 50 ms", measured: laterHeldMs, holds: laterHeldMs <= 50 },
      {
        what: `  not held: ${absentStatus}`,
        measured: absentAnswers.map(({ status }) => status).join(" "),
        holds: absentAnswers.every(({ status }) => status === absentStatus),
      },
      { what: "  the first within 20000 ms", measured: firstAbsentMs, holds: firstAbsentMs <= 20_000 },
      // What the registry is found for, in spite of all, takes as long as it takes.
      absentStatus === 200
        ? { what: "  later ones, which come from the registry, within 20000 ms", measured: laterAbsentMs, holds: laterAbsentMs <= 20_000 }
        : { what: "  later ones within 50 ms", measured: laterAbsentMs, holds: laterAbsentMs <= 50 },
      { what: "  the bytes of the image, and errors as the specification has them", measured: String(isEveryBodyRight), holds: isEveryBodyRight },
      {
        what: `  recovered by itself within 5000 ms${pauseMs > 0 ? " of the end of its Retry-After" : ""}`,
        measured: Math.round(recoveredMs),
        holds: recoveredMs <= 5_000,
      },
    ];
  });
  const alone = `${neighbour.aloneMs.toFixed(1)} ms`;
  return [
    ...each,
    {
      what: `99th percentile of a registry that is well, at most 1.5 x the ${alone} of a server without outages`,
      measured: ratio.toFixed(2),
      holds: ratio <= 1.5,
    },
  ];
}

/** In whole milliseconds. */
function firstAndWorstOf([first, ...later]: readonly { readonly ms: number }[]): readonly [first: number, worst: number] {
  return [Math.round(first?.ms ?? NaN), Math.round(Math.max(...later.map(({ ms }) => ms)))];
}

async function proveHostile(): Promise<readonly Claim[]> {
  const crowd = await runCrowd({ halfRequests: 500, stalledReaders: 500, headerFloods: 200, clients: 16, pulls: 19_200 });
  const fills = await abandonHugeFills({ registries: 7 });
  const ratio = crowd.meanwhileMs / crowd.calmMs;
  const [crowdMebibytes, fillsMebibytes] = [crowd, fills].map(({ idle, most }) => Math.round((most.residentBytes - idle.residentBytes) / mebibyte));
  return [
    { what: `99th percentile beside the crowd, at most 2 x its ${crowd.calmMs.toFixed(1)} ms`, measured: ratio.toFixed(2), holds: ratio <= 2 },
    { what: "MiB more than idle beside the crowd, at most 150", measured: crowdMebibytes ?? NaN, holds: (crowdMebibytes ?? NaN) <= 150 },
    {
      what: `open files when it has gone, ${crowd.idle.openFiles}`,
      measured: crowd.after.openFiles,
      holds: crowd.after.openFiles <= crowd.idle.openFiles,
    },
    { what: "MiB more than idle with 112 huge downloads, at most 150", measured: fillsMebibytes ?? NaN, holds: (fillsMebibytes ?? NaN) <= 150 },
    { what: "downloads that go on when all have left, at most 56", measured: fills.goingOn, holds: fills.goingOn <= 56 },
  ];
}

async function proveRolling(): Promise<readonly Claim[]> {
  const { pulls, failures, exitCodes } = await runRollingRestart({
    durationMs: 180_000,
    imageBytes: 16 * mebibyte,
    upstreamBytesPerSecond: 16 * mebibyte,
  });
  const counts = Object.entries(pulls).map(([client, count]) => `${client} ${count}`);
  return [
    { what: "clients that pulled, 3", measured: counts.join(", "), holds: counts.length === 3 },
    { what: "pulls that failed, 0", measured: failures.length === 0 ? 0 : failures.join("\n"), holds: failures.length === 0 },
    { what: "restarts, all with exit code 0", measured: exitCodes.length, holds: exitCodes.length > 1 && exitCodes.every((code) => code === 0) },
  ];
}

async function proveSilence(): Promise<readonly Claim[]> {
  const fills = 16;
  const { takenOverMs, requests, sentBytes, exactAtOther, exactAtWoken, exactAlone, flaws } = await runSilentServer({ fills });
  const missingBytes = fills * (silentBlobBytes - silentArrivedBytes);
  return [
    {
      what: "a frozen server's downloads are the other's within 120 s, after 60 s",
      measured: Math.round(takenOverMs),
      holds: takenOverMs >= 60_000 && takenOverMs <= 120_000,
    },
    {
      what: `requests for what was missing of each, ${fills}`,
      measured: requests.length,
      holds: requests.length === fills && requests.every((line) => / bytes=[1-9]\d*-$/.test(line)),
    },
    { what: "bytes sent / bytes missing, at most 1.40", measured: (sentBytes / missingBytes).toFixed(3), holds: sentBytes <= missingBytes * 1.4 },
    { what: `exact at the other, ${fills}`, measured: exactAtOther, holds: exactAtOther === fills },
    { what: `exact at the one that woke, ${fills}`, measured: exactAtWoken, holds: exactAtWoken === fills },
    { what: `exact at both without the upstream, ${fills}`, measured: exactAlone, holds: exactAlone === fills },
    { what: "flaws of the store, none", measured: listed(flaws), holds: flaws.length === 0 },
  ];
}

/** `SOAK_MINUTES`: how long; 30 unless told otherwise. */
async function proveSoak(): Promise<readonly Claim[]> {
  const minutes = Number(process.env["SOAK_MINUTES"] ?? 30);
  const sampleEveryMs = 10_000;
  let samplesSeen = 0;
  console.log("  minute  MiB  heap  buffers  open files  threads  temporary files  fills  owed  ill");
  const { samples, before, after, wrong, failed, visits, bodyBytes, reloads, complaints } = await runSoak({
    durationMs: minutes * 60_000,
    illnessMs: 12_000,
    sampleEveryMs,
    onSample: (sample) => {
      if (++samplesSeen % (60_000 / sampleEveryMs) === 0) console.log(soakLine(sample));
    },
  });
  for (const [visit, count] of [...visits].sort(([one], [other]) => (one < other ? -1 : 1))) console.log(`  ${String(count).padStart(6)}  ${visit}`);
  const flat = (what: string, pick: (sample: SoakSample) => number, most: number): Claim => {
    const [middle, last] = thirdsOf(samples.map(pick));
    const limit = Math.max(middle * 1.1, middle + most);
    return { what: `${what}: median of the last third, at most 10 % or ${most} above the middle third's ${middle}`, measured: last, holds: last <= limit };
  };
  return [
    { what: "wrong bodies, 0", measured: listed(wrong), holds: wrong.length === 0 },
    { what: "failed pulls of what is held, or of the registry that is well, 0", measured: listed(failed), holds: failed.length === 0 },
    { what: "errors and failed work in the log, 0", measured: listed(complaints), holds: complaints.length === 0 },
    { what: "pulls still owed when all are well, 0", measured: after.owed, holds: after.owed === 0 },
    flat("resident MiB", ({ residentBytes }) => Math.round(residentBytes / mebibyte), 20),
    flat("open files", ({ openFiles }) => openFiles, 8),
    flat("threads", ({ threads }) => threads, 1),
    flat("temporary files", ({ temporaryFiles }) => temporaryFiles, 8),
    { what: `open files in the end, at most ${before.openFiles}`, measured: after.openFiles, holds: after.openFiles <= before.openFiles },
    { what: "temporary files in the end, 0", measured: after.temporaryFiles, holds: after.temporaryFiles === 0 },
    { what: "reloads, and MiB of bodies compared", measured: `${reloads}, ${Math.round(bodyBytes / mebibyte)}`, holds: reloads > 0 },
  ];
}

function soakLine({ atMs, residentBytes, heapBytes, externalBytes, openFiles, threads, temporaryFiles, fillsRunning, owed, illness }: SoakSample): string {
  const mebibytes = [residentBytes, heapBytes, externalBytes].map((bytes) => Math.round(bytes / mebibyte));
  const columns = [Math.round(atMs / 60_000), ...mebibytes, openFiles, threads, temporaryFiles, fillsRunning, owed];
  const widths = [8, 5, 6, 9, 12, 9, 17, 7, 6];
  return `${columns.map((column, at) => String(column).padStart(widths[at] ?? 8)).join("")}  ${illness}`;
}

/** The medians of the middle and of the last third. */
function thirdsOf(values: readonly number[]): readonly [middle: number, last: number] {
  const third = Math.floor(values.length / 3);
  return [medianOf(values.slice(third, 2 * third)), medianOf(values.slice(2 * third))];
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;
}

function listed(items: readonly string[]): string {
  return items.length === 0 ? "0" : items.map((item) => `\n            ${item}`).join("");
}

/** Each parser by itself; all together get a million inputs and more. */
async function proveFuzz(): Promise<readonly Claim[]> {
  const seed = randomInt(2 ** 31);
  const results = parsers.map(({ name, fuzz }) => ({ name, ...fuzz({ inputs: fuzzedInputs, seed }) }));
  const inputs = results.reduce((sum, result) => sum + result.inputs, 0);
  const each = results.map((result): Claim => {
    const { name, taken, slowestMs, failure } = result;
    return {
      what: `${name}: ${result.inputs} inputs, ${taken} taken, slowest`,
      measured: failure ?? `${slowestMs.toFixed(2)} ms`,
      holds: failure === undefined,
    };
  });
  return [...each, { what: `inputs in all, at least 1000000 (seed ${seed})`, measured: inputs, holds: inputs >= 1_000_000 }];
}

/** Beside a server that answers 200 a second: what a look at everything takes, and what it takes from others. */
async function proveHoldings(): Promise<readonly Claim[]> {
  // Every tenth of the planted manifests has no tag: it is no image.
  return await proveAtScale({ list: 0, "list --sort used": 0, "list --json": 0, "prune --pattern . --dry-run": 0 }, { lines: 90_000 });
}

async function proveVerify(): Promise<readonly Claim[]> {
  // Of the planted images one blob is there: nothing is damaged, and nothing would start.
  return await proveAtScale({ verify: 0, "verify --rate 0 --jobs 1": 0, "verify --images LIST --platform all": 1 }, { lines: 1 });
}

/** Commands with their exit codes, each on a store of 100,000 manifests, beside a server. */
async function proveAtScale(commands: Readonly<Record<string, number>>, { lines: atLeast }: { readonly lines: number }): Promise<readonly Claim[]> {
  const { calm, commands: ran } = await runListed({
    manifests: 100_000,
    inOneRepository: 20_000,
    commands: Object.keys(commands),
    calmMs: 20_000,
    perSecond: 200,
  });
  return ran.flatMap(({ command, code, lines, firstMs, tookMs, peakBytes, meanwhile }): readonly Claim[] => [
    {
      what: `${command}: exit code ${commands[command]}, and lines, at least ${atLeast}`,
      measured: `${code}, ${lines} lines, in ${(tookMs / 1_000).toFixed(1)} s`,
      holds: code === commands[command] && lines >= atLeast,
    },
    { what: `${command}: ms to the first byte, at most 2000`, measured: Math.round(firstMs), holds: firstMs <= 2_000 },
    { what: `${command}: MiB resident, at most 300`, measured: Math.round(peakBytes / mebibyte), holds: peakBytes <= 300 * mebibyte },
    {
      what: `${command}: a server's 99th percentile meanwhile, ms, at most 2 x`,
      measured: `${meanwhile.p99Ms.toFixed(1)} (${calm.p99Ms.toFixed(1)} alone), median ${meanwhile.medianMs.toFixed(1)} (${calm.medianMs.toFixed(1)})`,
      holds: meanwhile.p99Ms <= 2 * calm.p99Ms,
    },
  ]);
}

async function proveMany(): Promise<readonly Claim[]> {
  const many = await runManyManifests({ manifests: 100_000, inOneRepository: 20_000, rounds: 5 });
  const inTime = many.firstAnswers.map(({ question, manyMs, fewMs }): Claim => {
    const measured = `${Math.round(manyMs)} (${Math.round(fewMs)} with hardly any)`;
    // The catalog has a folder to look into for each repository, and nobody waits for it in a pull.
    const isBounded = question !== "catalog";
    return { what: `ms to ${question}${isBounded ? ", at most 100 more than with hardly any" : ""}`, measured, holds: !isBounded || manyMs - fewMs <= 100 };
  });
  return [
    { what: "page cache emptied before each start", measured: String(many.wasCold), holds: true },
    ...inTime,
    { what: "manifests asked for by digest", measured: `${many.asked}, ${Math.round(many.askedPerSecond)} a second`, holds: many.asked >= 100_000 },
    {
      what: "resident MiB after all of them, at most 240",
      measured: Math.round(many.residentBytes / mebibyte),
      holds: many.residentBytes <= 240 * mebibyte,
    },
  ];
}

async function proveBusy(): Promise<readonly Claim[]> {
  const common = { blobBytes: 64 * mebibyte, atOnce: 16, perSecond: 200, calmMs: 5_000 };
  const fills = await runFastFills({ ...common, blobs: 32, bytesPerSecond: (100 * mebibyte) / common.atOnce });
  // As fast as this machine can: registry, clients and we share its cores, and what is measured is who gets one next.
  const unbridled = await runFastFills({ ...common, blobs: 48 });
  const { blobs, waiting } = await runDeadResolver({ waiting: 16, eachMs: 5_000 });
  const shown = ({ medianMs, p99Ms, worstMs, answers }: Times): string =>
    `${p99Ms.toFixed(1)} (median ${medianMs.toFixed(1)}, worst ${worstMs.toFixed(1)}, of ${answers})`;
  return [
    { what: "99th percentile in ms of a cached manifest alone", measured: shown(fills.calm), holds: true },
    { what: "beside 16 cold downloads over lines of 100 MiB/s together, at most 10", measured: shown(fills.meanwhile), holds: fills.meanwhile.p99Ms <= 10 },
    { what: "MiB a second that those came at", measured: Math.round(fills.bytesPerSecond / mebibyte), holds: true },
    {
      what: `beside 16 that came as fast as the machine can, ${Math.round(unbridled.bytesPerSecond / mebibyte)} MiB/s`,
      measured: shown(unbridled.meanwhile),
      holds: true,
    },
    ...blobs.map(({ sizeBytes, calm, meanwhile }): Claim => {
      const ratio = meanwhile.medianMs / calm.medianMs;
      const what = `median of a cached blob of ${sizeBytes} bytes with a dead resolver, at most 2 x its ${calm.medianMs.toFixed(2)} ms`;
      return { what, measured: ratio.toFixed(2), holds: ratio <= 2 };
    }),
    { what: "downloads that waited for the resolver, 16", measured: waiting, holds: waiting === 16 },
  ];
}

/** A cached manifest has nothing to do with tokens: as many without one as with one. */
async function proveCredentials(): Promise<readonly Claim[]> {
  const claims: Claim[] = [];
  for (const how of ["away", "silent"] as const satisfies readonly Down[]) {
    const { up, down } = await compareHeld({
      how,
      rounds: 25,
      async measure(url, { process: server }) {
        const beforeSeconds = await server.cpuSeconds();
        const perSecond = await requestsPerSecond(url, { connections: 8, seconds: 1 });
        return { perSecond, perCpuSecond: perSecond / ((await server.cpuSeconds()) - beforeSeconds) };
      },
    });
    // Round by round: what else the machine does meanwhile meets both.
    const ratioOf = (pick: (rate: (typeof up)[number]) => number): number =>
      medianOf(down.map((rate, round) => pick(rate) / pick(up[round] ?? { perSecond: NaN, perCpuSecond: NaN })));
    const [byClock, byCpu] = [ratioOf(({ perSecond }) => perSecond), ratioOf(({ perCpuSecond }) => perCpuSecond)];
    const answering = Math.round(medianOf(up.map(({ perSecond }) => perSecond)));
    const what = `cached manifests with a token provider that is ${how} / that answers`;
    claims.push({ what: `${what}: a second (of ${answering})`, measured: byClock.toFixed(3), holds: true });
    claims.push({ what: `${what}: a second of processor time, at least 0.95`, measured: byCpu.toFixed(3), holds: byCpu >= 0.95 });
  }
  return claims;
}

/** What clients pay for being asked who they are, and what guessers and a directory that is away cost those who are known. */
async function proveLoad(): Promise<readonly Claim[]> {
  const loads = await runQuickLoads({ images: 50, latencyMs: 50, jobs: [1, 8] });
  const [one, eight] = loads.map(({ tookMs }) => tookMs);
  const ratio = (one ?? NaN) / (eight ?? NaN);
  return [
    { what: `50 images at 50 ms a request: one at a time (${one} ms) / eight (${eight} ms), at least 5`, measured: ratio.toFixed(2), holds: ratio >= 5 },
    ...loads.flatMap(({ jobs, failed, byteRatio, asksMax }): readonly Claim[] => [
      { what: `upstream blob bytes / distinct blob bytes with --jobs ${jobs}, 1.00`, measured: byteRatio.toFixed(4), holds: byteRatio === 1 && asksMax === 1 },
      { what: `images that failed with --jobs ${jobs}, 0`, measured: failed, holds: failed === 0 },
    ]),
  ];
}

async function proveKilledLoads(): Promise<readonly Claim[]> {
  const { killed, halves, lost, whole, images, lastCode } = await runKilledLoads({ kills: 50, random: Math.random });
  return [
    { what: "loads killed in the middle, most of 50", measured: killed, holds: killed >= 25 },
    { what: "images seen that were not whole, 0", measured: halves, holds: halves === 0 },
    { what: "images that were whole and then were not, 0", measured: lost, holds: lost === 0 },
    { what: `images whole after one more load, ${images}`, measured: whole, holds: whole === images && lastCode === 0 },
  ];
}

async function proveGuarded(): Promise<readonly Claim[]> {
  return [...(await guardedCost()), ...(await guessersCost()), ...(await awayDirectoryCost())];
}

async function guardedCost(): Promise<readonly Claim[]> {
  const { none, basic, bearer } = await compareKinds({
    rounds: 15,
    measure: async ({ url, headers }) => await requestsPerSecond(url, { connections: 8, seconds: 1, headers }),
  });
  // Round by round: what else the machine does meanwhile meets all.
  const ratioOf = (rates: readonly number[]): number => medianOf(rates.map((rate, round) => rate / (none[round] ?? NaN)));
  const claimOf = (what: string, ratio: number, least: number): Claim => ({
    what: `cached manifests a second ${what} / without any (${Math.round(medianOf(none))}), at least ${least}`,
    measured: ratio.toFixed(3),
    holds: ratio >= least,
  });
  return [claimOf("with Basic", ratioOf(basic), 0.8), claimOf("with a token", ratioOf(bearer), 0.7)];
}

async function guessersCost(): Promise<readonly Claim[]> {
  const claims: Claim[] = [];
  for (const from of ["one address", "everywhere"] as const) {
    const { calm, meanwhile, refused, otherStatuses } = await runGuessers({ guesses: 200, from, durationMs: 20_000, perSecond: 100 });
    claims.push({
      what: `99th percentile in ms beside 200 wrong passwords a second from ${from} (${calm.p99Ms.toFixed(1)} without), under 50`,
      measured: `${meanwhile.p99Ms.toFixed(1)} (median ${meanwhile.medianMs.toFixed(1)}, worst ${meanwhile.worstMs.toFixed(1)})`,
      holds: meanwhile.p99Ms < 50,
    });
    claims.push({
      what: `  refused with 401, and what else was answered`,
      measured: `${refused}; ${otherStatuses.join(" ") || "nothing"}`,
      holds: refused > 0,
    });
  }
  return claims;
}

async function* provePages(): AsyncIterable<Claim> {
  for (const sees of ["all", "a tenth"] as const) {
    const { repositories, lastUsedFirst, search, searchInVain, firstLookMs, surveyMs, grownBytes } = await timePages({
      repositories: 100_000,
      times: 40,
      sees,
    });
    const claimOf = (what: string, times: readonly number[], mostMs: number): Claim => ({
      what: `first byte in ms of ${what} with 100,000 repositories, of which ${sees} may be seen (median), at most ${mostMs}`,
      measured: `${medianOf(times).toFixed(1)} (worst ${Math.max(...times).toFixed(1)})`,
      holds: medianOf(times) <= mostMs,
    });
    yield claimOf("the repositories", repositories, 100);
    yield claimOf("the last used", lastUsedFirst, 100);
    yield claimOf("a search", search, 150);
    yield claimOf("a search in vain", searchInVain, 150);
    yield {
      what: "  the first look after a start in ms, until all names were known, and MiB that it took",
      measured: `${Math.round(firstLookMs)}, ${Math.round(surveyMs)}, ${Math.round(grownBytes / mebibyte)}`,
      holds: firstLookMs < 3_000,
    };
  }
  const { alone, watched, looks } = await compareWatched({
    rounds: 12,
    watchers: 20,
    measure: async (url) => await requestsPerSecond(url, { connections: 8, seconds: 3 }),
  });
  const ratio = medianOf(watched.map((rate, round) => rate / (alone[round] ?? NaN)));
  yield {
    what: `cached manifests a second with 20 people watching the overview / with none (${Math.round(medianOf(alone))}; they looked ${looks} times), at least 0.95`,
    measured: ratio.toFixed(3),
    holds: ratio >= 0.95,
  };
}

async function awayDirectoryCost(): Promise<readonly Claim[]> {
  const claims: Claim[] = [];
  for (const fault of ["refuses", "hangs"] as const satisfies readonly DirectoryFault[]) {
    const { before, meanwhile, known } = await runAwayDirectory({ fault, logins: 60, durationMs: 60_000 });
    // Like with like: what the machine does now and then delays the worst of either.
    const worst = (times: readonly number[]): number => Math.max(...times);
    const delayed = worst(meanwhile) - worst(before);
    claims.push({
      what: `a directory that ${fault} for 60 s: first logins of people in the password file, in ms at worst more than beside one that answers (${worst(before).toFixed(1)}), at most 100`,
      measured: `${delayed.toFixed(1)} (median ${medianOf(meanwhile).toFixed(1)}, usually ${medianOf(before).toFixed(1)})`,
      holds: delayed <= 100,
    });
    claims.push({ what: "  99th percentile of somebody who was known, under 50 ms", measured: known.p99Ms.toFixed(1), holds: known.p99Ms < 50 });
  }
  return claims;
}

/** Every test that stands for a threat must fail without the defence that it stands for. */
async function* proveThreats(): AsyncGenerator<Claim> {
  for await (const { number, what, without, measured, holds } of tryDefences([]))
    yield { what: `threat ${number}, ${what}; without ${without}`, measured, holds };
}

/** The server and `auth check` must say the same of 10,000 questions. */
async function proveAccess(): Promise<readonly Claim[]> {
  const seed = randomInt(2 ** 31);
  const { questions, allowed, denied, listings, disagreements } = await runAgreement({ seed, policies: 50, questionsEach: 200 });
  for (const disagreement of disagreements.slice(0, 10)) console.log(`  ${disagreement}`);
  return [
    { what: `questions that were asked (seed ${seed}), 10,000`, measured: questions, holds: questions === 10_000 && allowed + denied === questions },
    { what: "allowed, and denied, at least 2,000 of each", measured: `${allowed}, ${denied}`, holds: Math.min(allowed, denied) >= 2_000 },
    { what: `disagreements, with ${listings} catalogs, 0`, measured: disagreements.length, holds: disagreements.length === 0 },
  ];
}

async function proveAirGap(): Promise<readonly Claim[]> {
  const [images, changed] = [20, 3];
  const round = await runAirGap({ images, changed, layerBytes: 300_000, report: (line) => console.log(`  ${line}`) });
  const besidesBytes = round.secondBundleBytes - round.newBytes;
  const all = (count: number): object => ({ skopeo: count, podman: count, ctr: count });
  return [
    {
      what: `images that skopeo, podman and ctr pulled with the first side gone, ${images} each`,
      measured: JSON.stringify(round.pulled),
      holds: JSON.stringify(round.pulled) === JSON.stringify(all(images)),
    },
    { what: "signatures that came along, by referrer and by tag, 2", measured: round.signatures, holds: round.signatures === 2 },
    {
      what: `changed images that they pulled after the second bundle, ${changed} each`,
      measured: JSON.stringify(round.pulledChanged),
      holds: JSON.stringify(round.pulledChanged) === JSON.stringify(all(changed)),
    },
    {
      what: `bytes of the second bundle (${round.secondBundleBytes}) besides the new content (${round.newBytes}), under ${64 * 1024}; the first had ${round.bundleBytes}`,
      measured: besidesBytes,
      holds: besidesBytes < 64 * 1024,
    },
  ];
}

async function proveKilledImports(): Promise<readonly Claim[]> {
  const rounds = 50;
  const result = await killImports({ rounds, images: 20, layerBytes: 300_000, random: Math.random, report: (line) => console.log(`  ${line}`) });
  return [
    { what: `imports that were killed at work, at least ${rounds * 0.8}`, measured: result.killed, holds: result.killed >= rounds * 0.8 },
    { what: "images seen that were not whole, none", measured: result.halves.join("; ") || "none", holds: result.halves.length === 0 },
    { what: "images lost that were whole, none", measured: result.lost.join("; ") || "none", holds: result.lost.length === 0 },
    { what: `second runs that finished, served within a second, ${rounds}`, measured: result.finished, holds: result.finished === rounds },
  ];
}

async function proveKilledPrunes(): Promise<readonly Claim[]> {
  const rounds = 50;
  const { killed, seenAtKill, halves, wholeLooks, brokenLooks, left, leftovers } = await killPrunes({ rounds, random: () => randomInt(1_000) / 1_000 });
  const between = seenAtKill > 0 && seenAtKill < rounds * prunedPerRound;
  return [
    { what: "prunes killed while they ran, of 50, at least 40", measured: killed, holds: killed >= 40 },
    { what: `images that could still be seen at the kills, of ${rounds * prunedPerRound}, between none and all`, measured: seenAtKill, holds: between },
    { what: "images that could be seen and were not whole, 0", measured: halves.length, holds: halves.length === 0 },
    {
      what: "looks at images that stay, all of them whole",
      measured: `${wholeLooks}, ${brokenLooks.length} not`,
      holds: wholeLooks > 0 && brokenLooks.length === 0,
    },
    { what: "names and files that second prunes left, 0", measured: left.length, holds: left.length === 0 },
    { what: "temporary files that nobody takes away, 0", measured: leftovers.length, holds: leftovers.length === 0 },
  ];
}

async function proveKilledRecords(): Promise<readonly Claim[]> {
  const rounds = 100;
  const { told, amid, broken, torn, leftovers, unswept } = await killRecords({ rounds, random: Math.random });
  return [
    { what: `kills amid a login, a sign-out, or a key's life, at least ${rounds * 0.8}`, measured: amid, holds: amid >= rounds * 0.8 },
    { what: "sessions and keys of which somebody was told that they are good, or over, some", measured: told, holds: told > rounds },
    { what: "of these, not so after the next start, none", measured: broken.join("; ") || "none", holds: broken.length === 0 },
    { what: "records that were not whole, none", measured: torn.join("; ") || "none", holds: torn.length === 0 },
    {
      what: "leftovers, some, and after a sweep two hours later none",
      measured: `${leftovers}, ${unswept.length}`,
      holds: leftovers > 0 && unswept.length === 0,
    },
  ];
}

async function proveEviction(): Promise<readonly Claim[]> {
  const crowd = await runEvictionCrowd({ images: 2_000, clients: 16, durationMs: 5 * 60_000 });
  const overBytes = crowd.takenBytesMax - crowd.limitBytes;
  const ratio = crowd.hitRatio / crowd.idealHitRatio;
  return [
    { what: "pulls that failed, 0", measured: `${crowd.failures.length} of ${crowd.pulls}`, holds: crowd.failures.length === 0 },
    { what: "images evicted, some", measured: crowd.evictedImages, holds: crowd.evictedImages > 0 },
    { what: "bytes over the limit, at most what clients fetch at once", measured: overBytes, holds: overBytes <= crowd.inFlightBytes },
    { what: "hit ratio / an ideal cache's, at least 0.95", measured: `${crowd.hitRatio.toFixed(3)} / ${crowd.idealHitRatio.toFixed(3)}`, holds: ratio >= 0.95 },
  ];
}
