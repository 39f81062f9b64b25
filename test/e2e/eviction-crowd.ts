/**
 * A crowd that pulls from more images than its server may keep, some far more often than others: the store stays within its size, no pull
 * fails, and about as many are answered from it as by a cache that knows exactly which whole image was used least recently.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface EvictionCrowdOptions {
  readonly images: number;
  readonly clients: number;
  /** The crowd leaves after so long, or so many pulls. */
  readonly durationMs: number;
  readonly pullsMax?: number;
}

export interface EvictionCrowdResult {
  readonly pulls: number;
  readonly failures: readonly string[];
  readonly evictedImages: number;
  readonly limitBytes: number;
  /** The most that all files and folders took, of several looks. */
  readonly takenBytesMax: number;
  /** What the clients may have been fetching at one moment. */
  readonly inFlightBytes: number;
  /** Pulls, after the store was full once, for which no blob was fetched; and what an ideal cache answers of the same. */
  readonly hitRatio: number;
  readonly idealHitRatio: number;
}

const layerSizes = [96 * 1024, 12 * 1024, 12 * 1024, 12 * 1024, 12 * 1024];
const blockBytes = 4_096;
/** Tag, record, six links, six folders. */
const recordBytes = 14 * blockBytes;
const lookEveryMs = 2_000;

/** Runs it. */
export async function runEvictionCrowd({ images, clients, durationMs, pullsMax = Infinity }: EvictionCrowdOptions): Promise<EvictionCrowdResult> {
  await using folder = await temporaryFolder();
  const upstream = await startFakeUpstream();
  const built = Array.from({ length: images }, (_, at) => buildOne(at));
  for (const [at, image] of built.entries()) upstream.putImage(nameOf(at), "1", image);
  const costs = built.map(costOf);
  const limitBytes = Math.round(costs.reduce((sum, cost) => sum + cost, 0) / 2) + foldersBytes;
  await using server = await startOurServer({
    folder: folder.path,
    config: { registries: [{ name: upstream.host, scheme: "http" }], tagTtl: "1h", pruneConfig: { maxSize: limitBytes }, logFile: join(folder.path, "log") },
  });
  const trace: { readonly image: number; readonly isHit: boolean }[] = [];
  const failures: string[] = [];
  const fetched = (at: number): number => blobGets.get(nameOf(at)) ?? 0;
  const blobGets = new Map<string, number>();
  let counted = 0;
  const countGets = (): void => {
    for (const request of upstream.requests.slice(counted)) {
      const [, name] = /^GET \/v2\/(.+)\/blobs\//.exec(request) ?? [];
      if (name !== undefined) blobGets.set(name, (blobGets.get(name) ?? 0) + 1);
    }
    counted = upstream.requests.length;
  };
  const pick = zipf(images);
  const untilMs = performance.now() + durationMs;
  let pulls = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < untilMs && pulls < pullsMax) {
      pulls += 1;
      const at = pick();
      countGets();
      const before = fetched(at);
      const place = trace.push({ image: at, isHit: false }) - 1;
      const problem = await pull(`${server.url}/v2/${upstream.host}/${nameOf(at)}`, built[at]);
      if (problem !== undefined) failures.push(problem);
      countGets();
      trace[place] = { image: at, isHit: fetched(at) === before };
    }
  };
  let takenBytesMax = 0;
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      takenBytesMax = Math.max(takenBytesMax, await takenBytes(server.imagePath));
      await lookUntil(() => Promise.resolve(isOver), Boolean, { waitMs: lookEveryMs });
    }
  })();
  await Promise.all(Array.from({ length: clients }, client));
  isOver = true;
  await looking;
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  await upstream.close();
  const evictedImages = Number(/^ociregistry_evicted_images_total\{budget="total"\} (\d+)/m.exec(metrics)?.[1] ?? 0);
  const inFlightBytes = clients * Math.max(...costs);
  return { pulls, failures, evictedImages, limitBytes, takenBytesMax, inFlightBytes, ...ratios(trace, costs, limitBytes - foldersBytes) };
}

/** Folders that blobs and deliveries lie in, and the store's own. */
const foldersBytes = (2 * 256 + 32) * blockBytes;

function nameOf(at: number): string {
  return `crowd/image-${at}`;
}

function buildOne(at: number): BuiltImage {
  return buildImage({ layers: layerSizes.map((sizeBytes, layer) => ({ [`file-${layer}`]: seededBytes(sizeBytes, `${at} ${layer}`) })) });
}

function costOf({ blobs, manifest }: BuiltImage): number {
  const sizes = [...blobs.values(), manifest.bytes].map(({ byteLength }) => byteLength);
  return recordBytes + sizes.reduce((sum, size) => sum + Math.ceil(size / blockBytes) * blockBytes, 0);
}

/** A few are asked for all the time, most of them hardly ever. */
function zipf(count: number): () => number {
  const sums: number[] = [];
  for (let rank = 1; rank <= count; rank++) sums.push((sums.at(-1) ?? 0) + 1 / rank);
  const total = sums.at(-1) ?? 1;
  return () => {
    const at = Math.random() * total;
    const found = sums.findIndex((sum) => sum >= at);
    // Popular ones are spread over all of them.
    return (found * 7_919) % count;
  };
}

/** What went wrong; undefined when all of the image came, exact. */
async function pull(url: string, image: BuiltImage | undefined): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/manifests/1`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (answer.status !== 200 || digestOf(bytes) !== image?.manifest.descriptor.digest) return `${url} manifest ${answer.status}`;
    const answers = await Promise.all(
      readManifestContent(bytes).blobs.map(async ({ digest }) => {
        const blob = await fetch(`${url}/blobs/${digest}`);
        const body = new Uint8Array(await blob.arrayBuffer());
        return blob.status === 200 && digestOf(body) === digest ? [] : [`${url} ${digest} ${blob.status}`];
      }),
    );
    return answers.flat()[0];
  } catch (error) {
    return `${url} ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Of pulls from when the ideal cache was full for the first time. */
function ratios(
  trace: readonly { readonly image: number; readonly isHit: boolean }[],
  costs: readonly number[],
  capacityBytes: number,
): { hitRatio: number; idealHitRatio: number } {
  const held = new Map<number, number>();
  let bytes = 0;
  let isFull = false;
  const counts = { pulls: 0, hits: 0, idealHits: 0 };
  for (const { image, isHit } of trace) {
    const isIdealHit = held.delete(image);
    const cost = costs[image] ?? 0;
    if (!isIdealHit) bytes += cost;
    held.set(image, cost);
    for (const [oldest, size] of held) {
      if (bytes <= capacityBytes) break;
      isFull = true;
      held.delete(oldest);
      bytes -= size;
    }
    if (!isFull) continue;
    counts.pulls += 1;
    counts.hits += Number(isHit);
    counts.idealHits += Number(isIdealHit);
  }
  return { hitRatio: counts.hits / counts.pulls, idealHitRatio: counts.idealHits / counts.pulls };
}

/** What all files and folders of a store take, but for the server's own. */
async function takenBytes(root: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(root, { recursive: true }).catch(() => [])) {
    if (name.startsWith("state")) continue;
    sum += await stat(join(root, name)).then(
      ({ blocks }) => blocks * 512,
      () => 0, // Gone meanwhile.
    );
  }
  return sum;
}
