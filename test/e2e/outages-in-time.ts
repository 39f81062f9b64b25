/**
 * Every way for an upstream to be away, all at once and by the clock: how soon what is held goes out, how soon what is not fails, how
 * soon a recovery is noticed, and whether a registry that is well notices anything.
 */
import { createTestAuthority, type TestAuthority } from "../support/certificates.ts";
import { openBlackHole } from "../support/black-hole.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import type { Quirk } from "../support/quirks.ts";
import { startRelay } from "../support/relay.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** One way to be away. */
export interface OutageOutcome {
  readonly name: string;
  /** What each pull of a held tag got that should have come with a warning. */
  readonly heldAnswers: readonly Answer[];
  /** What each pull of what is not held got. */
  readonly absentAnswers: readonly Answer[];
  /** What the absent ones have to be. */
  readonly absentStatus: number;
  /** What is asked for when it is not held. */
  readonly absentKind: "manifest" | "blob";
  /** From the upstream's recovery to the first pull that it answers. */
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
  /** 99th percentile of a registry that is well: its slowest pulls while nobody is away, and while all the others are. */
  readonly neighbour: { readonly calmMs: number; readonly meanwhileMs: number };
}

interface Patient {
  readonly name: string;
  readonly upstream: FakeUpstream;
  readonly registry: Readonly<Record<string, unknown>>;
  readonly absentStatus: number;
  readonly absentKind?: "manifest" | "blob";
  readonly fall: () => Promise<void>;
  readonly rise: () => Promise<void>;
  readonly close?: () => Promise<void>;
}

const again = 4;
const recoveryMsMax = 20_000;

export interface OutagesOptions {
  /** Only these. */
  readonly names?: readonly string[];
  /** How often the registry that is well is asked, a hundred times a second at most. */
  readonly neighbourPulls: number;
}

/** Brings everything down, looks, and brings it up again. */
export async function runOutages({ names, neighbourPulls }: OutagesOptions): Promise<OutagesResult> {
  await using folder = await temporaryFolder();
  const authority = await createTestAuthority(folder.path);
  const patients: Patient[] = [];
  for (const [name, admit] of Object.entries(ways(authority))) if (!names || names.includes(name)) patients.push({ ...(await admit()), name });
  await using well = await startFakeUpstream();
  well.putImage("app", "1");
  const registries = [
    { name: well.host, scheme: "http", aliases: ["well"] },
    ...patients.map(({ registry }, at) => ({ scheme: "http", aliases: [`up${at}`], ...registry })),
  ];
  try {
    await using server = await startOurServer({ folder: folder.path, config: { tagTtl: "0s", registries } });
    await Promise.all(patients.map(({ upstream }, at) => warm(server, upstream, `up${at}`)));
    await neighbourMs(server, neighbourPulls); // What is compiled and cached once is no neighbour's doing.
    const calmMs = await neighbourMs(server, neighbourPulls);
    const falls = Promise.all(patients.map(({ fall }) => fall()));
    const [outages, meanwhileMs] = await Promise.all([
      Promise.all(patients.map((patient, at) => observe(server, patient, `up${at}`, falls))),
      falls.then(() => neighbourMs(server, neighbourPulls)),
    ]);
    return { outages, neighbour: { calmMs, meanwhileMs } };
  } finally {
    await Promise.all(patients.map(async ({ upstream, close }) => Promise.all([upstream.close(), close?.()])));
  }
}

