/** Ways to fail, as a caller meets them: the error, how fast it comes, and what the upstream hears meanwhile. */
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import type { UpstreamOptions } from "../../src/upstream/upstream-options.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { call, failureOf, listedAs, readAll, reference, repositoryAt, startUpstreams } from "./asking.ts";

const deadlines = { connectMs: 200, headersMs: 300, totalMs: 600, lookupMs: 150, tokenMs: 250 };

/** Far below every deadline above: nobody was waited for. */
const atOnceMs = 140;

/** Real sockets, and time that runs ten times as fast for whoever waits for it. */
const quickClock: Clock = { ...systemClock, after: (delayMs, wake) => systemClock.after(delayMs / 10, wake) };
const quickly = { clock: quickClock, deadlines: { connectMs: 50_000, headersMs: 50_000, totalMs: 100_000 } };

async function setUp(options: Partial<UpstreamOptions> = {}) {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeUpstream());
  const image = fake.putImage("team/app", "latest");
  const upstreams = stack.use(startUpstreams([listedAs(fake)], { deadlines, ...options }));
  const get = () => upstreams.getManifest(repositoryAt(fake.host), reference(), call());
  return { fake, image, upstreams, get, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const start = performance.now();
  const result = await work();
  return { result, ms: performance.now() - start };
}

describe("an upstream that", () => {
  test("refuses connections opens its breaker at once, and is left alone", async () => {
    await using set = await setUp();
    await set.fake.refuse();
    const first = await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    expect(first.message).toBe(`connection refused by ${set.fake.host}`);
    const { result, ms } = await timed(() => failureOf(set.get(), "UPSTREAM_UNAVAILABLE"));
    expect(result).toMatchObject({ message: first.message, source: "upstream" });
    expect(result.retryAfterMs).toBeGreaterThan(0);
    expect(ms).toBeLessThan(atOnceMs);
    expect(set.upstreams.status()).toMatchObject([{ host: set.fake.host, state: "failing", reason: first.message }]);
  });

  test("says nothing times out, and then fails in milliseconds", async () => {
    await using set = await setUp();
    set.fake.when({}, { silent: "before headers" });
    const slow = await timed(() => failureOf(set.get(), "UPSTREAM_TIMEOUT"));
    expect(slow.ms).toBeLessThan(deadlines.totalMs);
    const fast = await timed(() => failureOf(set.get(), "UPSTREAM_TIMEOUT"));
    expect(fast.ms).toBeLessThan(atOnceMs);
    expect(set.fake.requests).toHaveLength(1);
  });

  test("sends headers and then nothing times out in all", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest" }, { silent: "after headers" });
    const { ms } = await timed(() => failureOf(set.get(), "UPSTREAM_TIMEOUT"));
    expect(ms).toBeLessThan(deadlines.totalMs + 600);
    await set.fake.waitFor(() => set.fake.connections.open === 0, "the connection to end");
  });

  test("sends a manifest byte by byte times out in all", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest" }, { bytesPerSecond: 20 });
    const { ms } = await timed(() => failureOf(set.get(), "UPSTREAM_TIMEOUT"));
    expect(ms).toBeLessThan(deadlines.totalMs + 600);
  });

  test("accepts and never answers the TLS handshake times out", async () => {
    const sockets = new Set<{ destroy(): void }>();
    const server = createServer((socket) => sockets.add(socket.on("error", () => {})));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using upstreams = startUpstreams([listedAs({ host, url: `https://${host}` })], { deadlines });
    const { result, ms } = await timed(() => failureOf(upstreams.getManifest(repositoryAt(host, "a", "https"), reference(), call()), "UPSTREAM_TIMEOUT"));
    expect(result.message).toContain("no connection");
    expect(ms).toBeLessThan(deadlines.totalMs + 600);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test("speaks no TLS where TLS is meant says so", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs({ host: fake.host, url: `https://${fake.host}` })], { deadlines });
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("TLS");
    await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(fake.connections.accepted).toBe(1);
  });

  test("has no name", async () => {
    const missing = () => Promise.reject(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }));
    await using upstreams = startUpstreams([], { deadlines, resolve: missing });
    const error = await failureOf(upstreams.getManifest(repositoryAt("missing.example"), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toBe("no such host: missing.example");
  });

  test("has a name that nobody ever resolves times out", async () => {
    await using upstreams = startUpstreams([], { deadlines, resolve: () => new Promise(() => {}) });
    const { ms } = await timed(() => failureOf(upstreams.getManifest(repositoryAt("hanging.example"), reference(), call()), "UPSTREAM_TIMEOUT"));
    expect(ms).toBeLessThan(deadlines.totalMs + 600);
    const fast = await timed(() => failureOf(upstreams.getManifest(repositoryAt("hanging.example"), reference(), call()), "UPSTREAM_TIMEOUT"));
    expect(fast.ms).toBeLessThan(atOnceMs);
  });

  test.each([
    ["5xx", { status: 503 }],
    ["pages for people", { status: 200, body: "<html>" }],
    ["dropped connections", { drop: true }],
  ] as const)("gives %s is left alone after three in a row", async (_, quirk) => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest" }, quirk);
    for (let time = 0; time < 3; time++) await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    const heard = set.fake.requests.length;
    const { ms } = await timed(() => failureOf(set.get(), "UPSTREAM_UNAVAILABLE"));
    expect(ms).toBeLessThan(atOnceMs);
    expect(heard).toBe(3);
    expect(set.fake.requests).toHaveLength(heard);
  });

  test("gives a 5xx now and then stays in use", async () => {
    await using set = await setUp();
    for (let time = 0; time < 4; time++) {
      const stop = set.fake.when({ kind: "manifest" }, { status: 500 });
      await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
      stop();
      await set.get();
    }
    expect(set.fake.requests).toHaveLength(8);
  });

  test.each([404, 403])("says %s is well", async (status) => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest" }, { status });
    for (let time = 0; time < 5; time++) await failureOf(set.get(), status === 404 ? "MANIFEST_UNKNOWN" : "DENIED");
    expect(set.fake.requests).toHaveLength(5);
  });

  test("closes kept connections is asked again on a new one", async () => {
    await using set = await setUp();
    await set.get();
    // A connection can be used again in the turn after its answer.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    set.fake.when({ kind: "manifest", times: 1 }, { drop: true });
    await set.get();
    expect(set.fake.requests).toHaveLength(3);
    expect(set.fake.connections.accepted).toBe(2);
  });
});

