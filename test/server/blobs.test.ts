import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { alpine, listening, serving } from "./serving.ts";

const blob = randomBytes(3 * 1024 * 1024 + 17);

function pathOf(digest: string): string {
  return `/v2/library/alpine/blobs/${digest}`;
}

describe("a blob", () => {
  test.each([0, 1, 20_000, 65_536, 65_537, 300_000, blob.byteLength])("of %i bytes arrives exactly, with its headers", async (size) => {
    const { app, registry, records, told } = serving();
    const bytes = blob.subarray(0, size);
    const digest = registry.putBlob(alpine, bytes);
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}?ns=docker.io`);
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": String(size),
      "docker-content-digest": digest,
      etag: `"${digest}"`,
      "accept-ranges": "bytes",
      "oci-namespace": "docker.io",
    });
    await told(1);
    expect(records).toMatchObject([{ kind: "blob", reference: digest, status: 200, sentBytes: size, outcome: "hit" }]);
    expect(registry.disposedBlobs).toBe(1);
  });

  test("arrives where upstreams are waited for without end, too: a client's patience has one", async () => {
    const { app, registry } = serving({ stallTimeoutMs: Infinity });
    const digest = registry.putBlob(alpine, blob);
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`);
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(blob)).toBe(true);
  });

  test("that is asked for by HEAD moves no byte", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    const response = await app.request(pathOf(digest), { method: "HEAD", headers: { range: "bytes=0-9" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe(String(blob.byteLength));
    expect(registry.calls).toEqual([`headBlob docker.io/library/alpine ${digest}`]);
  });

  test("that the client has is 304, and moves no byte", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    const response = await app.request(pathOf(digest), { headers: { "if-none-match": `"${digest}"` } });
    expect(response.status).toBe(304);
    expect(registry.calls).toEqual([`headBlob docker.io/library/alpine ${digest}`]);
  });

  test("that is not there is 404 with a body", async () => {
    const { app, registry } = serving();
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(`sha256:${"0".repeat(64)}`)}`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ errors: [{ code: "BLOB_UNKNOWN" }] });
    expect(registry.openBlobs).toBe(0);
  });

  test("of unknown size arrives chunked and whole", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    registry.blobBehaviour = { sizeUnknown: true, pieceBytes: 50_000 };
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`);
    expect(response.headers.get("transfer-encoding")).toBe("chunked");
    expect(response.headers.has("content-length")).toBe(false);
    expect(Buffer.from(await response.arrayBuffer()).equals(blob)).toBe(true);
  });

  test("sends its head at once and follows as bytes arrive", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    const opened = Promise.withResolvers<void>();
    registry.answered = { outcome: "miss", warnings: [] };
    registry.blobBehaviour = { gate: { positionBytes: 100_000, opened: opened.promise } };
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`);
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    const pieces: Uint8Array[] = [];
    let received = 0;
    while (received < 100_000) {
      const { value } = (await reader?.read()) ?? {};
      pieces.push(value ?? new Uint8Array());
      received += value?.byteLength ?? 0;
    }
    expect(received).toBe(100_000);
    opened.resolve();
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) pieces.push(next.value);
    expect(Buffer.concat(pieces).equals(blob)).toBe(true);
  });

  test("sends its head before there is any byte", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    const opened = Promise.withResolvers<void>();
    registry.answered = { outcome: "miss", warnings: [] };
    registry.blobBehaviour = { gate: { positionBytes: 0, opened: opened.promise } };
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`);
    expect(response.headers.get("content-length")).toBe(String(blob.byteLength));
    opened.resolve();
    expect((await response.arrayBuffer()).byteLength).toBe(blob.byteLength);
  });
});

test("a small blob that is read in many pieces is whole", async () => {
  const { app, registry } = serving();
  const digest = registry.putBlob(alpine, blob.subarray(0, 50_000));
  registry.blobBehaviour = { pieceBytes: 999 };
  await using server = await listening(app);
  const response = await fetch(`${server.origin}${pathOf(digest)}`);
  expect(Buffer.from(await response.arrayBuffer()).equals(blob.subarray(0, 50_000))).toBe(true);
});

