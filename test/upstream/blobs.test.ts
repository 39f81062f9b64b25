import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { call, failureOf, listedAs, readAll, repositoryAt, startUpstreams } from "./asking.ts";

const bytes = seededBytes(3_000_000);
const digest = digestOf(bytes);
const path = `/v2/team/app/blobs/${digest}`;

async function setUp() {
  const fake = await startFakeUpstream();
  fake.putBlob("team/app", bytes);
  const upstreams = startUpstreams([listedAs(fake)], { pullTimeoutMs: 300 });
  const stack = new AsyncDisposableStack();
  stack.use(fake);
  stack.use(upstreams);
  return { fake, upstreams, repository: repositoryAt(fake.host), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("GET of a blob", () => {
  test("brings its bytes, its size, and takes one connection", async () => {
    await using set = await setUp();
    await using blob = await set.upstreams.getBlob(set.repository, digest, call());
    expect(blob).toMatchObject({ kind: "full", ranges: [], outcome: "passed", descriptor: { digest, sizeBytes: bytes.length } });
    expect((await readAll(blob)).equals(bytes)).toBe(true);
    expect(set.fake.requests).toEqual([`GET ${path}`]);
  });

  test("can be read with gaps, which are skipped", async () => {
    await using set = await setUp();
    await using blob = await set.upstreams.getBlob(set.repository, digest, call());
    const target = Buffer.alloc(10);
    await blob.read(target, 5);
    expect(target.equals(bytes.subarray(5, 15))).toBe(true);
    let count = 0;
    while (count < 10) count += await blob.read(target.subarray(count), 2_500_000 + count);
    expect(target.equals(bytes.subarray(2_500_000, 2_500_010))).toBe(true);
    await failureOf(blob.read(target, 0));
  });

  test.each([
    ["from a position on", { startBytes: 2_999_000 }, "bytes=2999000-", { startBytes: 2_999_000, endBytes: 2_999_999 }],
    ["between two positions", { startBytes: 10, endBytes: 19 }, "bytes=10-19", { startBytes: 10, endBytes: 19 }],
    ["of the last bytes", { suffixBytes: 7 }, "bytes=-7", { startBytes: 2_999_993, endBytes: 2_999_999 }],
  ])("asks for a range %s", async (_, spec, header, range) => {
    await using set = await setUp();
    await using blob = await set.upstreams.getBlob(set.repository, digest, { ...call(), ranges: [spec] });
    expect(blob).toMatchObject({ kind: "partial", ranges: [range], descriptor: { sizeBytes: bytes.length } });
    expect((await readAll(blob)).equals(bytes.subarray(range.startBytes, range.endBytes + 1))).toBe(true);
    expect(set.fake.requests).toEqual([`GET ${path} ${header}`]);
  });

  test("asks for several ranges one after another, and for none that nobody reads", async () => {
    await using set = await setUp();
    const ranges = [{ startBytes: 2_000_000, endBytes: 2_000_004 }, { startBytes: 10, endBytes: 14 }, { suffixBytes: 5 }];
    await using blob = await set.upstreams.getBlob(set.repository, digest, { ...call(), ranges });
    const target = Buffer.alloc(5);
    await blob.read(target, 2_000_000);
    expect(target.equals(bytes.subarray(2_000_000, 2_000_005))).toBe(true);
    await blob.read(target, 10);
    expect(target.equals(bytes.subarray(10, 15))).toBe(true);
    expect(set.fake.requests).toEqual([`GET ${path} bytes=2000000-2000004`, `GET ${path} bytes=10-14`]);
    await failureOf(blob.read(target, 1_000_000), "RANGE_INVALID");
  });

  test("says so when the upstream ignores the range", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { ranges: "ignored" });
    await using blob = await set.upstreams.getBlob(set.repository, digest, { ...call(), ranges: [{ startBytes: 5 }] });
    expect(blob).toMatchObject({ kind: "full", ranges: [] });
    expect((await readAll(blob, 5)).equals(bytes.subarray(5))).toBe(true);
  });

  test.each(["wrong-start", "no-content-range", "unsatisfiable"] as const)("asks for the whole when the answer to a range is %s", async (ranges) => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { ranges });
    for (const range of [{ startBytes: 5, endBytes: 9 }, { suffixBytes: 7 }]) {
      set.fake.forget();
      await using blob = await set.upstreams.getBlob(set.repository, digest, { ...call(), ranges: [range] });
      expect(blob).toMatchObject({ kind: "full", ranges: [], descriptor: { sizeBytes: bytes.length } });
      expect((await readAll(blob, 5)).equals(bytes.subarray(5))).toBe(true);
      expect(set.fake.requests).toEqual([expect.stringMatching(/ bytes=(5-9|-7)$/), `GET ${path}`]);
    }
  });

  test("asks for the whole when a range is refused without saying what there is", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob", ranged: true }, { status: 416 });
    await using blob = await set.upstreams.getBlob(set.repository, digest, { ...call(), ranges: [{ startBytes: 5 }] });
    expect(blob.kind).toBe("full");
    expect(set.fake.requests).toEqual([`GET ${path} bytes=5-`, `GET ${path}`]);
  });

  test("refuses a part that nobody asked for", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { status: 206, headers: { "content-range": `bytes 0-2/${bytes.length}` }, body: "abc" });
    await failureOf(set.upstreams.getBlob(set.repository, digest, call()), "UPSTREAM_UNAVAILABLE");
  });

  test("takes a 206 that is shorter than asked for what it says it is", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { ranges: "short" });
    await using blob = await set.upstreams.getBlob(set.repository, digest, { ...call(), ranges: [{ startBytes: 0, endBytes: 99 }] });
    expect(blob.ranges).toEqual([{ startBytes: 0, endBytes: 49 }]);
    expect((await readAll(blob)).equals(bytes.subarray(0, 50))).toBe(true);
  });

  test("passes on 416 with the blob's size", async () => {
    await using set = await setUp();
    const error = await failureOf(set.upstreams.getBlob(set.repository, digest, { ...call(), ranges: [{ startBytes: 3_000_000 }] }), "RANGE_INVALID");
    expect(error).toMatchObject({ sizeBytes: bytes.length, source: "upstream" });
  });

  test("knows no size when the upstream says none", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { chunked: true });
    await using blob = await set.upstreams.getBlob(set.repository, digest, call());
    expect(blob.descriptor.sizeBytes).toBeUndefined();
    expect((await readAll(blob)).equals(bytes)).toBe(true);
  });

  test("that is empty ends at once", async () => {
    await using set = await setUp();
    const empty = set.fake.putBlob("team/app", Buffer.alloc(0));
    await using blob = await set.upstreams.getBlob(set.repository, empty, call());
    expect(blob.descriptor.sizeBytes).toBe(0);
    expect(await blob.read(Buffer.alloc(10), 0)).toBe(0);
  });

  test.each([false, true])("cut in the middle rejects, never ends (chunked: %s)", async (chunked) => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { cutAfterBytes: 1_000_000, chunked });
    await using blob = await set.upstreams.getBlob(set.repository, digest, call());
    await failureOf(readAll(blob), "UPSTREAM_UNAVAILABLE");
  });

  test("compressed on the way is unusable", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { gzip: true });
    const error = await failureOf(set.upstreams.getBlob(set.repository, digest, call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("gzip");
  });

  test("that stands still for the pull timeout rejects and ends its connection", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { holdBody: { atBytes: 1_000_000, until: new Promise(() => {}) } });
    await using blob = await set.upstreams.getBlob(set.repository, digest, call());
    const error = await failureOf(readAll(blob), "UPSTREAM_TIMEOUT");
    expect(error.message).toContain("300 ms");
    await set.fake.waitFor(() => set.fake.connections.open === 0, "the connection to end");
  });

  test("disposed of before its end closes the connection, after its end keeps it", async () => {
    await using set = await setUp();
    const small = set.fake.putBlob("team/app", Buffer.from("small"));
    for (let pull = 0; pull < 6; pull++) {
      await using blob = await set.upstreams.getBlob(set.repository, small, call());
      await readAll(blob);
    }
    expect(set.fake.connections.accepted).toBeLessThanOrEqual(2);
    const before = set.fake.connections.open;
    const blob = await set.upstreams.getBlob(set.repository, digest, call());
    await blob.read(Buffer.alloc(10), 0);
    await blob[Symbol.asyncDispose]();
    await set.fake.waitFor(() => set.fake.connections.open < before || set.fake.connections.accepted > 2, "the connection to end");
  });

  test("does not run ahead of a reader that stands still", async () => {
    await using set = await setUp();
    const large = seededBytes(64 << 20);
    const largeDigest = set.fake.putBlob("team/app", large);
    await using blob = await set.upstreams.getBlob(set.repository, largeDigest, call());
    await blob.read(Buffer.alloc(10), 0);
    await expect(set.fake.waitFor(() => set.fake.bytesSent.total > 24 << 20, "too much", { waitMs: 500 })).rejects.toThrow("waited");
  });
});

