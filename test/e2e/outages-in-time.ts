/**
 * Every way for an upstream to be away, all at once and by the clock: how soon what is held goes out, how soon what is not fails, how
 * soon a recovery is noticed, and whether a registry that is well notices anything.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setInterval as everyMs } from "node:timers/promises";
import { lookUntil } from "../support/looking.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import type { Patient, Ways } from "./outage-ways.ts";

/** What clients saw of one way to be away. */
export interface OutageOutcome extends Required<Pick<Patient, "absentStatus" | "isNoticed" | "pauseMs">> {
  readonly name: string;
  /** What each pull of a held tag got. */
  readonly heldAnswers: readonly Answer[];
  /** What each pull of what is not held got. */
  readonly absentAnswers: readonly Answer[];
  /** Every held answer had the image's bytes, and every error was an OCI error. */
  readonly isEveryBodyRight: boolean;
  /** From the upstream's recovery, or the end of the pause that it asked for, to the first pull that it answers. */
  readonly recoveredMs: number;
}

export interface Answer {
  readonly status: number;
  readonly warning: string | null;
  readonly retryAfter: string | null;
  readonly body: string;
  readonly ms: number;
}

export interface OutagesResult {
  readonly outages: readonly OutageOutcome[];
  /** 99th percentile of a registry that is well, at the same moments: through the server beside all the others, and through one that knows no other. */
  readonly neighbour: { readonly besideMs: number; readonly aloneMs: number };
}

const again = 4;
const recoveryMsMax = 20_000;
const neighbourEveryMs = 10;

export interface OutagesOptions {
  readonly ways: Ways;
  /** How often the registry that is well is asked, a hundred times a second at most. */
  readonly neighbourPulls: number;
  /** The name server that the server is to know, and no other. */
  readonly nameServer?: string;
  /** The server is down when the upstreams fall, and knows nothing but what is on its disk when it is back. */
  readonly restarts?: boolean;
}

/** Brings everything down, looks, and brings it up again. */
export async function runOutages({ ways, neighbourPulls, nameServer, restarts = false }: OutagesOptions): Promise<OutagesResult> {
  await using folder = await temporaryFolder();
  const patients: NamedPatient[] = [];
  for (const [name, admit] of Object.entries(ways)) patients.push({ ...(await admit()), name, alias: `up${patients.length}` });
  await using well = await startFakeUpstream();
  well.putImage("app", "1");
  const registries = [
    { name: well.host, scheme: "http", aliases: ["well"] },
    ...patients.map(({ registry, alias }) => ({ scheme: "http", aliases: [alias], ...registry })),
  ];
  const common = nameServer === undefined ? {} : { nameServer };
  await mkdir(join(folder.path, "alone"));
  const start = async (): Promise<Servers> => ({
    server: await startOurServer({ folder: folder.path, config: { tagTtl: "0s", registries }, ...common }),
    alone: await startOurServer({ folder: join(folder.path, "alone"), config: { tagTtl: "0s", registries: registries.slice(0, 1) }, ...common }),
  });
  let servers = await start();
  try {
    const held = await Promise.all(patients.map((patient) => warm(servers.server, patient)));
    await neighbourMs(servers, neighbourPulls); // What is compiled and cached once is no neighbour's doing.
    if (restarts) await stop(servers);
    await Promise.all(patients.map(({ fall }) => fall()));
    if (restarts) servers = await start();
    const [outages, neighbour] = await Promise.all([
      Promise.all(patients.map((patient, at) => observe(servers.server, patient, held[at]))),
      neighbourMs(servers, neighbourPulls),
    ]);
    return { outages, neighbour };
  } finally {
    await stop(servers);
    await Promise.all(patients.map(async ({ upstream, close }) => Promise.all([upstream.close(), close?.()])));
  }
}

interface Servers {
  readonly server: OurServer;
  /** It has nothing to do with outages: what it takes tells how slow the machine is. */
  readonly alone: OurServer;
}

async function stop({ server, alone }: Servers): Promise<void> {
  await Promise.all([server.process.kill(), alone.process.kill()]);
}

type NamedPatient = Patient & { readonly name: string; readonly alias: string };