describe("an upstream that comes back", () => {
  test("is found by a probe, and answers the next request", async () => {
    await using set = await setUp(quickly);
    await set.fake.refuse();
    await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    await set.fake.accept();
    await set.fake.waitForRequests(1);
    await expect.poll(() => set.upstreams.status(), { timeout: 5_000 }).toMatchObject([{ state: "ready" }]);
    await set.get();
    expect(set.fake.requests).toEqual(["GET /v2/", "GET /v2/team/app/manifests/latest"]);
  });

  test("is found where its name leads by now, not where it led and is still connected", async () => {
    await using set = await setUp();
    await using elsewhere = createHttpServer((_, response) => void response.writeHead(503).end());
    await new Promise<void>((resolve) => elsewhere.listen(set.fake.port, "127.0.0.2", resolve));
    let address = "127.0.0.2";
    const host = `registry.corp:${set.fake.port}`;
    const listed = { ...listedAs(set.fake), host: repositoryAt(host).host };
    await using upstreams = startUpstreams([listed], { ...quickly, resolve: () => Promise.resolve([{ address, family: 4 }]) });
    const get = () => upstreams.getManifest(repositoryAt(host), reference(), call());
    for (let time = 0; time < 3; time++) await failureOf(get(), "UPSTREAM_UNAVAILABLE");
    address = "127.0.0.1";
    await set.fake.waitFor(() => set.fake.requests.includes("GET /v2/"), "a probe", { waitMs: 3_000 });
    elsewhere.closeAllConnections();
  });

  test("lets go of the bodies that began before, when we close", async () => {
    await using set = await setUp(quickly);
    const blobDigest = set.fake.putBlob("team/app", Buffer.alloc(2 << 20));
    set.fake.when({ kind: "blob" }, { holdBody: { atBytes: 1_000, until: new Promise(() => {}) } });
    const blob = await set.upstreams.getBlob(repositoryAt(set.fake.host), blobDigest, call());
    set.fake.when({ kind: "manifest" }, { status: 503 });
    for (let time = 0; time < 3; time++) await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    await set.fake.waitFor(() => set.fake.requests.includes("GET /v2/"), "a probe");
    await set.upstreams.close();
    await set.fake.waitFor(() => set.fake.connections.open === 0, "the last connection to end");
    await blob[Symbol.asyncDispose]();
  });

  test("only at /v2/ gets one request on trial, not a crowd", async () => {
    await using set = await setUp(quickly);
    set.fake.when({ kind: "manifest" }, { status: 500 });
    for (let time = 0; time < 3; time++) await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    await set.fake.waitFor(() => set.fake.requests.includes("GET /v2/"), "a probe");
    await expect.poll(() => set.upstreams.status(), { timeout: 5_000 }).toMatchObject([{ state: "ready" }]);
    await Promise.all(Array.from({ length: 10 }, () => failureOf(set.get(), "UPSTREAM_UNAVAILABLE")));
    expect(set.fake.requests.filter((line) => line.includes("manifests"))).toHaveLength(4);
  });
});

