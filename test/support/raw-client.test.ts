/** The raw client judges others: it must see a wrong byte, a cut and a stall for what they are. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "./fake-upstream.ts";
import { seededBytes } from "./images.ts";
import { exchange, pull, startPull } from "./raw-client.ts";

const content = seededBytes(20 * 1024 * 1024);
let upstream: FakeUpstream;
let path: string;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  path = `/v2/a/blobs/${upstream.putBlob("a", content)}`;
});

afterAll(() => upstream.close());

test("sees an exact body, whole and from an offset", async () => {
  expect(await pull({ host: upstream.host, path, expected: content })).toMatchObject({
    status: 200,
    ending: "complete",
    isExact: true,
    receivedBytes: content.byteLength,
  });
  const headers = { range: "bytes=1000000-" };
  expect(await pull({ host: upstream.host, path, headers, expected: content, offsetBytes: 1_000_000 })).toMatchObject({
    status: 206,
    ending: "complete",
    isExact: true,
  });
});

test("sees one wrong byte, and a cut", async () => {
  const stop = upstream.when({ kind: "blob" }, { wrongBytes: true });
  expect(await pull({ host: upstream.host, path, expected: content })).toMatchObject({ ending: "complete", isExact: false });
  stop();
  const mend = upstream.when({ kind: "blob" }, { cutAfterBytes: 500_000 });
  expect(await pull({ host: upstream.host, path, expected: content })).toMatchObject({ ending: "cut", isExact: true, receivedBytes: 500_000 });
  mend();
});

test("stalls and goes on, leaves when told, reads at a pace", async () => {
  const stalled = startPull({ host: upstream.host, path, expected: content, stallAfterBytes: 100_000 });
  await stalled.received(100_000);
  await pull({ host: upstream.host, path });
  expect(stalled.receivedBytes).toBeLessThan(1_000_000);
  stalled.resume();
  expect(await stalled.done).toMatchObject({ ending: "complete", isExact: true });
  expect(await pull({ host: upstream.host, path, abortAfterBytes: 1 })).toMatchObject({ ending: "aborted" });
  const slow = await pull({ host: upstream.host, path, bytesPerSecond: 100 * 1024 * 1024, expected: content });
  expect(slow.doneMs).toBeGreaterThan(150);
  expect(slow.isExact).toBe(true);
});

test("says nothing is there when nothing is there", async () => {
  const host = upstream.host;
  await upstream.refuse();
  expect(await pull({ host, path })).toMatchObject({ status: 0, ending: "cut" });
  await upstream.accept();
});

test("sends what no client would", async () => {
  expect((await exchange(upstream.host, "\x16\x03\x01\r\n\r\n")).received).toMatch(/^HTTP\/1\.1 400/);
});
