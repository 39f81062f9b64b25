/** SIGKILL in the middle of a fill, again and again on one store: what was held stays, what was begun goes on. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { describe, seededBytes } from "../support/images.ts";
import { startOurServer, temporaryFiles } from "../support/our-server.ts";
import { pull, startPull, type PullResult } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface KillOptions {
  readonly rounds: number;
  readonly blobBytes: number;
  readonly upstreamBytesPerSecond: number;
  /** Between 0 and 1: where in each fill to kill. */
  readonly random: () => number;
}

export interface KillResult {
  /** Pulls after a restart that were whole and exact. */
  readonly exactAfterRestart: number;
  /** Of the blobs of all earlier rounds: served with the upstream gone, at the end. */
  readonly exactWithoutUpstream: number;
  /** The most that any blob cost, as a multiple of its size: what was on its way through the system's buffers at the kill is sent again. */
  readonly upstreamRatioWorst: number;
  /** How far behind what a client had received already a fill went on, at worst. */
  readonly behindClientBytesWorst: number;
  /** Blobs that a client took for whole though they were wrong. */
  readonly wrongBodies: number;
  /** Parts of fills that lie in the store at the end, when no fill runs. */
  readonly leftovers: readonly string[];
}

/** Runs the rounds on a store of its own. */
export async function killInMidFill({ rounds, blobBytes, upstreamBytesPerSecond, random }: KillOptions): Promise<KillResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  upstream.when({ kind: "blob" }, { bytesPerSecond: upstreamBytesPerSecond });
  await mkdir(join(folder.path, "server"));
  const config = { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  const start = (port: number) => startOurServer({ folder: join(folder.path, "server"), config: { ...config, port } });
  let server = await start(0);
  try {
    const paths: string[] = [];
    const contentOf = (round: number): Buffer => seededBytes(blobBytes, `round ${round}`);
    let exactAfterRestart = 0;
    let wrongBodies = 0;
    let upstreamRatioWorst = 0;
    let behindClientBytesWorst = 0;
    for (let round = 0; round < rounds; round++) {
      const content = contentOf(round);
      const digest = upstream.putBlob("a", content);
      const manifest = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: describe(mediaTypes.ociConfig, content), layers: [] }),
      );
      upstream.putManifest("a", `round-${round}`, manifest, mediaTypes.ociManifest);
      if (!isRight(await pull({ host: server.host, path: `/v2/up/a/manifests/round-${round}`, expected: manifest })))
        throw new Error("the manifest was not pulled");
      const path = `/v2/up/a/blobs/${digest}`;
      paths.push(path);
      upstream.forget();
      const first = startPull({ host: server.host, path, expected: content });
      await upstream.waitForBytes(Math.max(1, Math.floor(blobBytes * random())));
      await server.process.kill("SIGKILL");
      const cut = await first.done;
      if (isWrong(cut)) wrongBodies++;
      server = await start(server.port);
      const seen = upstream.log.length;
      const second = await pull({ host: server.host, path, expected: content });
      if (isRight(second)) exactAfterRestart++;
      if (isWrong(second)) wrongBodies++;
      upstream.remove("a", digest);
      behindClientBytesWorst = Math.max(behindClientBytesWorst, cut.receivedBytes - resumedAt(upstream.log[seen]?.line, blobBytes));
      upstreamRatioWorst = Math.max(upstreamRatioWorst, upstream.bytesSent.total / blobBytes);
    }
    await upstream.refuse();
    let exactWithoutUpstream = 0;
    for (const [round, path] of paths.entries()) {
      const result = await pull({ host: server.host, path, expected: contentOf(round) });
      if (isRight(result)) exactWithoutUpstream++;
      if (isWrong(result)) wrongBodies++;
    }
    return {
      exactAfterRestart,
      exactWithoutUpstream,
      upstreamRatioWorst,
      behindClientBytesWorst,
      wrongBodies,
      leftovers: (await temporaryFiles(server)).filter((name) => /\.(part|claimed)$/.test(name)),
    };
  } finally {
    await server.process.kill();
  }
}

const isRight = ({ status, ending, isExact }: PullResult): boolean => status === 200 && ending === "complete" && isExact;
const isWrong = ({ status, ending, isExact }: PullResult): boolean => status === 200 && ending === "complete" && !isExact;

/** Where the request after the restart began; without one everything was there. */
function resumedAt(line: string | undefined, blobBytes: number): number {
  return line === undefined ? blobBytes : Number(/ bytes=(\d+)-/.exec(line)?.[1] ?? 0);
}