describe("429", () => {
  test("pauses the upstream for as long as it asks", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest", times: 1 }, { status: 429, headers: { "retry-after": "60" } });
    const first = await failureOf(set.get(), "UPSTREAM_THROTTLED");
    expect(first.retryAfterMs).toBe(30_000);
    const { result, ms } = await timed(() => failureOf(set.get(), "UPSTREAM_THROTTLED"));
    expect(result.retryAfterMs).toBeLessThanOrEqual(30_000);
    expect(ms).toBeLessThan(atOnceMs);
    expect(set.fake.requests).toHaveLength(1);
    expect(set.upstreams.status()).toMatchObject([{ state: "throttled" }]);
  });

  test("is over by itself", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest", times: 1 }, { status: 429, headers: { "retry-after": "1" } });
    await failureOf(set.get(), "UPSTREAM_THROTTLED");
    await expect.poll(() => set.upstreams.status(), { timeout: 3_000 }).toMatchObject([{ state: "ready" }]);
    await set.get();
    expect(set.fake.requests).toHaveLength(2);
  });

  test("takes a date", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "manifest" }, { status: 429, headers: { "retry-after": new Date(Date.now() + 20_000).toUTCString() } });
    const error = await failureOf(set.get(), "UPSTREAM_THROTTLED");
    expect(error.retryAfterMs).toBeGreaterThan(15_000);
    expect(error.retryAfterMs).toBeLessThanOrEqual(20_000);
  });
});

describe("parts fail alone:", () => {
  test("a CDN that is away leaves the registry's manifests in use", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    await set.fake.cdn.refuse();
    const [blobDigest] = [...set.image.blobs.keys()];
    if (!blobDigest) throw new Error("no blob");
    const blob = () => set.upstreams.getBlob(repositoryAt(set.fake.host), blobDigest, call());
    await failureOf(blob(), "UPSTREAM_UNAVAILABLE");
    await failureOf(blob(), "UPSTREAM_UNAVAILABLE");
    await set.get();
    await set.fake.cdn.accept();
  });

  test("a token service that hangs fails in time, and then at once", async () => {
    await using set = await setUp();
    await using tokens = await startFakeTokenService();
    set.fake.authentication = { kind: "bearer", tokens };
    tokens.when({}, { silent: "before headers" });
    const slow = await timed(() => failureOf(set.get(), "UPSTREAM_TIMEOUT"));
    expect(slow.ms).toBeLessThan(deadlines.totalMs + 600);
    const fast = await timed(() => failureOf(set.get(), "UPSTREAM_TIMEOUT"));
    expect(fast.ms).toBeLessThan(atOnceMs);
    expect(tokens.requests).toHaveLength(1);
  });

  test("one registry that hangs slows no other down", async () => {
    await using hanging = await startFakeUpstream();
    await using well = await startFakeUpstream();
    well.putImage("team/app", "latest");
    hanging.when({}, { silent: "before headers" });
    await using upstreams = startUpstreams([listedAs(hanging), listedAs(well)], { deadlines: { ...deadlines, headersMs: 1_500, totalMs: 2_000 } });
    const stuck = Promise.all(Array.from({ length: 100 }, () => failureOf(upstreams.getManifest(repositoryAt(hanging.host), reference(), call()))));
    const { ms } = await timed(() => upstreams.getManifest(repositoryAt(well.host), reference(), call()));
    expect(ms).toBeLessThan(1_000);
    await stuck;
  });

  test("blobs that take all of their connections leave manifests theirs", async () => {
    await using set = await setUp({ deadlines: { ...deadlines, headersMs: 3_000, totalMs: 5_000 } });
    const blobDigest = set.fake.putBlob("team/app", Buffer.alloc(1_000));
    const { promise: until, resolve } = Promise.withResolvers<void>();
    set.fake.when({ kind: "blob" }, { hold: until });
    const blobs = Array.from({ length: 80 }, () => set.upstreams.getBlob(repositoryAt(set.fake.host), blobDigest, call()));
    await set.fake.waitForRequests(40);
    await set.get();
    resolve();
    for (const pending of blobs) {
      await using blob = await pending;
      await readAll(blob);
    }
  });
});

