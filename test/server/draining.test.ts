import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { silentLog } from "../../src/oci/log.ts";
import { Draining } from "../../src/server/draining.ts";
import { pull, startPull } from "../support/raw-client.ts";
import { TestClock } from "../support/test-clock.ts";
import { alpine, listening, serving } from "./serving.ts";

const blob = randomBytes(1_000_000);

test("says no to probes and yes to pulls until the delay is over, then closes", async () => {
  const draining = new Draining();
  const clock = new TestClock();
  const { app, registry } = serving({ unready: () => (draining.started ? "draining" : undefined), draining: () => draining.started });
  registry.putBlob(alpine, blob);
  await using server = await listening(app);
  const statusOf = async (path: string): Promise<[number, string | null]> => {
    const response = await fetch(`${server.origin}${path}`);
    await response.arrayBuffer();
    return [response.status, response.headers.get("connection")];
  };
  expect(await statusOf("/readyz")).toEqual([200, "keep-alive"]);
  const idle = connect({ host: "127.0.0.1", port: server.port });
  const idleClosed = new Promise((resolve) => idle.once("close", resolve));
  await new Promise((resolve) => idle.once("connect", resolve));
  idle.resume();

  const drained = draining.drain({ listeners: [server], shutdownDelayMs: 5_000, drainTimeoutMs: 60_000, clock, log: silentLog });
  expect(await statusOf("/readyz")).toEqual([503, "close"]);
  expect(await statusOf("/healthz")).toEqual([200, "close"]);
  expect(await statusOf("/v2/")).toEqual([200, "close"]);
  await clock.advance(5_000);
  await idleClosed;
  await drained;
  await expect(fetch(`${server.origin}/v2/`)).rejects.toThrow();
  expect(clock.waiting).toBe(0);
});

test("lets a body finish", async () => {
  const draining = new Draining();
  const { app, registry } = serving({ draining: () => draining.started });
  const digest = registry.putBlob(alpine, blob);
  const opened = Promise.withResolvers<void>();
  registry.blobBehaviour = { gate: { positionBytes: 500_000, opened: opened.promise } };
  await using server = await listening(app);
  const running = startPull({ host: server.at, path: `/v2/alpine/blobs/${digest}`, expected: blob, headers: { connection: "keep-alive" } });
  await running.received(500_000);
  const drained = draining.drain({ listeners: [server], shutdownDelayMs: 0, drainTimeoutMs: 60_000, clock: new TestClock(), log: silentLog });
  const refused = await pull({ host: server.at, path: "/v2/" });
  expect(refused.status).toBe(0);
  opened.resolve();
  expect(await running.done).toMatchObject({ ending: "complete", isExact: true });
  await drained;
});

test("cuts nothing where there is no such time, and ends with the last body", async () => {
  const draining = new Draining();
  const clock = new TestClock();
  const { app, registry } = serving({ draining: () => draining.started });
  const digest = registry.putBlob(alpine, blob);
  const opened = Promise.withResolvers<void>();
  registry.blobBehaviour = { gate: { positionBytes: 500_000, opened: opened.promise } };
  await using server = await listening(app);
  const running = startPull({ host: server.at, path: `/v2/alpine/blobs/${digest}`, expected: blob });
  await running.received(500_000);
  const drained = draining.drain({ listeners: [server], shutdownDelayMs: 0, drainTimeoutMs: Infinity, clock, log: silentLog });
  await clock.advance(1_000 * 365 * 86_400_000);
  expect(registry.openBlobs).toBe(1);
  opened.resolve();
  expect(await running.done).toMatchObject({ ending: "complete", isExact: true });
  await drained;
  expect(clock.waiting).toBe(0);
});

test("cuts what is not done in time", async () => {
  const draining = new Draining();
  const clock = new TestClock();
  const { app, registry } = serving({ draining: () => draining.started });
  const digest = registry.putBlob(alpine, blob);
  registry.blobBehaviour = { gate: { positionBytes: 500_000, opened: new Promise(() => {}) } };
  await using server = await listening(app);
  const running = startPull({ host: server.at, path: `/v2/alpine/blobs/${digest}`, expected: blob });
  await running.received(500_000);
  const drained = draining.drain({ listeners: [server], shutdownDelayMs: 0, drainTimeoutMs: 60_000, clock, log: silentLog });
  await clock.advance(59_999);
  expect(registry.openBlobs).toBe(1);
  await clock.advance(1);
  expect(await running.done).toMatchObject({ ending: "cut", receivedBytes: 500_000 });
  await drained;
  expect(registry.openBlobs).toBe(0);
});
