/** A disk that fails, call by call, under a real server: what it held comes from upstream, what it cannot keep passes through. */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { pull, startPull } from "../support/raw-client.ts";
import { injectFailure } from "../support/system-calls.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const canTrace = requirePrograms("strace") && requireRoot();

/** An image with a layer that is answered from memory and one that is not. */
function imageOf(seed: string): BuiltImage {
  return buildImage({ layers: [{ small: seed }, { large: seededBytes(2 * mebibyte, seed) }], annotations: { seed } });
}

/** Pulls a whole image, and the middle of its large layer; tells what was not as it should be. */
async function pullImage(host: string, tag: string, image: BuiltImage): Promise<readonly string[]> {
  const name = `/v2/up/a`;
  const wanted: [path: string, expected: Uint8Array][] = [
    [`${name}/manifests/${tag}`, image.manifest.bytes],
    [`${name}/manifests/${image.manifest.descriptor.digest}`, image.manifest.bytes],
    ...[...image.blobs].map(([digest, bytes]): [string, Uint8Array] => [`${name}/blobs/${digest}`, bytes]),
  ];
  const faults: string[] = [];
  for (const [path, expected] of wanted) {
    const { status, ending, isExact } = await pull({ host, path, expected, deadlineMs: 10_000 });
    if (status !== 200 || ending !== "complete" || !isExact) faults.push(`${path}: ${status} ${ending} ${isExact ? "" : "wrong bytes"}`);
  }
  const [large = "", bytes] = [...image.blobs].find(([, { byteLength }]) => byteLength > mebibyte) ?? [];
  const headers = { range: `bytes=${mebibyte}-` };
  const { status, ending, isExact } = await pull({
    host,
    path: `${name}/blobs/${large}`,
    headers,
    ...(bytes ? { expected: bytes } : {}),
    offsetBytes: mebibyte,
  });
  if (status !== 206 || ending !== "complete" || !isExact) faults.push(`range: ${status} ${ending}`);
  return faults;
}

