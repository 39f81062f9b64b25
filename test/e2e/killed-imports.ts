/**
 * killImports: an import beside a serving process, killed at random moments. What clients can see is whole at every moment, new or as it
 * was, and the second run finishes the job.
 */
import { cp, readdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { digestOf } from "../../src/oci/digest.ts";
import { isErrno } from "../../src/oci/errno.ts";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { exported, importInto, openSide } from "../support/bundle-sides.ts";
import { buildImage, buildIndex, seededBytes, type BuiltImage, type BuiltIndex } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer } from "../support/our-server.ts";
import { runProcess, startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface KilledImportsOptions {
  readonly rounds: number;
  readonly images: number;
  readonly layerBytes: number;
  readonly random: () => number;
  readonly report?: (line: string) => void;
}

export interface KilledImportsResult {
  /** Imports that were killed before they had finished. */
  readonly killed: number;
  /** Of these, those that had made nothing new visible. */
  readonly killedEarly: number;
  /** Images that could be seen and were not whole: `round name what`. */
  readonly halves: readonly string[];
  /** Images that were whole before and could not be pulled after the kill. */
  readonly lost: readonly string[];
  /** Second runs that ended well, and after which every image was served as the bundle has it within a second. */
  readonly finished: number;
}

const host = "registry.test";
const root = join(import.meta.dirname, "..", "..");
const program = [join(root, "node_modules", ".bin", "node"), join(root, "src", "main.ts")] as const;

export async function killImports({ rounds, images: count, layerBytes, random, report = () => {} }: KilledImportsOptions): Promise<KilledImportsResult> {
  await using folder = await temporaryFolder();
  const before = Array.from({ length: count }, (_, number) => buildOne(number, layerBytes, "before"));
  // Half of them change, and as many come new.
  const after = Array.from({ length: count + Math.ceil(count / 2) }, (_, number) =>
    buildOne(number, layerBytes, number % 2 === 0 || number >= count ? "after" : "before"),
  );
  const [base, bundle] = [join(folder.path, "base"), join(folder.path, "bundle.tar")];
  await prepare(base, bundle, { before, after, folder: folder.path });
  const steps = await filesOfImport(folder.path, base, bundle);
  let [killed, killedEarly, finished] = [0, 0, 0];
  const [halves, lost]: [string[], string[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const place = join(folder.path, `round-${round}`);
    await cp(base, join(place, "store"), { recursive: true, preserveTimestamps: true });
    await using server = await startOurServer({ folder: place, config: { airGapped: true, registries: [{ name: host, scheme: "http" }] } });
    // What was asked for in vain must be seen all the same once it is there.
    for (const number of after.keys()) await look(server.url, number);
    const step = steps[Math.floor(random() * steps.length)] ?? "";
    const path = join(server.imagePath, step);
    const inodeBefore = await inodeOf(path);
    const running = await startProcess({ command: program[0], args: [program[1], "import", bundle, "--image-path", server.imagePath] });
    await lookUntil(
      () => inodeOf(path),
      (inode) => inode !== inodeBefore || running.hasEnded,
      { waitMs: 60_000, everyMs: 1 },
    );
    await running.kill("SIGKILL");
    const { signal } = await running.ended;
    const seen = await Promise.all(after.map((_, number) => look(server.url, number)));
    for (const [number, digest] of seen.entries()) {
      const known = [before[number], after[number]].map((image) => image?.manifest.descriptor.digest);
      if (digest === undefined) {
        if (number < count) lost.push(`${round} ${nameOf(number)}`);
      } else if (digest.startsWith("half") || !known.some((one) => one === digest)) halves.push(`${round} ${nameOf(number)} ${digest}`);
    }
    const isNew = seen.some((digest, number) => digest !== undefined && digest !== before[number]?.manifest.descriptor.digest);
    if (signal === "SIGKILL") killed += 1;
    if (signal === "SIGKILL" && !isNew) killedEarly += 1;
    if (await finishes(server, bundle, after)) finished += 1;
    report(`round ${round + 1}: ${signal === "SIGKILL" ? `killed after ${step}${isNew ? ", some images new" : ""}` : "had finished"}`);
  }
  return { killed, killedEarly, halves, lost, finished };
}

async function finishes({ url, imagePath }: { url: string; imagePath: string }, bundle: string, after: readonly (BuiltImage | BuiltIndex)[]): Promise<boolean> {
  const { code } = await runProcess(program[0], [program[1], "import", bundle, "--image-path", imagePath]);
  if (code !== 0) return false;
  const untilMs = performance.now() + 1_000;
  for (const [number, image] of after.entries()) {
    let digest = await look(url, number);
    while (digest !== image.manifest.descriptor.digest && performance.now() < untilMs) digest = await look(url, number);
    if (digest !== image.manifest.descriptor.digest) return false;
  }
  return true;
}

/** The digest that a client sees under an image's tag, once it has pulled all of it; `half ...` when something of it is not there. */
async function look(url: string, number: number): Promise<string | undefined> {
  const path = `${url}/v2/${host}/team/app-${number}`;
  const root = await fetch(`${path}/manifests/1.0`);
  const bytes = Buffer.from(await root.arrayBuffer());
  if (root.status === 404) return undefined;
  if (!root.ok) return `half: ${root.status}`;
  const missing = await findMissing(path, bytes);
  return missing === undefined ? digestOf(bytes) : `half: ${missing}`;
}

async function findMissing(path: string, bytes: Buffer): Promise<string | undefined> {
  const { manifests, blobs } = readManifestContent(bytes);
  for (const [kind, named] of [
    ["manifests", manifests],
    ["blobs", blobs],
  ] as const) {
    for (const { digest } of named) {
      const answer = await fetch(`${path}/${kind}/${digest}`);
      const content = Buffer.from(await answer.arrayBuffer());
      if (!answer.ok || digestOf(content) !== digest) return `${kind} ${digest}: ${answer.status}`;
      const below = kind === "manifests" ? await findMissing(path, content) : undefined;
      if (below !== undefined) return below;
    }
  }
  return undefined;
}

async function prepare(
  base: string,
  bundle: string,
  { before, after, folder }: { before: readonly (BuiltImage | BuiltIndex)[]; after: readonly (BuiltImage | BuiltIndex)[]; folder: string },
): Promise<void> {
  await using outside = await openSide();
  for (const [number, image] of before.entries()) await outside.keep(nameOf(number), image, { checkedAtMs: 1_700_000_000_000 });
  const first = await exported(outside, { images: before.map((_, number) => nameOf(number)), output: join(folder, "first.tar") });
  for (const [number, image] of after.entries()) await outside.keep(nameOf(number), image, { checkedAtMs: 1_750_000_000_000 });
  await exported(outside, { images: after.map((_, number) => nameOf(number)), output: bundle, since: first.receipt });
  await using inside = await openSide();
  await importInto(inside, join(folder, "first.tar"));
  await cp(inside.store.layout.root, base, { recursive: true, preserveTimestamps: true });
}

/** Every file that an import makes, or makes anew: each is a moment at which it may be killed. */
async function filesOfImport(folder: string, base: string, bundle: string): Promise<readonly string[]> {
  const place = join(folder, "imported");
  await cp(base, place, { recursive: true, preserveTimestamps: true });
  const before = await inodesOf(place);
  const { code, stderr } = await runProcess(program[0], [program[1], "import", bundle, "--image-path", place]);
  if (code !== 0) throw new Error(`an import that nobody disturbs failed: ${stderr}`);
  const after = await inodesOf(place);
  return [...after].flatMap(([path, inode]) => (inode === before.get(path) ? [] : [path])).toSorted();
}

async function inodesOf(place: string): Promise<ReadonlyMap<string, number | undefined>> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => relative(place, join(entry.parentPath, entry.name)));
  return new Map(await Promise.all(files.map(async (path) => [path, await inodeOf(join(place, path))] as const)));
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function nameOf(number: number): string {
  return `${host}/team/app-${number}:1.0`;
}

function buildOne(number: number, layerBytes: number, version: string): BuiltImage | BuiltIndex {
  const build = (platform: string): BuiltImage =>
    buildImage({ platform, layers: [{ "usr/shared": "shared" }, { "usr/own": seededBytes(layerBytes, `${number} ${version}`) }] });
  return number % 3 === 0 ? buildIndex([build("linux/amd64"), build("linux/arm64")]) : build("linux/amd64");
}
