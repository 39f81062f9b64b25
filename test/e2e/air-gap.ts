/**
 * runAirGap: the round trip, with the programs that people have: a registry with images of every kind; a list; load, export; an empty
 * folder elsewhere, import; a server that dials nobody; and podman, ctr and skopeo pull all of it with the first side gone. Then some
 * images change, and only what is new is carried.
 */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../../src/oci/digest.ts";
import { referrersTagOf } from "../../src/oci/tag.ts";
import { podmanClient, skopeoClient, startContainerd } from "../support/container-clients.ts";
import { startDockerRegistry } from "../support/docker-registry.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { runProcess, type RunResult } from "../support/processes.ts";
import { pushImage, pushReferrer } from "../support/push-image.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface AirGapOptions {
  readonly images: number;
  /** How many of them change. */
  readonly changed: number;
  readonly layerBytes: number;
  readonly report?: (line: string) => void;
}

export interface AirGapResult {
  /** Pulls by each client that gave the image's own digest, of `images` each; after the change, of `changed` each. */
  readonly pulled: Readonly<Record<ClientName, number>>;
  readonly pulledChanged: Readonly<Record<ClientName, number>>;
  /** Signatures that are served on the other side: the one by referrer, the one by tag. */
  readonly signatures: number;
  readonly bundleBytes: number;
  readonly secondBundleBytes: number;
  /** Bytes of the blobs and manifests that the first bundle did not carry. */
  readonly newBytes: number;
  /** What was said, command by command. */
  readonly spoken: readonly { readonly command: string; readonly output: string }[];
}

export type ClientName = "skopeo" | "podman" | "ctr";

const registry = "registry.test";
const root = join(import.meta.dirname, "..", "..");
const flavours = ["oci", "docker"] as const;

/** Needs docker-registry, skopeo, podman, containerd with ctr, and root. */
export async function runAirGap({ images: count, changed, layerBytes, report = () => {} }: AirGapOptions): Promise<AirGapResult> {
  await using folder = await temporaryFolder();
  const place = async (name: string): Promise<string> => {
    await mkdir(join(folder.path, name), { recursive: true });
    return join(folder.path, name);
  };
  const upstream = await startDockerRegistry({ folder: await place("registry"), isQuiet: true });
  const outside = new Commands(await place("outside"), { name: registry, scheme: "http", endpoints: [upstream.url], originFallback: false }, report);
  const inside = new Commands(await place("inside"), { name: registry, scheme: "http" }, report);

  const images = Array.from({ length: count }, (_, number) => buildOne(number, layerBytes, "first"));
  for (const [number, image] of images.entries()) await pushImage(upstream.url, pathOf(number), "1.0", image);
  const signatures = await pushSignatures(upstream.url, images);

  const list = join(folder.path, "images.txt");
  await writeFile(list, images.map((_, number) => `${registry}/${pathOf(number)}:1.0\n`).join(""));
  const bundle = join(folder.path, "images.tar.zst");
  const second = join(folder.path, "july.tar");
  const receipt = join(folder.path, "inside.receipt.json");

  await outside.run("load", "--image-file", list, "--platform", "all");
  await outside.run("export", "--output", bundle, "--images", list, "--platform", "all");
  await inside.run("import", bundle);
  await inside.run("receipt", "--output", receipt, "--hold", "30d");

  const changedImages = images.slice(0, changed).map((_, number) => buildOne(number, layerBytes, "second"));
  for (const [number, image] of changedImages.entries()) await pushImage(upstream.url, pathOf(number), "1.0", image);
  await outside.run("load", "--image-file", list, "--platform", "all");
  await outside.run("export", "--output", second, "--images", list, "--platform", "all", "--since", receipt);
  await upstream[Symbol.asyncDispose]();

  await using server = await startOurServer({ folder: inside.folder, config: { ...inside.config, airGapped: true, logLevel: "info" } });
  const pulled = await pullAll(server.host, images);
  const found = await Promise.all(signatures.map(async (path) => (await fetch(`${server.url}/v2/${registry}/${path}`)).ok));
  await inside.run("import", second);
  const pulledChanged = await pullAll(server.host, changedImages);
  return {
    pulled,
    pulledChanged,
    signatures: found.filter(Boolean).length,
    bundleBytes: (await stat(bundle)).size,
    secondBundleBytes: (await stat(second)).size,
    newBytes: bytesOf(changedImages) - sharedBytes(images, changedImages),
    spoken: [...outside.spoken, ...inside.spoken],
  };
}

/** Our commands on one side, each a process of its own. */
class Commands {
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly spoken: { readonly command: string; readonly output: string }[] = [];
  readonly #report: (line: string) => void;