/** Resolves to the manifest that is held from now on, with all that it names. */
async function warm(server: OurServer, { upstream, alias }: NamedPatient): Promise<Uint8Array> {
  const { blobs, manifest } = upstream.putImage("held", "1");
  for (const path of ["manifests/1", ...[...blobs.keys()].map((digest) => `blobs/${digest}`)]) {
    const answer = await get(`${server.url}/v2/${alias}/held/${path}`);
    if (answer.status !== 200) throw new Error(`${alias} does not serve held/${path}: ${answer.status} ${answer.body}`);
  }
  return manifest.bytes;
}

async function observe(server: OurServer, patient: NamedPatient, heldBytes: Uint8Array | undefined): Promise<OutageOutcome> {
  const { name, alias, upstream, absentStatus, absentKind = "manifest", isNoticed = true, pauseMs = 0 } = patient;
  const absent = Array.from({ length: again + 2 }, (_, at) => `${server.url}/v2/${alias}/${putAbsent(upstream, absentKind, at)}`);
  const held = `${server.url}/v2/${alias}/held/manifests/1`;
  const [heldFirst, absentFirst] = await Promise.all([get(held), get(absent[0] ?? "")]);
  const heldAnswers = [heldFirst];
  const absentAnswers = [absentFirst];
  for (let at = 1; at <= again; at++) {
    heldAnswers.push(await get(held));
    absentAnswers.push(await get(absent[at] ?? ""));
  }
  await patient.rise();
  const isEveryBodyRight =
    heldAnswers.every(({ body }) => Buffer.from(heldBytes ?? []).equals(Buffer.from(body))) &&
    absentAnswers.every(({ status, body }) => status === 200 || isOciError(body));
  const recoveredMs = (await recovery(held, absent.at(-1) ?? "")) - pauseMs;
  return { name, heldAnswers, absentAnswers, absentStatus, isNoticed, pauseMs, isEveryBodyRight, recoveredMs: Math.max(0, recoveredMs) };
}

/** The path of something that nobody here has asked for yet. */
function putAbsent(upstream: FakeUpstream, kind: "manifest" | "blob", number: number): string {
  if (kind === "blob") return `absent/blobs/${upstream.putBlob("absent", Buffer.from(`absent ${number}`))}`;
  upstream.putImage(`absent${number}`, "1");
  return `absent${number}/manifests/1`;
}

function isOciError(body: string): boolean {
  const { errors } = JSON.parse(body) as { errors?: readonly { code?: unknown; message?: unknown }[] }; // What is not JSON throws: it is wrong too.
  return errors?.length === 1 && typeof errors[0]?.code === "string" && typeof errors[0].message === "string";
}

/** How long until both are answered as if nothing had been, for a client that asks ten times a second. */
async function recovery(held: string, absent: string): Promise<number> {
  const startMs = performance.now();
  const ask = async (): Promise<readonly Answer[]> => [await get(held), await get(absent)];
  const isWell = (answers: readonly Answer[]): boolean => answers.every(({ status, warning }) => status === 200 && warning === null);
  const last = await lookUntil(ask, isWell, { waitMs: recoveryMsMax, everyMs: 100 });
  return isWell(last) ? performance.now() - startMs : Infinity;
}

async function neighbourMs({ server, alone }: Servers, pulls: number): Promise<OutagesResult["neighbour"]> {
  const besideMs: number[] = [];
  const aloneMs: number[] = [];
  for await (const _ of everyMs(neighbourEveryMs)) {
    besideMs.push(await wellMs(server));
    aloneMs.push(await wellMs(alone));
    if (aloneMs.length === pulls) break;
  }
  return { besideMs: percentile99(besideMs), aloneMs: percentile99(aloneMs) };
}

async function wellMs({ url }: OurServer): Promise<number> {
  const { status, warning, ms } = await get(`${url}/v2/well/app/manifests/1`);
  if (status !== 200 || warning !== null) throw new Error(`the registry that is well gave ${status}, ${warning ?? "no warning"}`);
  return ms;
}

function percentile99(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)] ?? NaN;
}

async function get(url: string): Promise<Answer> {
  const startMs = performance.now();
  const response = await fetch(url);
  const body = await response.text();
  const { status, headers } = response;
  return { status, warning: headers.get("warning"), retryAfter: headers.get("retry-after"), body, ms: performance.now() - startMs };
}
