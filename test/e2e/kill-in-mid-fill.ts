/**
 * SIGKILL at random moments under load, again and again on one store: what was finished stays, what was begun goes on. Beside one
 * large blob that is watched, a crowd pulls whole images all the time.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { describe, seededBytes } from "../support/images.ts";
import { startOurServer, temporaryFiles } from "../support/our-server.ts";
import { pull, startPull, type PullResult } from "../support/raw-client.ts";
import { Throttle } from "../support/sending.ts";
import { bytesInBuffers } from "../support/socket-buffers.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { PullingCrowd } from "./pulling-crowd.ts";

export interface KillOptions {
  readonly rounds: number;
  /** The watched blob's, anew in each round. */
  readonly blobBytes: number;
  readonly upstreamBytesPerSecond: number;
  /** Of clients of the crowd. */
  readonly pairs: number;
  readonly layerBytes: number;
  /** Between 0 and 1: where in each round to kill. The last tenth is after the blob's last byte. */
  readonly random: () => number;
  /** Told now and then how far it is. */
  readonly report?: (line: string) => void;
}

export interface KillResult {
  /** Pulls of the watched blob after a restart that were whole and exact. */
  readonly exactAfterRestart: number;
  /** Of the watched blobs of all rounds: served with the upstream gone, at the end. */
  readonly exactWithoutUpstream: number;
  /** Images that the crowd pulled to their ends, and how many of them are served with the upstream gone, at the end. */
  readonly crowdImages: number;
  readonly crowdImagesWithoutUpstream: number;
  /** Pulls of the crowd that a kill cut. */
  readonly crowdInterrupted: number;
  /** The most of a watched blob that had come to us before the kill, and was sent again after the restart, as a share of its size. */
  readonly sentAgainWorst: number;
  /**
   * The most that any watched blob cost, as a multiple of its size. With what lay unread in the system's buffers, and what its
   * registry sent while the process was being taken down: on a busy machine that takes a tenth of a second.
   */
  readonly upstreamRatioWorst: number;
  /** How far behind what a client had received already a fill went on, at worst. */
  readonly behindClientBytesWorst: number;
  /** Bodies that a client took for whole though they were wrong. */
  readonly wrongBodies: number;
  /** Files of the store whose bytes are not what their name says. */
  readonly wrongFiles: readonly string[];
  /** Temporary files of any kind that lie in the store at the end, when it has been stopped. */
  readonly leftovers: readonly string[];
}

const reportEvery = 10;
const lastTenth = 1.1;

