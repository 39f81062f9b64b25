/** What breaks on the way from the upstream, seen by clients of the real program: nothing, or a broken connection; never wrong bytes. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hexOf, type Digest } from "../../src/oci/digest.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { pull, startPull } from "../support/raw-client.ts";
import { Throttle } from "../support/sending.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const content = seededBytes(8 * mebibyte, "broken downloads");
let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;
let digest: Digest;
let path: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  digest = upstream.putBlob("team/app", content);
  path = `/v2/up/team/app/blobs/${digest}`;
  server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });
});

afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  await upstream?.close();
  await folder?.[Symbol.asyncDispose]();
});

const whole = { status: 200, ending: "complete", isExact: true, receivedBytes: content.byteLength };
const fromUpstream = (): readonly string[] => upstream.requests.filter((line) => line.includes("/blobs/"));
const blobFile = (): string => join(server.imagePath, "blobs", "sha256", hexOf(digest).slice(0, 2), hexOf(digest));

test("an upstream that is cut at ten places costs clients nothing, and hardly a byte twice", async () => {
  let cuts = 0;
  upstream.when({ kind: "blob", times: 10 }, { cutAfterBytes: () => 100_000 + ((++cuts * 7_919) % 10) * 60_000, bytesPerSecond: 64 * mebibyte });
  const results = await Promise.all([1, 2, 3].map(() => pull({ host: server.host, path, expected: content })));
  for (const result of results) expect(result).toMatchObject(whole);
  expect(cuts).toBe(10);
  const requests = fromUpstream();
  expect(requests).toHaveLength(11);
  expect(requests.slice(1).every((line) => / bytes=[1-9]\d*-$/.test(line))).toBe(true);
  expect(upstream.bytesSent.total).toBeLessThan(content.byteLength * 1.1);
});

test("wrong bytes: asked for once more, then no client takes a body for complete, and nothing is kept", async () => {
  upstream.when({ kind: "blob" }, { wrongBytes: true });
  const results = await Promise.all([1, 2, 3].map(() => pull({ host: server.host, path, expected: content })));
  for (const { ending, receivedBytes } of results) {
    expect(ending).toBe("cut");
    expect(receivedBytes).toBeLessThan(content.byteLength);
  }
  await expect.poll(partsLeft, { timeout: 5000 }).toEqual([]);
  expect(existsSync(blobFile())).toBe(false);
  const request = `GET /v2/team/app/blobs/${digest}`;
  expect(fromUpstream()).toEqual([request, request]);
});

test("the first client goes, the fill goes on, and the next pays nothing", async () => {
  const stop = upstream.when({ kind: "blob" }, { bytesPerSecond: new Throttle({ bytesPerSecond: 16 * mebibyte }) });
  const first = startPull({ host: server.host, path, expected: content });
  await first.received(500_000);
  first.abort();
  await upstream.waitForBytes(content.byteLength);
  stop();
  expect(await pull({ host: server.host, path, expected: content })).toMatchObject(whole);
  expect(fromUpstream()).toEqual([`GET /v2/team/app/blobs/${digest}`]);
});

test("ranges of an absent, an arriving and a held blob are exact, and cost one fetch", async () => {
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob", ranged: false }, { holdBody: { atBytes: 4 * mebibyte, until: gate.promise } });
  const part = (range: string, offsetBytes: number) => pull({ host: server.host, path, headers: { range: `bytes=${range}` }, expected: content, offsetBytes });
  expect(await part("1000-1999", 1000)).toMatchObject({ status: 206, ending: "complete", isExact: true, receivedBytes: 1000 });
  await upstream.waitForBytes(4 * mebibyte);
  expect(await part("2000000-2999999", 2_000_000)).toMatchObject({ status: 206, ending: "complete", isExact: true, receivedBytes: 1_000_000 });
  gate.resolve();
  expect(await pull({ host: server.host, path, expected: content })).toMatchObject(whole);
  const suffix = await part("-100", content.byteLength - 100);
  expect([suffix.status, suffix.isExact, suffix.headers["content-range"]]).toEqual([
    206,
    true,
    `bytes ${content.byteLength - 100}-${content.byteLength - 1}/${content.byteLength}`,
  ]);
  expect(await part(`${content.byteLength}-`, 0)).toMatchObject({ status: 416, headers: { "content-range": `bytes */${content.byteLength}` } });
  expect(fromUpstream().filter((line) => !line.includes(" bytes="))).toEqual([`GET /v2/team/app/blobs/${digest}`]);
  expect(upstream.bytesSent.total).toBeLessThan(content.byteLength * 1.1);
});

test("HEAD tells the size and moves no body", async () => {
  const answer = await fetch(`${server.url}${path}`, { method: "HEAD" });
  expect([answer.status, answer.headers.get("content-length"), answer.headers.get("docker-content-digest")]).toEqual([200, String(content.byteLength), digest]);
  expect(fromUpstream()).toEqual([`HEAD /v2/team/app/blobs/${digest}`]);
  expect(upstream.bytesSent.total).toBe(0);
});

async function partsLeft(): Promise<readonly string[]> {
  const names = await readdir(join(server.imagePath, "tmp"), { recursive: true });
  return names.filter((name) => /\.(part|claimed|tmp)$/.test(name));
}