describe("ranges of a blob", () => {
  async function ranged(range: string, bytes: Uint8Array = blob, headers: Record<string, string> = {}): Promise<{ response: Response; body: Buffer }> {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, bytes);
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`, { headers: { range, ...headers } });
    return { response, body: Buffer.from(await response.arrayBuffer()) };
  }

  test.each([
    ["bytes=0-0", 0, 0],
    ["bytes=1000-200000", 1000, 200_000],
    ["bytes=2000000-", 2_000_000, blob.byteLength - 1],
    ["bytes=-500", blob.byteLength - 500, blob.byteLength - 1],
    ["bytes=100-99999999999", 100, blob.byteLength - 1],
  ])("%s is 206 with exactly these bytes", async (range, start, end) => {
    const { response, body } = await ranged(range);
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(`bytes ${start}-${end}/${blob.byteLength}`);
    expect(response.headers.get("content-length")).toBe(String(end - start + 1));
    expect(body.equals(blob.subarray(start, end + 1))).toBe(true);
  });

  test.each([["bytes=0-1,9-9,4-5"], ["bytes=200000-400000, -7, 0-99"], ["bytes=0-10,5-20"]])("%s is one part each, in the order asked", async (range) => {
    const { response, body } = await ranged(range);
    expect(response.status).toBe(206);
    expect(Number(response.headers.get("content-length"))).toBe(body.byteLength);
    const boundary = /^multipart\/byteranges; boundary=([0-9a-f]+)$/.exec(response.headers.get("content-type") ?? "")?.[1];
    const parts = body.toString("latin1").split(`--${boundary}`);
    expect(parts[0]).toBe("");
    expect(parts.at(-1)).toBe("--\r\n");
    const bodies = parts.slice(1, -1).map((part) => {
      const headEnd = part.indexOf("\r\n\r\n");
      return [/Content-Range: (.*)/.exec(part.slice(0, headEnd))?.[1]?.trim(), part.slice(headEnd + 4, -2)] as const;
    });
    const expected = range
      .slice("bytes=".length)
      .split(",")
      .map((spec) => {
        const [first = "", last = ""] = spec.trim().split("-");
        const start = first === "" ? blob.byteLength - Number(last) : Number(first);
        const end = first === "" ? blob.byteLength - 1 : Number(last);
        return [`bytes ${start}-${end}/${blob.byteLength}`, blob.subarray(start, end + 1).toString("latin1")] as const;
      });
    expect(bodies).toEqual(expected);
  });

  test.each(["bytes=99999999-", "bytes=500-0", "bytes=-0"])("%s is 416 with the size and a length of its own", async (range) => {
    const { response, body } = await ranged(range);
    expect(response.status).toBe(416);
    expect(response.headers.get("content-range")).toBe(`bytes */${blob.byteLength}`);
    expect(Number(response.headers.get("content-length"))).toBe(body.byteLength);
    expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: "RANGE_INVALID" }] });
  });

  test.each(["items=0-5", "bytes=x", "bytes=1-2,x"])("%s is ignored", async (range) => {
    const { response, body } = await ranged(range);
    expect(response.status).toBe(200);
    expect(body.equals(blob)).toBe(true);
  });

  test("more than sixteen are 400", async () => {
    const { response } = await ranged(`bytes=${"0-0,".repeat(16)}1-1`);
    expect(response.status).toBe(400);
  });

  test("of an empty blob are all of it", async () => {
    const { response, body } = await ranged("bytes=0-", Buffer.alloc(0));
    expect(response.status).toBe(200);
    expect(body.byteLength).toBe(0);
  });

  test("count only if the content is the one that If-Range names", async () => {
    const { response: other } = await ranged("bytes=0-0", blob, { "if-range": '"sha256:other"' });
    expect(other.status).toBe(200);
    const named = digestOf(blob);
    const { response: same } = await ranged("bytes=0-0", blob, { "if-range": `"${named}"` });
    expect(same.status).toBe(206);
    const { response: weak } = await ranged("bytes=0-0", blob, { "if-range": `W/"${named}"` });
    expect(weak.status).toBe(200);
    const { response: any } = await ranged("bytes=0-0", blob, { "if-range": "Sun, 22 Nov 2026 00:00:00 GMT" });
    expect(any.status).toBe(200);
  });
});
