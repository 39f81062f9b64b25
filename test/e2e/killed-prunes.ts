/**
 * SIGKILL while images are being pruned, again and again, beside a server that serves from the same store with no network: whatever can be
 * seen is whole, what was to stay is served all the time, and the next prune finishes the job.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { delay, systemClock } from "../../src/oci/clock.ts";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { blobFiles, depositImage, heldNames, missingParts } from "../support/deposited-images.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, temporaryFiles, withoutOurVariables, type OurServer } from "../support/our-server.ts";
import { startProcess } from "../support/processes.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface KilledPrunesOptions {
  readonly rounds: number;
  /** Between 0 and 1: which of the files that go is the last to go, each time. */
  readonly random: () => number;
}

export interface KilledPrunesResult {
  /** Rounds in which the prune was still running when it was killed. */
  readonly killed: number;
  /** Images that could still be seen when it was killed: between none and all. */
  readonly seenAtKill: number;
  /** What could be seen, and was not whole. */
  readonly halves: readonly string[];
  /** Looks at what was to stay that found it whole, and those that did not. */
  readonly wholeLooks: number;
  readonly brokenLooks: readonly string[];
  /** What second prunes left of what they were to take: names and files. */
  readonly left: readonly string[];
  readonly leftovers: readonly string[];
}

/** Images that go in each round. */
export const prunedPerRound = 4;

const watchEveryMs = 100;
const root = join(import.meta.dirname, "..", "..");
const command = join(root, "node_modules", ".bin", "node");

/** Runs it. */
export async function killPrunes({ rounds, random }: KilledPrunesOptions): Promise<KilledPrunesResult> {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path, config: { airGapped: true } });
  const seen = { killed: 0, seenAtKill: 0, halves: [] as string[], wholeLooks: 0, brokenLooks: [] as string[], left: [] as string[] };
  const staying = Array.from({ length: 3 }, (_, at) => ({ name: `quay.io/stays/app-${at}`, image: build("stays", at) }));
  {
    await using store = await openTestStore({ root: server.imagePath, systemClock: true });
    for (const { name, image } of staying) await depositImage(store, systemClock, `${name}:1`, image);
  }
  for (let round = 0; round < rounds; round += 1) {
    const going = Array.from({ length: prunedPerRound }, (_, at) => ({ name: `quay.io/round-${round}/app-${at}`, image: build(`round ${round}`, at) }));
    await using store = await openTestStore({ root: server.imagePath, systemClock: true });
    const before = new Set(await filesUnder(server.imagePath));
    for (const { name, image } of going) {
      await depositImage(store, systemClock, `${name}:1`, image);
      await depositImage(store, systemClock, name, buildArtifact(image.manifest));
    }
    const stop = watch(server, staying, seen);
    const args = [join(root, "src", "main.ts"), "prune", "--image-path", server.imagePath, "--pattern", `/round-${round}/`];
    const files = (await filesUnder(server.imagePath)).filter((path) => !before.has(path) && !path.startsWith(`${server.imagePath}/tmp/`));
    const last = files[Math.floor(random() * files.length)] ?? "";
    const pruning = await startProcess({ command, args, env: withoutOurVariables() });
    await lookUntil(
      () => Promise.resolve(existsSync(last)),
      (isThere) => !isThere || pruning.hasEnded,
      { waitMs: 60_000, everyMs: 1 },
    );
    if (!pruning.hasEnded) seen.killed += 1;
    await pruning.kill("SIGKILL");
    seen.halves.push(...(await missingParts(store, systemClock)));
    seen.seenAtKill += (await goingNames(store, round)).length;
    await (
      await startProcess({ command, args, env: withoutOurVariables() })
    ).ended;
    await stop();
    seen.halves.push(...(await missingParts(store, systemClock)));
    seen.left.push(...(await goingNames(store, round)), ...(await goingFiles(server, going, staying)));
  }
  await server.process.kill("SIGTERM");
  await using store = await openTestStore({ root: server.imagePath });
  await store.instance.sweep();
  return { ...seen, leftovers: await temporaryFiles(server) };
}

interface Named {
  readonly name: string;
  readonly image: BuiltIndex;
}

/** Two platforms; a layer that all images share, one of the group, one of its own. */
function build(group: string, at: number): BuiltIndex {
  const layers: readonly Readonly<Record<string, Uint8Array>>[] = [
    { shared: seededBytes(50_000, "shared by all") },
    { grouped: seededBytes(50_000, group) },
    { own: seededBytes(100_000, `${group}, image ${at}`) },
  ];
  return buildIndex([buildImage({ layers }), buildImage({ platform: "linux/arm64", layers })]);
}

function partsOf({ image }: Named): readonly Digest[] {
  const parts: readonly (BuiltImage | BuiltIndex)[] = [image, ...image.images, buildArtifact(image.manifest)];
  return parts.flatMap((part) => [part.manifest.descriptor.digest, ...part.blobs.keys()]);
}

async function goingNames(store: TestStore, round: number): Promise<readonly string[]> {
  return (await heldNames(store, systemClock)).filter((name) => name.includes(`/round-${round}/`));
}

/** Files that only what went needed. */
async function goingFiles(server: OurServer, going: readonly Named[], staying: readonly Named[]): Promise<readonly string[]> {
  const needed = new Set(staying.flatMap(partsOf));
  const files = await blobFiles(server.imagePath);
  // Artifacts share their empty config, in every round.
  return going.flatMap(partsOf).filter((digest) => files.has(digest) && !needed.has(digest));
}

/** Looks at what stays all the time, until the result is called. */
function watch(server: OurServer, staying: readonly Named[], seen: { wholeLooks: number; brokenLooks: string[] }): () => Promise<void> {
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      for (const one of staying) {
        const wrong = await lookAt(server, one);
        if (wrong.length === 0) seen.wholeLooks += 1;
        seen.brokenLooks.push(...wrong);
      }
      await delay(systemClock, watchEveryMs); // Who prunes wants to run as well.
    }
  })();
  return async () => {
    isOver = true;
    await watching;
  };
}

/** What of an image is not served exact. */
async function lookAt({ url }: OurServer, { name, image }: Named): Promise<readonly string[]> {
  const wrong: string[] = [];
  const read = async (path: string, digest: Digest): Promise<Uint8Array> => {
    const answer = await fetch(`${url}/v2/${name}/${path}`);
    const body = new Uint8Array(await answer.arrayBuffer());
    if (answer.status !== 200 || digestOf(body) !== digest) wrong.push(`${name}/${path} ${answer.status}`);
    return body;
  };
  await read("manifests/1", image.manifest.descriptor.digest);
  for (const child of image.images) {
    const body = await read(`manifests/${child.manifest.descriptor.digest}`, child.manifest.descriptor.digest);
    for (const { digest } of wrong.length === 0 ? readManifestContent(body).blobs : []) await read(`blobs/${digest}`, digest);
  }
  return wrong;
}

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