  constructor(folder: string, registryConfig: object, report: (line: string) => void) {
    this.folder = folder;
    this.config = { imagePath: join(folder, "store"), registries: [registryConfig], logLevel: "warn" };
    this.#report = report;
  }

  async run(...words: readonly string[]): Promise<RunResult> {
    const configFile = join(this.folder, "command.yaml");
    await writeFile(configFile, JSON.stringify(this.config)); // JSON is YAML.
    const node = join(root, "node_modules", ".bin", "node");
    const result = await runProcess(node, [join(root, "src", "main.ts"), ...words, "--config-file", configFile], { deadlineMs: 300_000 });
    const output = `${result.stdout}${result.stderr}`;
    this.spoken.push({ command: `ociregistry ${words.join(" ")}`, output });
    this.#report(`ociregistry ${words.join(" ")}: ${Math.round(result.ms)} ms`);
    if (result.code !== 0) throw new Error(`ociregistry ${words.join(" ")}: exit code ${String(result.code)}\n${output}`);
    return result;
  }
}

function pathOf(number: number): string {
  return `team/app-${number}`;
}

/** Multi-arch or not, OCI or Docker: all share a layer, and each has one of its own. */
function buildOne(number: number, layerBytes: number, version: string): BuiltImage | BuiltIndex {
  const flavour = flavours[Math.floor(number / 2) % 2] ?? "oci";
  const own = seededBytes(layerBytes, `${number} ${version}`);
  const build = (platform: string): BuiltImage =>
    buildImage({ platform, flavour, layers: [{ "usr/shared": seededBytes(layerBytes, "shared") }, { "usr/own": own }] });
  return number % 2 === 0 ? buildIndex([build("linux/amd64"), build("linux/arm64")], { flavour }) : build("linux/amd64");
}

/** One by the referrers API, of the first image; one by cosign's tag, of the second. Paths under which they are served. */
async function pushSignatures(url: string, [first, second]: readonly (BuiltImage | BuiltIndex)[]): Promise<readonly string[]> {
  if (!first || !second) return [];
  const byReferrer = buildArtifact(first.manifest);
  await pushReferrer(url, pathOf(0), first.manifest, byReferrer);
  const tag = `${referrersTagOf(second.manifest.descriptor.digest)}.sig`;
  await pushImage(url, pathOf(1), tag, buildImage({ layers: [{ signature: "of the second" }] }));
  return [`${pathOf(0)}/manifests/${byReferrer.manifest.descriptor.digest}`, `${pathOf(1)}/manifests/${tag}`];
}

async function pullAll(host: string, images: readonly (BuiltImage | BuiltIndex)[]): Promise<Record<ClientName, number>> {
  const pulled: Record<ClientName, number> = { skopeo: 0, podman: 0, ctr: 0 };
  // Each in a folder of its own with a short name: podman wants one.
  await using skopeoFolder = await temporaryFolder();
  await using podmanFolder = await temporaryFolder();
  await using containerdFolder = await temporaryFolder();
  await using skopeo = await skopeoClient(skopeoFolder.path);
  await using podman = await podmanClient(podmanFolder.path);
  await using containerd = await startContainerd(containerdFolder.path);
  for (const [number, { manifest }] of images.entries()) {
    const { digest } = manifest.descriptor;
    const reference = `${host}/${registry}/${pathOf(number)}:1.0`;
    if ((await skopeo.pull(reference)) === digest) pulled.skopeo += 1;
    if ((await podman.pull(reference)).includes(digest)) pulled.podman += 1;
    await containerd.ctr("images", "pull", "--plain-http", ...containerd.pullFlags, reference);
    if ((await containerd.ctr("images", "ls")).stdout.includes(`${reference} `) && (await containerd.ctr("images", "ls")).stdout.includes(digest))
      pulled.ctr += 1;
  }
  return pulled;
}

function contentOf(images: readonly (BuiltImage | BuiltIndex)[]): ReadonlyMap<Digest, number> {
  const parts = images.flatMap((image) => ("images" in image ? [image, ...image.images] : [image]));
  return new Map(
    parts.flatMap(({ manifest, blobs }) => [
      [manifest.descriptor.digest, manifest.bytes.byteLength] as const,
      ...[...blobs].map(([digest, bytes]) => [digest, bytes.byteLength] as const),
    ]),
  );
}

function bytesOf(images: readonly (BuiltImage | BuiltIndex)[]): number {
  return [...contentOf(images).values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0);
}

function sharedBytes(one: readonly (BuiltImage | BuiltIndex)[], other: readonly (BuiltImage | BuiltIndex)[]): number {
  const known = contentOf(one);
  return [...contentOf(other)].reduce((sum, [digest, sizeBytes]) => sum + (known.has(digest) ? sizeBytes : 0), 0);
}
