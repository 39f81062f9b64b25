import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { Secret } from "../../src/oci/secret.ts";
import type { UpstreamAuth, UpstreamOptions } from "../../src/upstream/upstream-options.ts";
import { startFakeOauth2 } from "../support/fake-oauth2.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { KeptLog } from "../support/kept-log.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { seededBytes } from "../support/images.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, failureOf, listedAs, readAll, reference, repositoryAt, startUpstreams } from "./asking.ts";

const base: Omit<UpstreamOptions, "registries"> = { unlisted: "deny", clock: systemClock, log: silentLog, userAgent: "ociregistry/test" };

describe("new options", () => {
  test("leave an unchanged registry its tokens, and a changed one begins anew", async () => {
    await using fake = await startFakeUpstream();
    await using other = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    fake.authentication = { kind: "bearer", tokens };
    tokens.users.set("robot", "new");
    fake.putImage("team/app", "latest");
    const get = () => upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    await using upstreams = startUpstreams([listedAs(fake)], base);
    await get();
    upstreams.reconfigure({ ...base, registries: [listedAs(fake), listedAs(other)] });
    await get();
    expect(tokens.requests).toHaveLength(1);
    let password = "old";
    const auth = () => passwordAuth("robot", password, [tokens.host]);
    upstreams.reconfigure({ ...base, registries: [listedAs(fake, { auth: auth() })] });
    await failureOf(get(), "DENIED");
    password = "new";
    upstreams.reconfigure({ ...base, registries: [listedAs(fake, { auth: auth() })] });
    await get();
    expect(tokens.requests).toHaveLength(3);
  });

  test("leave a registry that is gone the time to finish, and then nobody asks it", async () => {
    await using fake = await startFakeUpstream();
    fake.putImage("team/app", "latest");
    await using tokens = await startFakeTokenService();
    fake.authentication = { kind: "bearer", tokens };
    await using upstreams = startUpstreams([listedAs(fake)], { ...base, deadlines: { totalMs: 1_000 } });
    const { promise: hold, resolve } = Promise.withResolvers<void>();
    fake.when({ kind: "manifest", times: 1 }, { hold });
    const pending = upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    await fake.waitForRequests(1);
    upstreams.reconfigure({ ...base, registries: [] });
    resolve();
    await pending;
    await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "DENIED");
    expect(upstreams.status()).toEqual([]);
    await fake.waitFor(() => fake.connections.open === 0, "its connections to end");
  });

  test("that are no use leave nothing behind: a credential of theirs is asked for no more", async () => {
    await using idp = await startFakeOauth2();
    await using fake = await startFakeUpstream();
    idp.clients.set("robot", "right");
    const clock = new TestClock();
    await using upstreams = startUpstreams([], { ...base, clock });
    const auth: UpstreamAuth = {
      credential: { kind: "oauth2", tokenUrl: idp.tokenUrl, grant: "client-credentials", clientId: "robot", clientSecret: new Secret("right"), use: "bearer" },
    };
    const isBroken = { tls: { cert: "no certificate", key: "no key" } };
    for (const registries of [
      [listedAs(fake, { auth, ...isBroken })],
      [listedAs(fake, { auth }), { host: parseRegistryHost("127.0.0.1:1"), ...isBroken }],
      [listedAs(fake, { auth, endpoints: [{ url: "http://127.0.0.1:1", ...isBroken }] })],
      [listedAs(fake, { endpoints: [{ url: "http://127.0.0.1:1", auth }], ...isBroken })],
    ]) {
      expect(() => upstreams.reconfigure({ ...base, clock, registries })).toThrow(Error);
    }
    await expect.poll(() => clock.waiting).toBe(0);
    const { length } = idp.requests;
    await clock.advance(24 * 3_600_000);
    expect(idp.requests).toHaveLength(length);
  });

  test("that are no use change nothing", async () => {
    await using fake = await startFakeUpstream();
    fake.putImage("team/app", "latest");
    await using upstreams = startUpstreams([listedAs(fake)], base);
    expect(() => upstreams.reconfigure({ ...base, registries: [listedAs(fake, { endpoints: [{ url: "not a url" }] })] })).toThrow(TypeError);
    await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(fake.requests).toHaveLength(1);
  });
});

test("names that strangers make up, and nobody resolves, do not delay the operator's own", async () => {
  await using fake = await startFakeUpstream();
  fake.putImage("team/app", "latest");
  const resolve = (name: string) => (name === "registry.corp" ? Promise.resolve([{ address: "127.0.0.1", family: 4 }]) : new Promise<never>(() => {}));
  const host = `registry.corp:${fake.port}`;
  const listed = { ...listedAs(fake), host: repositoryAt(host).host };
  await using upstreams = startUpstreams([listed], { resolve, deadlines: { lookupMs: 1_500 } });
  const strange = Array.from({ length: 20 }, (_, number) =>
    failureOf(upstreams.getManifest(repositoryAt(`n${number}.example`), reference(), call()), "UPSTREAM_TIMEOUT"),
  );
  const start = performance.now();
  await upstreams.getManifest(repositoryAt(host), reference(), call());
  expect(performance.now() - start).toBeLessThan(1_000);
  await Promise.all(strange);
});