/** How each of them falls and rises. */
function ways(authority: TestAuthority): Readonly<Record<string, () => Promise<Omit<Patient, "name">>>> {
  const page = { status: 200, headers: { "content-type": "text/html" }, body: "<!doctype html><title>down for maintenance</title>" };
  return {
    "refuses connections": async () => {
      const upstream = await startFakeUpstream();
      return { upstream, registry: { name: upstream.host }, absentStatus: 502, fall: () => upstream.refuse(), rise: () => upstream.accept() };
    },
    "answers no SYN": async () => {
      const upstream = await startFakeUpstream();
      let hole: AsyncDisposable | undefined;
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 504,
        async fall() {
          await upstream.refuse();
          hole = await openBlackHole(upstream.port);
        },
        async rise() {
          await hole?.[Symbol.asyncDispose]();
          await upstream.accept();
        },
      };
    },
    "accepts and is silent": () => quirky({ silent: "before headers" }, 504),
    "sends headers and then nothing": () => quirky({ silent: "after headers" }, 504),
    "sends a byte a second": () => quirky({ bytesPerSecond: 1 }, 504),
    "answers 503": () => quirky({ status: 503 }, 502),
    "answers 429": () => quirky({ status: 429, headers: { "retry-after": "2" } }, 503),
    "answers 200 with a page": () => quirky(page, 502),
    "shows an expired certificate": async () => {
      const upstream = await startFakeUpstream({ tls: await authority.issue() });
      const expired = await startFakeUpstream({ tls: await authority.issue({ isExpired: true }) });
      const relay = await startRelay(upstream.port);
      return {
        upstream,
        registry: { name: relay.host, scheme: "https", tls: { ca: authority.certificateFile } },
        absentStatus: 502,
        fall: async () => relay.leadTo(expired.port),
        rise: async () => relay.leadTo(upstream.port),
        close: async () => void (await Promise.all([expired.close(), relay[Symbol.asyncDispose]()])),
      };
    },
    "lost its token service": async () => {
      const [upstream, tokens] = await Promise.all([startFakeUpstream(), startFakeTokenService()]);
      upstream.authentication = { kind: "bearer", tokens };
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 502,
        async fall() {
          tokens.expireAll();
          await tokens.refuse();
        },
        rise: () => tokens.accept(),
        close: () => tokens.close(),
      };
    },
    "has a token service that is silent": async () => {
      const [upstream, tokens] = await Promise.all([startFakeUpstream(), startFakeTokenService()]);
      upstream.authentication = { kind: "bearer", tokens };
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 504,
        async fall() {
          tokens.expireAll();
          tokens.when({}, { silent: "before headers" });
        },
        rise: async () => tokens.behave(),
        close: () => tokens.close(),
      };
    },
    "lost its CDN": async () => {
      const upstream = await startFakeUpstream({ redirectsBlobs: true });
      return {
        upstream,
        registry: { name: upstream.host },
        absentStatus: 502,
        absentKind: "blob",
        fall: () => upstream.cdn.refuse(),
        rise: () => upstream.cdn.accept(),
      };
    },
  };
}

async function quirky(quirk: Quirk, absentStatus: number): Promise<Omit<Patient, "name">> {
  const upstream = await startFakeUpstream();
  return { upstream, registry: { name: upstream.host }, absentStatus, fall: async () => void upstream.when({}, quirk), rise: async () => upstream.behave() };
}

async function warm(server: OurServer, upstream: FakeUpstream, alias: string): Promise<void> {
  const { blobs } = upstream.putImage("held", "1");
  for (const path of ["manifests/1", ...[...blobs.keys()].map((digest) => `blobs/${digest}`)]) {
    const answer = await get(`${server.url}/v2/${alias}/held/${path}`);
    if (answer.status !== 200) throw new Error(`${alias} does not serve held/${path}: ${answer.status} ${answer.body}`);
  }
}

async function observe(server: OurServer, patient: Patient, alias: string, fallen: Promise<unknown>): Promise<OutageOutcome> {
  const { name, upstream, absentStatus, absentKind = "manifest" } = patient;
  const absent = Array.from({ length: again + 2 }, (_, at) => {
    const path = absentKind === "manifest" ? `absent${at}/manifests/1` : `absent/blobs/${upstream.putBlob("absent", Buffer.from(`absent ${at}`))}`;
    if (absentKind === "manifest") upstream.putImage(`absent${at}`, "1");
    return `${server.url}/v2/${alias}/${path}`;
  });
  const held = `${server.url}/v2/${alias}/held/manifests/1`;
  await fallen;
  const [heldFirst, absentFirst] = await Promise.all([get(held), get(absent[0] ?? "")]);
  const heldAnswers = [heldFirst];
  const absentAnswers = [absentFirst];
  for (let at = 1; at <= again; at++) {
    heldAnswers.push(await get(held));
    absentAnswers.push(await get(absent[at] ?? ""));
  }
  await patient.rise();
  return { name, heldAnswers, absentAnswers, absentStatus, absentKind, recoveredMs: await recovery(held, absent.at(-1) ?? "") };
}

/** How long until both are answered as if nothing had been. */
async function recovery(held: string, absent: string): Promise<number> {
  const startMs = performance.now();
  while (performance.now() - startMs < recoveryMsMax) {
    const answers = [await get(held), await get(absent)];
    if (answers.every(({ status, warning }) => status === 200 && warning === null)) return performance.now() - startMs;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return Infinity;
}

async function neighbourMs(server: OurServer, pulls: number): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < pulls; count++) {
    const { status, warning, ms } = await get(`${server.url}/v2/well/app/manifests/1`);
    if (status !== 200 || warning !== null) throw new Error(`the registry that is well gave ${status}, ${warning ?? "no warning"}`);
    times.push(ms);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? NaN;
}

async function get(url: string): Promise<Answer> {
  const startMs = performance.now();
  const response = await fetch(url);
  const body = await response.text();
  const { status, headers } = response;
  return { status, warning: headers.get("warning"), retryAfter: headers.get("retry-after"), body, ms: performance.now() - startMs };
}
