/**
 * SIGKILL while an archive is being loaded, again and again, beside a server on the same store: whatever can be seen is whole, at every
 * moment, and the next run finishes the job.
 */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { isErrno } from "../../src/oci/errno.ts";
import { layoutEntries } from "../support/archives.ts";
import { buildImage, buildIndex, seededBytes, type BuiltIndex } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, temporaryFiles, withoutOurVariables, type OurServer } from "../support/our-server.ts";
import { startProcess } from "../support/processes.ts";
import { tarOfEntries } from "../support/tar.ts";
import { openTestStore } from "../support/test-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface ArchiveKillsOptions {
  readonly rounds: number;
  /** Between 0 and 1: how far each load gets. */
  readonly random: () => number;
}

export interface ArchiveKillsResult {
  /** Rounds in which the load was still running when it was killed. */
  readonly killed: number;
  /** Images that could be seen when it was killed: between none and all. */
  readonly seenAtKill: number;
  /** What could be seen, and was not whole or not exact: names of parts. */
  readonly halves: readonly string[];
  /** Looks at images that could be seen, and were whole. */
  readonly wholeLooks: number;
  /** Images of second runs that are served exact at the end, of `imagesPerArchive` a round. */
  readonly servedAtEnd: number;
  /** Temporary files that nobody takes away. */
  readonly leftovers: readonly string[];
}

export const imagesPerArchive = 3;

const root = join(import.meta.dirname, "..", "..");
const command = join(root, "node_modules", ".bin", "node");
/** What one archive leaves, roughly: where a load is killed is told by how many files there are. */
const filesPerArchive = 60;

/** Runs it. */
export async function killArchiveLoads({ rounds, random }: ArchiveKillsOptions): Promise<ArchiveKillsResult> {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path, config: { airGapped: true } });
  const seen = { killed: 0, seenAtKill: 0, wholeLooks: 0, halves: [] as string[] };
  const all: { readonly name: string; readonly image: BuiltIndex }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const images = Array.from({ length: imagesPerArchive }, (_, at) => ({ name: `quay.io/round-${round}/app-${at}`, image: buildOne(round, at) }));
    const file = join(folder.path, "archive.tar");
    await writeFile(file, tarOfEntries(layoutEntries(images.map(({ name, image }) => ({ image, annotations: { "io.containerd.image.name": `${name}:1` } })))));
    const args = [join(root, "src", "main.ts"), "load", "--image-path", server.imagePath, "--image-file", file];
    const loading = await startProcess({ command, args, env: withoutOurVariables() });
    const target = (await filesUnder(server.imagePath)) + 1 + Math.floor(random() * filesPerArchive);
    const isThere = async (): Promise<boolean> => (await filesUnder(server.imagePath)) >= target;
    await lookUntil(isThere, (isSo) => isSo || loading.hasEnded, { waitMs: 60_000, everyMs: 1 });
    if (!loading.hasEnded) seen.killed += 1;
    await loading.kill("SIGKILL");
    for (const { name, image } of images) {
      const look = await lookAt(server, name, image);
      if (look === "whole") seen.seenAtKill += 1;
      if (look === "whole") seen.wholeLooks += 1;
      if (Array.isArray(look)) seen.halves.push(...look);
    }
    const again = await startProcess({ command, args, env: withoutOurVariables() });
    const stop = watch(server, images, seen);
    await again.ended;
    await stop();
    all.push(...images);
  }
  const servedAtEnd = await countServed(server, all);
  await server.process.kill("SIGTERM");
  await using store = await openTestStore({ root: server.imagePath });
  await store.instance.sweep();
  return { ...seen, servedAtEnd, leftovers: await temporaryFiles(server) };
}

function buildOne(round: number, at: number): BuiltIndex {
  const layers: readonly Readonly<Record<string, Uint8Array>>[] = [
    { shared: seededBytes(50_000, `round ${round}`) },
    { own: seededBytes(200_000, `round ${round}, image ${at}`) },
  ];
  return buildIndex([buildImage({ layers }), buildImage({ platform: "linux/arm64", layers })]);
}

/** "absent" when its tag shows nothing; else whether all of it is there and exact. */
async function lookAt({ url }: OurServer, name: string, { manifest }: BuiltIndex): Promise<"absent" | "whole" | readonly string[]> {
  const top = await fetch(`${url}/v2/${name}/manifests/1`);
  const bytes = new Uint8Array(await top.arrayBuffer());
  if (top.status === 404) return "absent";
  const wrong: string[] = top.status === 200 && digestOf(bytes) === manifest.descriptor.digest ? [] : [`${name}:1 ${top.status}`];
  const read = async (kind: "manifests" | "blobs", digest: string): Promise<Uint8Array> => {
    const answer = await fetch(`${url}/v2/${name}/${kind}/${digest}`);
    const body = new Uint8Array(await answer.arrayBuffer());
    if (answer.status !== 200 || digestOf(body) !== digest) wrong.push(`${name} ${kind} ${digest} ${answer.status}`);
    return body;
  };
  for (const child of wrong.length === 0 ? readManifestContent(bytes).manifests : []) {
    const body = await read("manifests", child.digest);
    for (const blob of wrong.length === 0 ? readManifestContent(body).blobs : []) await read("blobs", blob.digest);
  }
  return wrong.length === 0 ? "whole" : wrong;
}

/** Looks at the images all the time, until the result is called. */
function watch(
  server: OurServer,
  images: readonly { readonly name: string; readonly image: BuiltIndex }[],
  seen: { wholeLooks: number; halves: string[] },
): () => Promise<void> {
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      for (const { name, image } of images) {
        const look = await lookAt(server, name, image);
        if (look === "whole") seen.wholeLooks += 1;
        if (Array.isArray(look)) seen.halves.push(...look);
      }
    }
  })();
  return async () => {
    isOver = true;
    await watching;
  };
}

async function countServed(server: OurServer, images: readonly { readonly name: string; readonly image: BuiltIndex }[]): Promise<number> {
  const count = async (): Promise<number> => {
    let whole = 0;
    for (const { name, image } of images) whole += (await lookAt(server, name, image)) === "whole" ? 1 : 0;
    return whole;
  };
  return await lookUntil(count, (whole) => whole === images.length, { waitMs: 5_000 });
}

async function filesUnder(folder: string): Promise<number> {
  try {
    return (await readdir(folder, { recursive: true })).length;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0; // Something went while it was looked through.
    throw error;
  }
}
