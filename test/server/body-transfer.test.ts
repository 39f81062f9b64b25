import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { parseDigest } from "../../src/oci/digest.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { BufferPool } from "../../src/server/buffer-pool.ts";
import { exchange, pull, startPull } from "../support/raw-client.ts";
import { alpine, listening, serving } from "./serving.ts";

const blob = randomBytes(3 * 1024 * 1024 + 17);

function pathOf(digest: string): string {
  return `/v2/library/alpine/blobs/${digest}`;
}

describe("a body that breaks", () => {
  test("is cut, never ended", async () => {
    const { app, registry, records, told } = serving();
    const digest = registry.putBlob(alpine, blob);
    registry.blobBehaviour = { failAtBytes: 1_000_000 };
    await using server = await listening(app);
    const result = await pull({ host: server.at, path: pathOf(digest), expected: blob });
    expect(result).toMatchObject({ status: 200, ending: "cut", isExact: true });
    expect(result.receivedBytes).toBeLessThanOrEqual(1_000_000);
    await told(1);
    expect(records[0]?.sentBytes).toBeLessThanOrEqual(1_000_000);
    expect(registry.openBlobs).toBe(0);
  });

  test("of unknown size is cut without the last chunk", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    registry.blobBehaviour = { failAtBytes: 100_000, sizeUnknown: true };
    await using server = await listening(app);
    const { received, isClosed } = await exchange(server.at, `GET ${pathOf(digest)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(isClosed).toBe(true);
    expect(received).toContain("Transfer-Encoding: chunked");
    expect(received).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  test("of unknown size is reset for a client of HTTP/1.0, to whom an end is the end", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    registry.blobBehaviour = { failAtBytes: 100_000, sizeUnknown: true };
    await using server = await listening(app);
    const socket = connect({ host: "127.0.0.1", port: server.port });
    const ending = new Promise((resolve) => {
      socket.once("error", (error) => resolve("code" in error && error.code));
      socket.once("end", () => resolve("end"));
    });
    socket.resume();
    socket.write(`GET ${pathOf(digest)} HTTP/1.0\r\n\r\n`);
    expect(await ending).toBe("ECONNRESET");
  });

  test.each([20_000, 65_536])("of %i bytes is still a status", async (size) => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob.subarray(0, size));
    registry.answered = { outcome: "miss", warnings: [] };
    registry.blobBehaviour = { failAtBytes: 0 };
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ errors: [{ code: "UNAVAILABLE" }] });
    expect(registry.openBlobs).toBe(0);
  });

  test("of a held blob that cannot be read is still a status", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob.subarray(0, 20_000));
    registry.blobBehaviour = { failAtBytes: 10_000 };
    await using server = await listening(app);
    const response = await fetch(`${server.origin}${pathOf(digest)}`);
    expect(response.status).toBe(502);
    expect(registry.openBlobs).toBe(0);
  });

  test("shorter than was said is cut", async () => {
    const { app, registry } = serving();
    const digest = registry.putBlob(alpine, blob);
    const getBlob = registry.getBlob.bind(registry);
    registry.getBlob = async (...asked) => {
      const content = await getBlob(...asked);
      return { ...content, read: async (target, position) => (position >= 500_000 ? 0 : content.read(target.subarray(0, 500_000 - position), position)) };
    };
    await using server = await listening(app);
    expect(await pull({ host: server.at, path: pathOf(digest), expected: blob })).toMatchObject({ status: 200, ending: "cut", isExact: true });
  });
});

describe("a client", () => {
  test("that leaves frees the blob at once, also while its bytes are waited for", async () => {
    const pool = new BufferPool({ clock: systemClock });
    const { app, registry, records, told } = serving({ bufferPool: pool });
    const digest = registry.putBlob(alpine, blob);
    registry.blobBehaviour = { gate: { positionBytes: 200_000, opened: new Promise(() => {}) } };
    await using server = await listening(app);
    const running = startPull({ host: server.at, path: pathOf(digest), expected: blob });
    await running.received(200_000);
    running.abort();
    await told(1);
    expect(registry.openBlobs).toBe(0);
    expect(registry.lastCall?.signal.aborted).toBe(true);
    expect(records).toMatchObject([{ status: 200, sentBytes: 200_000 }]);
    await expect.poll(() => pool.usedBytes).toBe(0);
  });

  test("that leaves before answers it asked for ahead have begun takes their buffers with it", async () => {
    const pool = new BufferPool({ clock: systemClock });
    const { app, registry, told } = serving({ bufferPool: pool });
    const stalled = registry.putBlob(alpine, blob);
    registry.blobBehaviour = { gate: { positionBytes: 200_000, opened: new Promise(() => {}) } };
    await using server = await listening(app);
    const socket = connect({ host: "127.0.0.1", port: server.port });
    const request = `GET ${pathOf(stalled)} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const firstBytes = new Promise((resolve) => socket.once("data", resolve));
    socket.write(request.repeat(4));
    await firstBytes;
    await expect.poll(() => pool.usedBytes).toBeGreaterThanOrEqual(3 * 64 * 1024);
    socket.destroy();
    await told(4);
    expect(registry.openBlobs).toBe(0);
    await expect.poll(() => pool.usedBytes).toBe(0);
  });

  test("that takes nothing is cut, and one that is slow is not", async () => {
    const huge = randomBytes(16 * 1024 * 1024);
    const pool = new BufferPool({ clock: systemClock });
    const { app, registry, told } = serving({ stallTimeoutMs: 1_500, bufferPool: pool });
    const digest = registry.putBlob(alpine, huge);
    await using server = await listening(app);
    const stalled = startPull({ host: server.at, path: pathOf(digest), stallAfterBytes: 1 });
    const slow = startPull({ host: server.at, path: pathOf(digest), expected: huge, bytesPerSecond: 3 * 1024 * 1024 });
    await told(1);
    // Two large buffers of the slow one, two middling ones of the other, which never got further.
    expect(pool.usedBytes).toBeLessThanOrEqual(2.5 * 1024 * 1024);
    expect(await slow.done).toMatchObject({ ending: "complete", isExact: true });
    await told(2);
    stalled.resume();
    expect((await stalled.done).ending).toBe("cut");
    await expect.poll(() => pool.usedBytes).toBe(0);
    expect(registry.openBlobs).toBe(0);
  });

  test("that waits for bytes longer than a stall may last is not blamed", async () => {
    const { app, registry } = serving({ stallTimeoutMs: 50 });
    const digest = registry.putBlob(alpine, blob);
    const opened = Promise.withResolvers<void>();
    registry.blobBehaviour = { gate: { positionBytes: 300_000, opened: opened.promise } };
    await using server = await listening(app);
    const running = startPull({ host: server.at, path: pathOf(digest), expected: blob });
    await running.received(300_000);
    systemClock.after(300, () => opened.resolve());
    expect(await running.done).toMatchObject({ ending: "complete", isExact: true });
  });

  test("that leaves before there is an answer is noted as such", async () => {
    const { app, registry, records, told } = serving();
    const asked = Promise.withResolvers<void>();
    registry.getBlob = (_repository, _digest, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        asked.resolve();
      });
    await using server = await listening(app);
    const running = startPull({ host: server.at, path: pathOf(parseDigest(`sha256:${"0".repeat(64)}`)) });
    await asked.promise;
    running.abort();
    await told(1);
    expect(records).toMatchObject([{ status: 499, sentBytes: 0 }]);
  });
});

