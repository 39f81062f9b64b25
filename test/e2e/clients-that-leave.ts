/** Clients that go away anywhere in a pull, by the thousand: what the server held for them has to come back. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { fillsRunning, startOurServer, temporaryFiles, type OurServer } from "../support/our-server.ts";
import { pull } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface LeavingOptions {
  readonly pulls: number;
  readonly blobs: number;
  readonly blobBytes: number;
  readonly atOnce: number;
  readonly random: () => number;
}

/** What the server holds at a quiet moment. */
export interface Held {
  readonly openFiles: number;
  readonly temporaryFiles: number;
  readonly residentBytes: number;
}

export interface LeavingResult {
  readonly before: Held;
  readonly after: Held;
  /** Pulls that received a byte that was not the right one. */
  readonly inexact: number;
  /** All that the upstream sent, as a multiple of all blobs together. */
  readonly upstreamRatio: number;
}

/** Runs the pulls against a server of its own; "before" is after a tenth as many, so that pools, caches and V8's heap are what use makes them. */
export async function runLeavingClients({ pulls, blobs, blobBytes, atOnce, random }: LeavingOptions): Promise<LeavingResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const contents = Array.from({ length: blobs }, (_, at) => seededBytes(blobBytes, `blob ${at}`));
  const targets = contents.map((content) => ({ content, path: `/v2/up/a/blobs/${upstream.putBlob("a", content)}` }));
  await mkdir(join(folder.path, "server"));
  const config = { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  await using server = await startOurServer({ folder: join(folder.path, "server"), config });

  const idle = await heldBy(server);
  let inexact = 0;
  async function leaveTimes(count: number): Promise<void> {
    let next = 0;
    async function leaveAgainAndAgain(): Promise<void> {
      while (next++ < count) {
        const target = targets[Math.floor(random() * targets.length)];
        if (!target) continue;
        const result = await pull({ host: server.host, path: target.path, expected: target.content, abortAfterBytes: Math.floor(random() * blobBytes * 1.2) });
        if (!result.isExact) inexact++;
      }
    }
    await Promise.all(Array.from({ length: atOnce }, leaveAgainAndAgain));
  }
  await leaveTimes(Math.ceil(pulls / 10));
  const before = await heldWhenQuiet(server, upstream, idle);
  await leaveTimes(pulls);
  const after = await heldWhenQuiet(server, upstream, idle);
  return { before, after, inexact, upstreamRatio: upstream.bytesSent.total / (blobs * blobBytes) };
}

const quietWithinMs = 30_000;

/** What is held once fills have ended by themselves and the idle connections to the upstream, which we cut, are gone. */
async function heldWhenQuiet(server: OurServer, upstream: FakeUpstream, idle: Held): Promise<Held> {
  await lookUntil(
    () => fillsRunning(server),
    (running) => running === 0,
    { waitMs: quietWithinMs },
  );
  await upstream.refuse();
  await upstream.accept();
  return await lookUntil(
    () => heldBy(server),
    ({ openFiles, temporaryFiles }) => openFiles <= idle.openFiles && temporaryFiles <= idle.temporaryFiles,
    { waitMs: quietWithinMs },
  );
}

async function heldBy(server: OurServer): Promise<Held> {
  return {
    openFiles: await server.process.openFiles(),
    temporaryFiles: (await temporaryFiles(server)).length,
    residentBytes: await server.process.residentBytes(),
  };
}