describe("a disk on which", () => {
  const images = { held: imageOf("held"), fresh: imageOf("fresh"), other: imageOf("other") };
  let upstream: FakeUpstream;
  /** A store that holds an image; each test has a copy. */
  let store: TemporaryFolder;

  const start = (folder: TemporaryFolder) =>
    startOurServer({ folder: folder.path, config: { tagTtl: "1h", registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });

  beforeAll(async () => {
    upstream = await startFakeUpstream();
    for (const [tag, image] of Object.entries(images)) upstream.putImage("a", tag, image);
    store = await temporaryFolder();
    await using server = await start(store);
    expect(await pullImage(server.host, "held", images.held)).toEqual([]);
  });

  afterAll(async () => {
    await upstream.close();
    await store[Symbol.asyncDispose]();
  });

  const reading = ["pread64", "statx", "newfstatat", "fstat", "openat", "getdents64"];
  const writing = ["pwrite64", "fsync", "rename", "unlink", "mkdir", "rmdir", "chmod", "fchmodat", "utimensat"];

  test.runIf(canTrace).each([
    ["nothing can be read", ["pread64"], "EIO"],
    ["nothing can be looked at", ["statx", "newfstatat", "fstat"], "EIO"],
    ["nothing can be opened", ["openat"], "EIO"],
    ["no folder can be listed", ["getdents64"], "EIO"],
    ["nothing can be written", ["pwrite64"], "EIO"],
    ["nothing can be synced", ["fsync"], "EIO"],
    ["nothing can be renamed", ["rename"], "EIO"],
    ["nothing can be removed, nor get another mode or time", ["unlink", "chmod", "fchmodat", "utimensat", "rmdir"], "EIO"],
    ["no folder can be made", ["mkdir"], "EIO"],
    ["all fails", [...reading, ...writing], "EIO"],
    ["all fails with what only network filesystems say", [...reading, ...writing], "EREMOTEIO"],
  ])("%s: every pull is whole and exact all the same, and kept again when that is over", async (_, calls, error) => {
    await using folder = await temporaryFolder();
    await cp(store.path, folder.path, { recursive: true, preserveTimestamps: true });
    await using server = await start(folder);
    const pullBoth = async () => [...(await pullImage(server.host, "held", images.held)), ...(await pullImage(server.host, "fresh", images.fresh))];
    // What the program loads with its first pull lies on another disk than its store.
    expect(await pullImage(server.host, "other", images.other)).toEqual([]);
    {
      await using _failing = await injectFailure(server.process.pid, { calls, error });
      expect(await pullBoth()).toEqual([]);
    }
    expect(await pullBoth()).toEqual([]);
    upstream.forget();
    expect(await pullBoth()).toEqual([]);
    expect(upstream.requests).toEqual([]);
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
  });
}, 60_000);

describe("reads that fail", () => {
  const largeBytes = 32 * mebibyte;
  const content = seededBytes(largeBytes, "large");

  /**
   * How often a client falls behind what comes in place of the disk is a matter of who gets the processor: each time it is made up for
   * again, and each time it has had at least a download's memory more.
   */
  function expectMadeUpFor({ upstream, request }: { upstream: FakeUpstream; request: string }, { atLeast }: { atLeast: number }): void {
    expect(upstream.requests.length).toBeGreaterThanOrEqual(atLeast);
    expect(upstream.requests.length).toBeLessThanOrEqual(largeBytes / mebibyte);
    expect(upstream.requests.every((asked) => asked.startsWith(request))).toBe(true);
  }

  async function arrange() {
    const folder = await temporaryFolder();
    const upstream = await startFakeUpstream();
    const digest = upstream.putBlob("a", content);
    const start = () => startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });
    return {
      upstream,
      start,
      path: `/v2/up/a/blobs/${digest}`,
      request: `GET /v2/a/blobs/${digest}`,
      [Symbol.asyncDispose]: async () => (await upstream.close(), await folder[Symbol.asyncDispose]()),
    };
  }

  test.runIf(canTrace)("in the middle of a held blob are made up for by its registry: the client notices nothing", async () => {
    await using all = await arrange();
    await using server = await all.start();
    await expect.poll(async () => (await pull({ host: server.host, path: all.path }), server.process.output)).toContain('"outcome":"hit"');
    all.upstream.forget();
    const running = startPull({ host: server.host, path: all.path, expected: content, stallAfterBytes: mebibyte });
    await running.received(mebibyte);
    await using _failing = await injectFailure(server.process.pid, { calls: ["pread64"], error: "EIO" });
    running.resume();
    expect(await running.done).toMatchObject({ status: 200, ending: "complete", isExact: true });
    expectMadeUpFor(all, { atLeast: 1 });
  });

  test.runIf(canTrace)("of a blob that arrives, for a client that is behind, are made up for likewise", async () => {
    await using all = await arrange();
    await using server = await all.start();
    const running = startPull({ host: server.host, path: all.path, expected: content, stallAfterBytes: mebibyte });
    await running.received(mebibyte);
    await all.upstream.waitForBytes(largeBytes);
    await using _failing = await injectFailure(server.process.pid, { calls: ["pread64"], error: "EIO" });
    running.resume();
    expect(await running.done).toMatchObject({ status: 200, ending: "complete", isExact: true });
    expectMadeUpFor(all, { atLeast: 2 });
  });

  test.runIf(canTrace)("of the version, at the start, keep nobody from serving, and heal", async () => {
    await using folder = await temporaryFolder();
    const version = join(folder.path, "store", "VERSION");
    await mkdir(dirname(version));
    await writeFile(version, "on a bad sector\n");
    const failing = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", version, "-e", "trace=openat", "-e", "inject=openat:error=EIO"];
    await using server = await startOurServer({ folder: folder.path, config: { helloWorld: true }, through: failing });
    expect(await pull({ host: server.host, path: "/v2/library/hello-world/manifests/latest" })).toMatchObject({ status: 200 });
    expect(server.process.output).toContain("the store cannot be read here");
    expect(await readFile(version, "utf8")).toBe("1\n");
  });

  test.runIf(canTrace)("of what is left of a download begin it anew", async () => {
    await using all = await arrange();
    {
      await using killed = await all.start();
      all.upstream.when({ kind: "blob", times: 1 }, { holdBody: { atBytes: largeBytes / 2, until: new Promise(() => {}) } });
      const running = startPull({ host: killed.host, path: all.path });
      await running.received(largeBytes / 4);
      await killed.process.kill("SIGKILL");
    }
    await using server = await all.start();
    await using _failing = await injectFailure(server.process.pid, { calls: ["pread64"], error: "EIO" });
    all.upstream.forget();
    expect(await pull({ host: server.host, path: all.path, expected: content })).toMatchObject({ status: 200, ending: "complete", isExact: true });
    expect(all.upstream.requests).toEqual([expect.stringMatching(/ bytes=[1-9]\d*-$/), all.request]);
  });
}, 60_000);