describe("HEAD of a blob", () => {
  test("tells its size and moves no body", async () => {
    await using set = await setUp();
    expect(await set.upstreams.headBlob(set.repository, digest, call())).toMatchObject({ digest, sizeBytes: bytes.length });
    expect(set.fake.requests).toEqual([`HEAD ${path}`]);
  });

  test("refused by the CDN asks for one byte", async () => {
    await using set = await setUp();
    set.fake.cdn.refusesHead = true;
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    expect(await set.upstreams.headBlob(set.repository, digest, call())).toMatchObject({ sizeBytes: bytes.length });
    expect(set.fake.requests).toEqual([`HEAD ${path}`, `GET ${path} bytes=0-0`]);
    expect(set.fake.cdn.bytesSent.total).toBe(1);
  });

  test("refused by the registry asks for one byte, and takes only the headers when the range is ignored", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob", method: "HEAD" }, { status: 405 });
    set.fake.when({ kind: "blob", method: "GET" }, { ranges: "ignored" });
    expect(await set.upstreams.headBlob(set.repository, digest, call())).toMatchObject({ sizeBytes: bytes.length });
    await set.fake.waitFor(() => set.fake.connections.open <= 1, "the long answer to be cut");
  });

  test("of what is not there", async () => {
    await using set = await setUp();
    const error = await failureOf(set.upstreams.headBlob(set.repository, digestOf(Buffer.from("other")), call()), "BLOB_UNKNOWN");
    expect(error.source).toBe("upstream");
  });
});