test("a client that takes nothing gives way to one that waits", async () => {
  const pool = new BufferPool({ clock: systemClock, totalBytes: 128 * 1024, yieldMs: 100 });
  const { app, registry } = serving({ bufferPool: pool });
  const huge = registry.putBlob(alpine, randomBytes(16 * 1024 * 1024));
  const digest = registry.putBlob(alpine, blob);
  await using server = await listening(app);
  const stalled = [0, 1].map(() => startPull({ host: server.at, path: pathOf(huge), stallAfterBytes: 1 }));
  await Promise.all(stalled.map((one) => one.received(1)));
  await expect.poll(() => pool.usedBytes).toBe(128 * 1024);
  expect(await pull({ host: server.at, path: pathOf(digest), expected: blob })).toMatchObject({ ending: "complete", isExact: true });
  for (const one of stalled) one.abort();
});

test("many bodies at once share the pool and arrive exactly", async () => {
  const pool = new BufferPool({ clock: systemClock, totalBytes: 512 * 1024 });
  const { app, registry } = serving({ bufferPool: pool });
  const digest = registry.putBlob(alpine, blob);
  await using server = await listening(app);
  let mostBytes = 0;
  const getBlob = registry.getBlob.bind(registry);
  registry.getBlob = async (...asked) => {
    const content = await getBlob(...asked);
    return {
      ...content,
      read: (target, position) => {
        mostBytes = Math.max(mostBytes, pool.usedBytes);
        return content.read(target, position);
      },
    };
  };
  const results = await Promise.all(Array.from({ length: 40 }, () => pull({ host: server.at, path: pathOf(digest), expected: blob })));
  expect(results.filter(({ ending, isExact }) => ending === "complete" && isExact)).toHaveLength(40);
  expect(mostBytes).toBeLessThanOrEqual(512 * 1024);
  expect(pool.usedBytes).toBe(0);
});