describe("what an answer says of itself:", () => {
  test("bytes of a registry on a private address are its own, unless it is declared public", async () => {
    await using fake = await startFakeUpstream();
    fake.putImage("team/app", "latest");
    await using cautious = startUpstreams([listedAs(fake)]);
    await using open = startUpstreams([listedAs(fake, { public: true })]);
    expect((await cautious.getManifest(repositoryAt(fake.host), reference(), call())).isPublic).toBe(false);
    expect((await open.getManifest(repositoryAt(fake.host), reference(), call())).isPublic).toBe(true);
  });

  test("bytes that a credential opened are nobody else's, even where all else is public", async () => {
    await using fake = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    tokens.users.set("robot", "secret");
    fake.authentication = { kind: "bearer", tokens };
    const image = fake.putImage("team/app", "latest");
    const [digest] = [...image.blobs.keys()];
    if (!digest) throw new Error("no blob");
    const auth = passwordAuth("robot", "secret", [tokens.host]);
    await using upstreams = startUpstreams([listedAs(fake, { public: true, auth })]);
    await using blob = await upstreams.getBlob(repositoryAt(fake.host), digest, call());
    expect(blob.isPublic).toBe(false);
    expect((await upstreams.headBlob(repositoryAt(fake.host), digest, call())).isPublic).toBe(false);
  });
});

test("pulls that are given up anywhere leave nothing behind", async () => {
  await using fake = await startFakeUpstream({ redirectsBlobs: true });
  const bytes = seededBytes(400_000);
  const digest = fake.putBlob("team/app", bytes);
  await using upstreams = startUpstreams([listedAs(fake)]);
  const pull = async (number: number) => {
    const leaving = new AbortController();
    if (number % 4 === 0) setImmediate(() => leaving.abort(new Error("gone")));
    try {
      await using blob = await upstreams.getBlob(repositoryAt(fake.host), digest, call({ signal: leaving.signal }));
      for (let read = 0; read < number % 9; read++) if ((await blob.read(Buffer.alloc(50_000), read * 50_000)) === 0) break;
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
    }
  };
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 30 }, (_, number) => pull(round * 30 + number)));
  await using blob = await upstreams.getBlob(repositoryAt(fake.host), digest, call());
  expect((await readAll(blob)).equals(bytes)).toBe(true);
  await upstreams.close();
  await fake.waitFor(() => fake.connections.open === 0, "the connections to end");
  await fake.cdn.waitFor(() => fake.cdn.connections.open === 0, "the CDN's connections to end");
});

test("closing ends every connection and what waits on it", async () => {
  await using fake = await startFakeUpstream();
  fake.when({}, { silent: "before headers" });
  const upstreams = startUpstreams([listedAs(fake)]);
  const pending = failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
  await fake.waitForRequests(1);
  await upstreams.close();
  await pending;
  await fake.waitFor(() => fake.connections.open === 0, "the connections to end");
});

test("closing while a registry is being left is told of as no failure", async () => {
  await using fake = await startFakeUpstream();
  fake.putImage("team/app", "latest");
  const log = new KeptLog();
  const upstreams = startUpstreams([listedAs(fake)], { ...base, log });
  await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
  upstreams.reconfigure({ ...base, log, registries: [] });
  await upstreams.close();
  expect(log.lines.filter((line) => /^(warn|error) /.test(line))).toEqual([]);
});

test("registries that are listed are known before anybody asks, and nobody is dialled for it", async () => {
  await using fake = await startFakeUpstream();
  await using upstreams = startUpstreams([listedAs(fake)]);
  expect(upstreams.status()).toEqual([{ host: fake.host, state: "ready" }]);
  expect(fake.connections.accepted).toBe(0);
});

test("registries that are listed and that nobody asks take next to no memory", async () => {
  const registries = Array.from({ length: 500 }, (_, number) => listedAs({ host: `registry-${number}.example`, url: "https://127.0.0.1:9" }));
  const usedBytes = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = usedBytes();
  await using upstreams = startUpstreams(registries);
  expect(upstreams.status()).toHaveLength(500);
  expect((usedBytes() - before) / 500).toBeLessThan(60_000);
});

test("what a registry says is left for us is known until it says something else", async () => {
  await using fake = await startFakeUpstream();
  fake.putImage("team/app", "latest");
  const clock = new TestClock();
  await using upstreams = startUpstreams([listedAs(fake)], { ...base, clock });
  const ask = async (headers: Readonly<Record<string, string>>): Promise<unknown> => {
    const heal = fake.when({ kind: "manifest" }, { headers });
    await upstreams.headManifest(repositoryAt(fake.host), reference(), call());
    heal();
    return upstreams.status()[0]?.quota;
  };
  expect(await ask({})).toBeUndefined();
  const told = { remaining: 76, limit: 100, windowMs: 21_600_000, toldAtMs: clock.now() };
  expect(await ask({ "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600" })).toEqual(told);
  await clock.advance(60_000);
  for (const nonsense of ["", "many", "-1", "1e9", `${"9".repeat(400)}`, "76, 77"]) expect(await ask({ "ratelimit-remaining": nonsense })).toEqual(told);
  expect(await ask({})).toEqual(told);
  expect(await ask({ "ratelimit-remaining": "0" })).toEqual({ remaining: 0, limit: undefined, windowMs: undefined, toldAtMs: clock.now() });
});

test("a registry that answers again is ready, and when it last did not is still known", async () => {
  await using fake = await startFakeUpstream();
  fake.putImage("team/app", "latest");
  await using upstreams = startUpstreams([listedAs(fake)]);
  const get = () => upstreams.getManifest(repositoryAt(fake.host), reference(), call());
  const beforeMs = Date.now();
  const heal = fake.when({}, { status: 503 });
  for (let failure = 0; failure < 3; failure++) await failureOf(get(), "UPSTREAM_UNAVAILABLE");
  const reason = `${fake.host} answered 503`;
  expect(upstreams.status()).toMatchObject([{ host: fake.host, state: "failing", reason, lastFailure: { reason } }]);
  heal();
  await expect.poll(() => upstreams.status()).toMatchObject([{ state: "ready", lastFailure: { reason } }]);
  expect(upstreams.status()[0]?.lastFailure?.atMs).toBeGreaterThanOrEqual(beforeMs);
});
