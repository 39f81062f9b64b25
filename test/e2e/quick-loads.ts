/** How much several jobs save a load whose registry is far away, and how often each blob is asked for. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../support/images.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface QuickLoadsOptions {
  readonly images: number;
  /** Of each request. */
  readonly latencyMs: number;
  /** Each is a load of its own, of everything into an empty store. */
  readonly jobs: readonly number[];
}

export interface QuickLoad {
  readonly jobs: number;
  readonly tookMs: number;
  readonly failed: number;
  /** Bytes of blobs that the registry sent / bytes of the blobs that there are. */
  readonly byteRatio: number;
  /** The most often that one blob was asked for. */
  readonly asksMax: number;
}

const root = join(import.meta.dirname, "..", "..");

/** All images share a layer; each has two of its own. */
export async function runQuickLoads({ images, latencyMs, jobs }: QuickLoadsOptions): Promise<readonly QuickLoad[]> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const base = { base: seededBytes(300_000, "base") };
  const built = Array.from({ length: images }, (_, index) =>
    buildImage({ layers: [base, { own: seededBytes(100_000, `own ${index}`) }, { name: `${index}` }] }),
  );
  for (const [index, image] of built.entries()) upstream.putImage(`team/app-${index}`, "1", image);
  upstream.when({}, { hold: () => sleep(latencyMs) });
  const list = join(folder.path, "images.txt");
  await writeFile(list, built.map((_, index) => `${upstream.host}/team/app-${index}:1\n`).join(""));
  const loads: QuickLoad[] = [];
  for (const count of jobs) loads.push(await measure(upstream, built, { folder: folder.path, list, jobs: count }));
  return loads;
}

async function measure(
  upstream: FakeUpstream,
  built: readonly BuiltImage[],
  { folder, list, jobs }: { folder: string; list: string; jobs: number },
): Promise<QuickLoad> {
  upstream.forget();
  const config = join(folder, `jobs-${jobs}.yaml`);
  await writeFile(config, JSON.stringify({ imagePath: join(folder, `store-${jobs}`), registries: [{ name: upstream.host, scheme: "http" }] }));
  const node = join(root, "node_modules", ".bin", "node");
  const args = [join(root, "src", "main.ts"), "load", "--config-file", config, "--image-file", list, "--jobs", String(jobs), "--json"];
  const { stdout } = await runProcess(node, args, { deadlineMs: 300_000 });
  const { summary } = JSON.parse(stdout) as { summary: { tookMs: number; failed: number } };
  const distinct = new Map(built.flatMap(({ blobs }) => [...blobs].map(([digest, bytes]) => [digest, bytes.byteLength] as const)));
  const asked = [...upstream.bytesSent.byPath].filter(([path]) => path.includes("/blobs/"));
  const asks = upstream.requests.flatMap((request) => /^GET .*\/blobs\/(\S+)/.exec(request)?.[1] ?? []);
  return {
    jobs,
    tookMs: summary.tookMs,
    failed: summary.failed,
    byteRatio: asked.reduce((sum, [, bytes]) => sum + bytes, 0) / [...distinct.values()].reduce((sum, bytes) => sum + bytes, 0),
    asksMax: Math.max(...[...distinct.keys()].map((digest) => asks.filter((ask) => ask === digest).length)),
  };
}
