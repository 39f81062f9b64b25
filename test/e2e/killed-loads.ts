/** Loads that are killed at moments of their own, beside a server on the same store: what is seen is whole, and the last load finishes the job. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex, seededBytes, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { runProcess, startProcess } from "../support/processes.ts";
import { Throttle } from "../support/sending.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface KilledLoadsOptions {
  readonly kills: number;
  /** Between 0 and 1: when in a load's life it is killed. */
  readonly random: () => number;
}

export interface KilledLoads {
  /** Loads that were killed; the others had ended before. */
  readonly killed: number;
  /** Looks at an image that was not whole although its tag was seen. */
  readonly halves: number;
  /** Images that were whole and then were not. */
  readonly lost: number;
  /** Images that were whole at the end, of all. */
  readonly whole: number;
  readonly images: number;
  readonly lastCode: number | null;
}

type Image = BuiltImage | BuiltIndex;

const root = join(import.meta.dirname, "..", "..");
const node = join(root, "node_modules", ".bin", "node");
/** Longer than any load of these takes to begin, and to end. */
const lifeMs = 2_500;

export async function runKilledLoads({ kills, random }: KilledLoadsOptions): Promise<KilledLoads> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const images = new Map<string, Image>();
  for (let index = 0; index < 12; index++) {
    const parts = ["linux/amd64", "linux/arm64"].map((platform) =>
      buildImage({ platform, layers: [{ shared: "shared" }, { own: seededBytes(600_000, `${index} ${platform}`) }] }),
    );
    images.set(`app-${index}`, index % 3 === 0 ? (parts[0] ?? buildImage()) : buildIndex(parts));
  }
  for (const [name, image] of images) putImage(upstream, name, image);
  const pace = new Throttle({ bytesPerSecond: 12 * 1024 * 1024 });
  upstream.when({ kind: "blob" }, { bytesPerSecond: pace });
  const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }];
  const [list, config] = [join(folder.path, "images.txt"), join(folder.path, "load.yaml")];
  await writeFile(list, [...images.keys()].map((name) => `up/team/${name}:1\n`).join(""));
  await writeFile(config, JSON.stringify({ imagePath: join(folder.path, "store"), registries, logLevel: "error", platforms: ["all"] }));
  const args = [join(root, "src", "main.ts"), "load", "--config-file", config, "--image-file", list];
  await using server = await startOurServer({ folder: folder.path, config: { airGapped: true, registries } });

  const seen = new Set<string>();
  const counts = { killed: 0, halves: 0, lost: 0 };
  const look = async (): Promise<void> => {
    for (const [name, image] of images) {
      const state = await stateOf(`${server.url}/v2/up/team/${name}`, image);
      if (state === "half") counts.halves += 1;
      if (state !== "whole" && seen.has(name)) counts.lost += 1;
      if (state === "whole") seen.add(name);
    }
  };
  for (let count = 0; count < kills; count++) {
    const load = await startProcess({ command: node, args });
    await Promise.race([sleep(300 + random() * lifeMs), load.ended]);
    if (!load.hasEnded) counts.killed += 1;
    await load.kill("SIGKILL");
    await look();
    // All of them at once would be there after the first that lives long enough.
    if (seen.size === images.size) {
      seen.clear();
      await runProcess("sh", ["-c", `rm -rf "$0"/blobs "$0"/upstreams`, join(folder.path, "store")]);
    }
  }
  const { code } = await runProcess(node, args);
  await look();
  return { ...counts, whole: seen.size, images: images.size, lastCode: code };
}

function putImage(upstream: Awaited<ReturnType<typeof startFakeUpstream>>, name: string, image: Image): void {
  if ("images" in image) upstream.putImage(`team/${name}`, "1", image);
  else upstream.putImage(`team/${name}`, "1", image);
}

/** By what a client gets that pulls all of it. */
async function stateOf(url: string, image: Image): Promise<"absent" | "half" | "whole"> {
  const root = await fetch(`${url}/manifests/1`, { headers: { accept: "*/*", connection: "close" } });
  await root.arrayBuffer();
  if (root.status === 404) return "absent";
  const parts = "images" in image ? image.images : [image];
  for (const { manifest, blobs } of parts) {
    if (!(await isThere(`${url}/manifests/${manifest.descriptor.digest}`, manifest.bytes.byteLength))) return "half";
    for (const [digest, bytes] of blobs) if (!(await isThere(`${url}/blobs/${digest}`, bytes.byteLength))) return "half";
  }
  return root.status === 200 ? "whole" : "half";
}

async function isThere(url: string, sizeBytes: number): Promise<boolean> {
  const response = await fetch(url, { headers: { accept: "*/*", connection: "close" } });
  const bytes = await response.arrayBuffer();
  return response.status === 200 && bytes.byteLength === sizeBytes;
}
