/**
 * Crowds of clients that mean no good, beside clients that do: half requests, readers that stall, floods of headers; and registries
 * that begin huge downloads nobody waits for.
 */
import { connect, type Socket } from "node:net";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { fillsRunning, startOurServer, type OurServer } from "../support/our-server.ts";
import { startPull } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface CrowdOptions {
  readonly halfRequests: number;
  readonly stalledReaders: number;
  readonly headerFloods: number;
  /** Well-behaved clients at once, and the pulls of all of them together, before and during. */
  readonly clients: number;
  readonly pulls: number;
}

export interface CrowdResult {
  /** 99th percentile of the well-behaved clients' pulls. */
  readonly calmMs: number;
  readonly meanwhileMs: number;
  readonly idle: Held;
  readonly most: Held;
  readonly after: Held;
}

export interface Held {
  readonly residentBytes: number;
  readonly openFiles: number;
}

const mebibyte = 1024 * 1024;
const arrivedWithinMs = 20_000;
const releasedWithinMs = 10_000;
/** More of one registry than may go on when everybody has left. */
const goingOnMax = 8;

/** Runs well-behaved clients alone, then beside the crowd, and looks what is left when the crowd has gone. */
export async function runCrowd({ halfRequests, stalledReaders, headerFloods, clients, pulls }: CrowdOptions): Promise<CrowdResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const digest = upstream.putBlob("team/app", seededBytes(32 * mebibyte, "crowd"));
  upstream.putImage("team/app", "1");
  await using server = await startServer(folder.path, [upstream]);
  for (const path of [`blobs/${digest}`, "manifests/1"]) await (await fetch(`${server.url}/v2/up0/team/app/${path}`)).arrayBuffer();
  const pullAll = (): Promise<number> => slowestMs(`${server.url}/v2/up0/team/app/manifests/1`, { clients, pulls });
  await pullAll(); // What is compiled and cached once is not the crowd's doing.
  const calmMs = await pullAll();
  const idle = await heldBy(server);
  const flood = Array.from({ length: 3_000 }, (_, at) => `x-flood-${at}: ${"y".repeat(40)}\r\n`).join("");
  const crowd = [
    ...Array.from({ length: halfRequests }, () => send(server, "GET /v2/up0/team/app/manifests/1 HTTP/1.1\r\nHost: x\r\nX-Half: ")),
    ...Array.from({ length: stalledReaders }, () => send(server, `GET /v2/up0/team/app/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`, { until: "readable" })),
    ...Array.from({ length: headerFloods }, () => send(server, `GET /v2/ HTTP/1.1\r\nHost: x\r\n${flood}\r\n`, { until: "close" })),
  ];
  await Promise.all(crowd.map(({ arrived }) => arrived));
  const meanwhileMs = await pullAll();
  const most = await heldBy(server);
  for (const { socket } of crowd) socket.destroy();
  const after = await lookUntil(
    () => heldBy(server),
    ({ openFiles }) => openFiles <= idle.openFiles,
    { waitMs: releasedWithinMs },
  );
  return { calmMs, meanwhileMs, idle, most, after };
}

export interface AbandonedResult {
  readonly idle: Held;
  readonly most: Held;
  /** Downloads that go on though everybody has left. */
  readonly goingOn: number;
}

/** Huge blobs of several registries are begun, 16 of each, stall after a few megabytes, and are left by their clients. */
export async function abandonHugeFills({ registries }: { registries: number }): Promise<AbandonedResult> {
  await using folder = await temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const upstreams: FakeUpstream[] = [];
  for (let count = 0; count < registries; count++) upstreams.push(stack.use(await startFakeUpstream()));
  const content = seededBytes(16 * mebibyte, "huge");
  const never = new Promise<void>(() => {});
  for (const upstream of upstreams) upstream.when({ kind: "blob" }, { holdBody: { atBytes: 3 * mebibyte, until: never } });
  await using server = await startServer(folder.path, upstreams);
  const idle = await heldBy(server);
  const pulls = upstreams.flatMap((upstream, at) =>
    Array.from({ length: 16 }, (_, number) => {
      const digest = `sha256:${String(number).padStart(64, "0")}` as const;
      upstream.putBlob("team/app", content, { digest: digest as ReturnType<FakeUpstream["putBlob"]> }); // A digest by its shape, of other bytes.
      return startPull({ host: server.host, path: `/v2/up${at}/team/app/blobs/${digest}` });
    }),
  );
  await Promise.all(pulls.map((pull) => pull.received(2 * mebibyte)));
  const most = await heldBy(server);
  for (const pull of pulls) pull.abort();
  await Promise.all(pulls.map(({ done }) => done));
  const goingOn = await lookUntil(
    () => fillsRunning(server),
    (running) => running <= registries * goingOnMax,
    { waitMs: releasedWithinMs },
  );
  return { idle, most, goingOn };
}

function startServer(folder: string, upstreams: readonly FakeUpstream[]): Promise<OurServer> {
  const registries = upstreams.map(({ host }, at) => ({ name: host, scheme: "http", aliases: [`up${at}`] }));
  return startOurServer({ folder, config: { logFile: `${folder}/log`, registries } });
}

/** Connects and sends. `arrived` resolves when that has left, or when its answer has begun ("readable") or we have been cut ("close"). */
function send(
  { port }: OurServer,
  request: string,
  { until }: { until?: "readable" | "close" } = {},
): { readonly socket: Socket; readonly arrived: Promise<void> } {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {}); // To be cut is what they are here for.
  if (until !== "readable") socket.resume();
  const arrived = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ${until ?? "sent"} within ${arrivedWithinMs} ms: ${request.slice(0, 100)}`)), arrivedWithinMs);
    const arrive = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (until !== undefined) socket.once(until, arrive);
    socket.once("connect", () => socket.write(request, () => until ?? arrive()));
  });
  return { socket, arrived };
}

async function slowestMs(url: string, { clients, pulls }: { clients: number; pulls: number }): Promise<number> {
  const times: number[] = [];
  async function pullOn(): Promise<void> {
    for (let count = 0; count < pulls / clients; count++) {
      const startMs = performance.now();
      const answer = await fetch(url);
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new Error(`a well-behaved client was answered ${answer.status}`);
      times.push(performance.now() - startMs);
    }
  }
  await Promise.all(Array.from({ length: clients }, pullOn));
  return times.sort((one, other) => one - other)[Math.floor(times.length * 0.99)] ?? NaN;
}

async function heldBy({ process }: OurServer): Promise<Held> {
  return { residentBytes: await process.residentBytes(), openFiles: await process.openFiles() };
}
