/** A store that goes bad under a running server: what verifying finds is missed by the server at once, and healed by its next pull. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Layout } from "../../src/cache/layout.ts";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { fillsRunning, readMetrics, startOurServer, type OurServer } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const image = buildImage({ layers: [{ big: seededBytes(300_000) }] });
const layer = image.layers[0] as Digest;
const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

let folder: TemporaryFolder;
let upstream: FakeUpstream;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1", image);
});

afterEach(async () => {
  await upstream.close();
  await folder[Symbol.asyncDispose]();
});

function start(config: Record<string, unknown> = {}): Promise<OurServer> {
  const registries = [{ name: "registry.test", scheme: "http", endpoints: [upstream.url], originFallback: false }];
  return startOurServer({ folder: folder.path, config: { tagTtl: "1h", registries, ...config } });
}

async function pullAll(server: OurServer): Promise<void> {
  for (const path of ["manifests/1", ...[...image.blobs.keys()].map((digest) => `blobs/${digest}`)]) await get(server, path);
  await expect.poll(() => fillsRunning(server)).toBe(0);
}

async function get(server: OurServer, path: string): Promise<Buffer> {
  const answer = await fetch(`${server.url}/v2/registry.test/team/app/${path}`);
  expect(answer.status, path).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

/** Other bytes of the same length, as a bad disk has them. */
async function spoil({ imagePath }: OurServer): Promise<void> {
  const path = new Layout(imagePath).blob(layer);
  const bytes = await readFile(path);
  bytes[1_000] = (bytes[1_000] ?? 0) ^ 255;
  await rm(path);
  await writeFile(path, bytes);
}

test("the command beside a server: wrong bytes are served no longer, and the next pull fetches right ones", async () => {
  await using server = await start();
  await pullAll(server);
  await spoil(server);
  // Until somebody looks: nothing is hashed before it is served.
  await expect.poll(async () => digestOf(await get(server, `blobs/${layer}`))).not.toBe(layer);
  const verified = await runProcess(process.execPath, [main, "verify", "--config-file", server.configFile]);
  expect([verified.code, verified.stdout]).toEqual([1, expect.stringContaining(`damaged     ${layer}`)]);
  const asked = upstream.requests.length;
  await expect.poll(async () => digestOf(await get(server, `blobs/${layer}`)), { timeout: 3_000 }).toBe(layer);
  expect(upstream.requests.slice(asked)).toEqual([`GET /v2/team/app/blobs/${layer}`]);
});

test("verifyConfig does it by itself: found, mended, logged and counted", async () => {
  await using server = await start({ verifyConfig: { schedule: "* * * * * *", repair: true, bytesPerSecond: 0 } });
  await pullAll(server);
  await server.process.waitForOutput(/"msg":"store verified"/);
  await spoil(server);
  await server.process.waitForOutput(new RegExp(`"digest":"${layer}".*"msg":"a blob is damaged"`));
  await server.process.waitForOutput(/"damaged":1,.*"repaired":1,"isGood":true.*"msg":"store verified"/);
  expect(digestOf(await get(server, `blobs/${layer}`))).toBe(layer);
  expect(upstream.requests.filter((request) => request.includes(layer))).toHaveLength(2);
  const metric = await readMetrics(server);
  expect(metric('ociregistry_verify_findings_total{kind="damaged"}')).toBe(1);
  expect(metric('ociregistry_verify_findings_total{kind="repaired"}')).toBe(1);
  expect(metric("ociregistry_verify_good")).toBe(1);
  expect(metric("ociregistry_verified_bytes_total")).toBeGreaterThan(300_000);
  expect(Math.abs(metric("ociregistry_verify_timestamp_seconds") - Date.now() / 1_000)).toBeLessThan(60);
});

test("a server that is stopped in the middle of verifying stops at once", async () => {
  await using server = await start({ verifyConfig: { schedule: "* * * * * *", bytesPerSecond: 1_000 } });
  await pullAll(server);
  await server.process.waitForOutput(/"msg":"verifying the store"/);
  const startMs = performance.now();
  await server.process.kill("SIGTERM");
  expect(await server.process.ended).toMatchObject({ code: 0 });
  expect(performance.now() - startMs).toBeLessThan(10_000);
});

test("of two servers on one folder one verifies at a time", async () => {
  const verifyConfig = { schedule: "* * * * * *", bytesPerSecond: 100_000 };
  await using one = await start({ verifyConfig });
  await pullAll(one);
  await using other = await start({ verifyConfig });
  await Promise.all([one, other].map((server) => server.process.waitForOutput(/"msg":"the store is being verified by another process/)));
  await Promise.all([one, other].map((server) => server.process.waitForOutput(/"msg":"store verified"/)));
});
