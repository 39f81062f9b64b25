/** A store that rsync, cp and rm change while it is served: what they did shows within a second, and nobody is given half of anything. */
import { cp, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { runProcess } from "../support/processes.ts";
import { pull, startPull, type PullResult } from "../support/raw-client.ts";
import { findStoreFlaws } from "../support/store-flaws.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const showsWithinMs = 1_000;
const image = imageOf("first");
const second = imageOf("second");

function imageOf(seed: string): BuiltImage {
  return buildImage({ layers: [{ layer: seededBytes(2 * mebibyte, seed) }, { small: seed }] });
}

async function arrange() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const upstream = stack.use(await startFakeUpstream());
  upstream.putImage("team/app", "1", image);
  upstream.putImage("team/app", "2", second);
  const start = async (name: string): Promise<OurServer> => {
    await mkdir(join(folder.path, name));
    // Trusted for ever: who asks the upstream had nothing to go by here.
    const config = { tagTtl: -1, registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
    return stack.use(await startOurServer({ folder: join(folder.path, name), config }));
  };
  return { upstream, start, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Pulls all of an image: exact, or not. */
async function pullAll({ host }: OurServer, tag: string, { manifest, blobs }: BuiltImage): Promise<boolean> {
  const parts = [...blobs].map(([digest, expected]) => ({ path: `/v2/up/team/app/blobs/${digest}`, expected }));
  const answers = await Promise.all([{ path: `/v2/up/team/app/manifests/${tag}`, expected: manifest.bytes }, ...parts].map((part) => pull({ host, ...part })));
  return answers.every(isWhole);
}

function isWhole({ status, ending, isExact }: PullResult): boolean {
  return status === 200 && ending === "complete" && isExact;
}

/** As docs/operating.md has it. */
async function copyStore(from: OurServer, to: OurServer, ...more: readonly string[]): Promise<void> {
  const common = ["-a", "--exclude=/tmp", "--exclude=/state", ...more];
  for (const args of [[...common, "--exclude=/upstreams"], common]) {
    const { code, stderr } = await runProcess("rsync", [...args, `${from.imagePath}/`, `${to.imagePath}/`]);
    if (code !== 0) throw new Error(`rsync ended with ${String(code)}: ${stderr}`);
  }
}

/** The upstream is no help, and says so at once. */
async function isServedAlone(server: OurServer, upstream: FakeUpstream): Promise<boolean> {
  await upstream.refuse();
  const isServed = await lookUntil(
    () => pullAll(server, "1", image),
    (isWholeNow) => isWholeNow,
    { waitMs: showsWithinMs },
  );
  await upstream.accept();
  return isServed;
}

test.runIf(requirePrograms("rsync"))("what rsync brings is served within a second, though it was asked for in vain a moment before", async () => {
  await using all = await arrange();
  const { upstream } = all;
  const source = await all.start("source");
  const target = await all.start("target");
  expect(await pullAll(source, "1", image)).toBe(true);
  upstream.when({}, { status: 404 });
  expect(await pullAll(target, "1", image)).toBe(false);
  await copyStore(source, target);
  upstream.forget();
  expect(await isServedAlone(target, upstream)).toBe(true);
  expect(upstream.requests).toEqual([]);
  await target.process.kill("SIGTERM");
  expect(await findStoreFlaws(target.imagePath)).toEqual([]);
});

test.runIf(requirePrograms("rsync"))("rsync over a store that is being pulled from, again and again, costs nobody a byte", async () => {
  await using all = await arrange();
  const { upstream } = all;
  const source = await all.start("source");
  const target = await all.start("target");
  for (const [tag, built] of [
    ["1", image],
    ["2", second],
  ] as const)
    expect(await pullAll(source, tag, built)).toBe(true);
  upstream.when({ kind: "blob" }, { bytesPerSecond: 2 * mebibyte });
  let isOver = false;
  const pulling = (async () => {
    const seen: boolean[] = [];
    while (!isOver) seen.push(await pullAll(target, "1", image), await pullAll(target, "2", second));
    return seen;
  })();
  for (let times = 0; times < 5; times++) await copyStore(source, target, "--ignore-times");
  isOver = true;
  expect(new Set(await pulling)).toEqual(new Set([true]));
  await target.process.kill("SIGTERM");
  expect(await findStoreFlaws(target.imagePath)).toEqual([]);
});

test("two stores are merged by copying one over the other while both are served", async () => {
  await using all = await arrange();
  const { upstream } = all;
  const source = await all.start("source");
  const target = await all.start("target");
  expect(await pullAll(source, "1", image)).toBe(true);
  expect(await pullAll(target, "2", second)).toBe(true);
  for (const part of ["blobs", "upstreams"]) await cp(join(source.imagePath, part), join(target.imagePath, part), { recursive: true });
  expect(await isServedAlone(target, upstream)).toBe(true);
  upstream.forget();
  expect(await pullAll(target, "2", second)).toBe(true);
  expect(upstream.requests).toEqual([]);
});

test("what rm takes away is gone within a second and fetched again; who was reading it gets the rest", async () => {
  await using all = await arrange();
  const { upstream } = all;
  const server = await all.start("server");
  expect(await pullAll(server, "1", image)).toBe(true);
  const [largest] = [...image.blobs].sort(([, one], [, other]) => other.byteLength - one.byteLength);
  if (!largest) throw new Error("an image without blobs");
  const reading = startPull({ host: server.host, path: `/v2/up/team/app/blobs/${largest[0]}`, expected: largest[1], stallAfterBytes: 10_000 });
  await reading.received(10_000);
  for (const part of ["blobs", "public", "upstreams"]) await rm(join(server.imagePath, part), { recursive: true, force: true });
  upstream.forget();
  // One of its questions has to reach the upstream: nothing is here any more.
  await lookUntil(
    () => pullAll(server, "1", image),
    () => upstream.log.length > 0,
    { waitMs: showsWithinMs },
  );
  expect(upstream.log.length).toBeGreaterThan(0);
  reading.resume();
  expect(await reading.done).toMatchObject({ ending: "complete", isExact: true });
  expect(await pullAll(server, "1", image)).toBe(true);
  expect(await isServedAlone(server, upstream)).toBe(true);
  await server.process.kill("SIGTERM");
  expect(await findStoreFlaws(server.imagePath)).toEqual([]);
});

test("a store that is removed whole, again and again, while it is pulled from fails no pull", async () => {
  await using all = await arrange();
  const server = await all.start("server");
  let isOver = false;
  const pulling = (async () => {
    const seen: boolean[] = [];
    while (!isOver || seen.length < 20) seen.push(await pullAll(server, "1", image), await pullAll(server, "2", second));
    return seen;
  })();
  for (let times = 0; times < 20; times++) await rm(server.imagePath, { recursive: true, force: true, maxRetries: 10 });
  isOver = true;
  expect(new Set(await pulling)).toEqual(new Set([true]));
  expect(await pullAll(server, "1", image)).toBe(true);
});