/** Runs the rounds on a store of its own. */
export async function killInMidFill(options: KillOptions): Promise<KillResult> {
  const { rounds, blobBytes, upstreamBytesPerSecond, pairs, layerBytes, random, report } = options;
  const beganAtMs = performance.now();
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  // An even pace: what bursts into the system's buffers is sent again after a kill, and says nothing about us.
  upstream.when({ kind: "blob", repository: "watched" }, { bytesPerSecond: new Throttle({ bytesPerSecond: upstreamBytesPerSecond, catchUpMs: 10 }) });
  await mkdir(join(folder.path, "server"));
  const config = { tagTtl: "1d", registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  const start = (port: number) => startOurServer({ folder: join(folder.path, "server"), config: { ...config, port } });
  let up = Promise.withResolvers<void>();
  let server = await start(0);
  up.resolve();
  using crowd = new PullingCrowd({ upstream, base: `${server.host}/v2/up`, whenUp: () => up.promise, pairs, layerBytes });
  const counts = { exactAfterRestart: 0, exactWithoutUpstream: 0, wrongBodies: 0, sentAgainWorst: 0, upstreamRatioWorst: 0, behindClientBytesWorst: 0 };
  const watched: { readonly path: string; readonly seed: string }[] = [];
  try {
    crowd.start();
    for (let round = 0; round < rounds; round++) {
      const seed = `round ${round}`;
      const content = seededBytes(blobBytes, seed);
      const digest = upstream.putBlob("watched", content);
      const configOfIt = describe(mediaTypes.ociConfig, content);
      const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: configOfIt, layers: [] }));
      upstream.putManifest("watched", `round-${round}`, manifest, mediaTypes.ociManifest);
      if (!isRight(await pull({ host: server.host, path: `/v2/up/watched/manifests/round-${round}`, expected: manifest })))
        throw new Error("the manifest was not pulled");
      const path = `/v2/up/watched/blobs/${digest}`;
      watched.push({ path, seed });
      upstream.forget();
      const requestsOfIt = (): readonly string[] => upstream.requests.filter((line) => line.includes(digest));
      const sentOfIt = (): number => upstream.bytesSent.byPath.get(`/v2/watched/blobs/${digest}`) ?? 0;
      const first = startPull({ host: server.host, path, expected: content });
      const share = random() * lastTenth;
      if (share < 1) await upstream.waitFor(() => sentOfIt() >= Math.max(1, blobBytes * share), "the moment to kill", { waitMs: 60_000 });
      else await first.received(blobBytes);
      up = Promise.withResolvers();
      const clientPort = upstream.log.findLast(({ line }) => line.includes(digest))?.clientPort ?? 0;
      const arrivedBytes = sentOfIt() - bytesInBuffers(clientPort, Number(upstream.host.split(":")[1]));
      await server.process.kill("SIGKILL");
      const cut = await first.done;
      if (isWrong(cut)) counts.wrongBodies++;
      server = await start(server.port);
      up.resolve();
      const before = requestsOfIt().length;
      const second = await pull({ host: server.host, path, expected: content });
      if (isRight(second)) counts.exactAfterRestart++;
      if (isWrong(second)) counts.wrongBodies++;
      upstream.remove("watched", digest);
      const resumedAtBytes = resumedAt(requestsOfIt()[before], blobBytes);
      counts.behindClientBytesWorst = Math.max(counts.behindClientBytesWorst, cut.receivedBytes - resumedAtBytes);
      counts.sentAgainWorst = Math.max(counts.sentAgainWorst, (arrivedBytes - resumedAtBytes) / blobBytes);
      counts.upstreamRatioWorst = Math.max(counts.upstreamRatioWorst, sentOfIt() / blobBytes);
      if ((round + 1) % reportEvery === 0) report?.(`${told(round + 1)} of ${rounds} kills; the crowd has ${crowd.finishedCount} images`);
    }
    await crowd.stop();
    await upstream.refuse();
    for (const { path, seed } of watched) {
      const result = await pull({ host: server.host, path, expected: seededBytes(blobBytes, seed) });
      if (isRight(result)) counts.exactWithoutUpstream++;
      if (isWrong(result)) counts.wrongBodies++;
    }
    report?.(`${told(counts.exactWithoutUpstream)} watched blobs came without the upstream`);
    const crowdImagesWithoutUpstream = await crowd.pullFinishedAgain();
    report?.(`${told(crowdImagesWithoutUpstream)} images came without the upstream`);
    await server.process.kill("SIGTERM");
    const wrongFiles = await filesOfWrongName(join(server.imagePath, "blobs"));
    report?.(`${told("all")} files hashed`);
    return {
      ...counts,
      crowdImages: crowd.finishedCount,
      crowdImagesWithoutUpstream,
      crowdInterrupted: crowd.interrupted,
      wrongBodies: counts.wrongBodies + crowd.wrongBodies,
      wrongFiles,
      leftovers: [...(await temporaryFiles(server)), ...(await readdir(server.imagePath)).filter((name) => name.startsWith("."))],
    };
  } finally {
    await server.process.kill();
  }

  function told(what: number | string): string {
    return `${Math.round((performance.now() - beganAtMs) / 1_000)} s: ${what}`;
  }
}

const isRight = ({ status, ending, isExact }: PullResult): boolean => status === 200 && ending === "complete" && isExact;
const isWrong = ({ status, ending, isExact }: PullResult): boolean => status === 200 && ending === "complete" && !isExact;

/** Where the request after the restart began; without one everything was there. */
function resumedAt(line: string | undefined, blobBytes: number): number {
  return line === undefined ? blobBytes : Number(/ bytes=(\d+)-/.exec(line)?.[1] ?? 0);
}

async function filesOfWrongName(folder: string): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const hash = createHash("sha256");
    await pipeline(createReadStream(join(entry.parentPath, entry.name), { highWaterMark: 1024 * 1024 }), hash);
    if (hash.digest("hex") !== entry.name) wrong.push(entry.name);
  }
  return wrong;
}