test("a crowd that waits and leaves does not stand in the way of who comes when the upstream is back", async () => {
  await using set = await setUp({ deadlines: { ...deadlines, headersMs: 60_000, totalMs: 60_000 } });
  const { promise: hold, resolve } = Promise.withResolvers<void>();
  const stop = set.fake.when({ kind: "manifest" }, { hold });
  const leaving = new AbortController();
  const crowd = Array.from({ length: 500 }, () =>
    set.upstreams.getManifest(repositoryAt(set.fake.host), reference(), call({ signal: leaving.signal })).catch(() => "left"),
  );
  await set.fake.waitForRequests(32);
  leaving.abort(new Error("gone"));
  expect(new Set(await Promise.all(crowd))).toEqual(new Set(["left"]));
  stop();
  resolve();
  const { ms } = await timed(() => set.get());
  expect(ms).toBeLessThan(2_000);
  expect(set.fake.requests).toHaveLength(33);
});

test("time that ran out before a connection was free is not held against the upstream", async () => {
  await using set = await setUp({ deadlines: { ...deadlines, headersMs: 60_000, totalMs: 400 } });
  const blobDigest = set.fake.putBlob("team/app", Buffer.alloc(2 << 20));
  const { promise: until, resolve } = Promise.withResolvers<void>();
  set.fake.when({ kind: "blob" }, { holdBody: { atBytes: 1_000, until } });
  const ask = () => set.upstreams.getBlob(repositoryAt(set.fake.host), blobDigest, call());
  const running = await Promise.all(Array.from({ length: 48 }, ask));
  await failureOf(ask(), "OVERLOADED");
  expect(set.upstreams.status()).toMatchObject([{ state: "ready" }]);
  for (const blob of running) await blob[Symbol.asyncDispose]();
  await using blob = await ask();
  expect(blob.descriptor.sizeBytes).toBe(2 << 20);
  resolve();
});

test("beyond a thousand who wait for one upstream, more are told to come back", async () => {
  await using set = await setUp({ deadlines: { ...deadlines, headersMs: 60_000, totalMs: 60_000 } });
  set.fake.when({ kind: "manifest" }, { silent: "before headers" });
  const leaving = new AbortController();
  const crowd = Array.from({ length: 1_056 }, () =>
    set.upstreams.getManifest(repositoryAt(set.fake.host), reference(), call({ signal: leaving.signal })).catch(() => "left"),
  );
  await set.fake.waitForRequests(32);
  const error = await failureOf(set.get(), "OVERLOADED");
  expect(error.retryAfterMs).toBe(1_000);
  leaving.abort(new Error("gone"));
  await Promise.all(crowd);
});

test("a caller who leaves ends the wait, and is no sign of illness", async () => {
  await using set = await setUp();
  const { promise: hold, resolve } = Promise.withResolvers<void>();
  set.fake.when({ kind: "manifest", times: 5 }, { hold });
  for (let time = 0; time < 5; time++) {
    const leaving = new AbortController();
    const pending = set.upstreams.getManifest(repositoryAt(set.fake.host), reference(), call({ signal: leaving.signal }));
    await set.fake.waitForRequests(time + 1);
    leaving.abort(new Error("gone"));
    await expect(pending).rejects.toThrow("gone");
  }
  resolve();
  await set.get();
});
