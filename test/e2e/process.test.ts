/** The process itself: how it starts, how it leaves, and what it says when it cannot. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCanary } from "../support/canary.ts";
import { pidsIn, survivors, writeCredentialProgram } from "../support/credential-programs.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { pull, startPull } from "../support/raw-client.ts";
import { Throttle } from "../support/sending.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const root = join(import.meta.dirname, "..", "..");
const node = join(root, "node_modules", ".bin", "node");
const main = join(root, "src", "main.ts");
const mebibyte = 1024 * 1024;

test("SIGTERM lets a running answer finish, takes nothing new, and exits 0", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const content = seededBytes(8 * mebibyte);
  const path = `/v2/up/a/blobs/${upstream.putBlob("a", content)}`;
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob" }, { holdBody: { atBytes: 4 * mebibyte, until: gate.promise } });
  await using server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });
  const running = startPull({ host: server.host, path, expected: content });
  await running.received(mebibyte);
  server.process.signal("SIGTERM");
  await server.process.waitForOutput(/"msg":"draining"/);
  while ((await pull({ host: server.host, path: "/livez" })).status !== 0);
  gate.resolve();
  expect(await running.done).toMatchObject({ ending: "complete", isExact: true });
  expect(await server.process.ended).toEqual({ code: 0, signal: null });
});

test("what was arriving when it left goes on where it stood when it is back", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const content = seededBytes(16 * mebibyte);
  const digest = upstream.putBlob("a", content);
  const path = `/v2/up/a/blobs/${digest}`;
  upstream.when({ kind: "blob" }, { bytesPerSecond: new Throttle({ bytesPerSecond: 32 * mebibyte }) });
  const config = { drainTimeout: "10ms", registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  const first = await startOurServer({ folder: folder.path, config });
  const cut = startPull({ host: first.host, path, expected: content });
  await cut.received(8 * mebibyte);
  await first.process.kill("SIGTERM");
  expect(await cut.done).toMatchObject({ ending: "cut", isExact: true });
  await using second = await startOurServer({ folder: folder.path, config });
  expect(await pull({ host: second.host, path, expected: content })).toMatchObject({ ending: "complete", isExact: true });
  const [whole, resumed, ...rest] = upstream.requests;
  expect([whole, rest]).toEqual([`GET /v2/a/blobs/${digest}`, []]);
  // What the registry had sent and we had not yet read went with the connection: on a busy machine that is a few megabytes.
  const [, resumedAt = ""] = new RegExp(`^GET /v2/a/blobs/${digest} bytes=(\\d+)-$`).exec(resumed ?? "") ?? [];
  expect(Number(resumedAt)).toBeGreaterThanOrEqual(8 * mebibyte - 1);
});

test("SIGTERM after a registry was refused is followed to its end, with exit code 0", async () => {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path });
  expect(await pull({ host: server.host, path: "/v2/localhost/x/manifests/latest" })).toMatchObject({ status: 403 });
  server.process.signal("SIGTERM");
  expect(await server.process.ended).toEqual({ code: 0, signal: null });
  expect(server.process.output).toContain('"msg":"stopped"');
});

test("SIGTERM ends it promptly, whoever it waits for to give it a credential, and leaves no program behind", async () => {
  await using folder = await temporaryFolder();
  await using silent = await startCanary();
  const pids = join(folder.path, "pids");
  const helper = await writeCredentialProgram(folder.path, "helper", `sleep 1000 & echo $! $$ >'${pids}'; wait`);
  const tokens = [
    { provider: "ecr", providerOpts: { region: "us-east-1", endpoint: `http://${silent.host}` } },
    { provider: "oauth2", providerOpts: { tokenUrl: `http://${silent.host}/token`, clientId: "a", clientSecret: "b" } },
    { provider: "exec", providerOpts: { protocol: "docker", command: helper.path } },
  ];
  const registries = tokens.map((token, at) => ({ name: `127.0.0.1:${at + 1}`, scheme: "http", auth: { token } }));
  const env = { AWS_ACCESS_KEY_ID: "AKIA0", AWS_SECRET_ACCESS_KEY: "s", AWS_EC2_METADATA_DISABLED: "true" };
  await using server = await startOurServer({ folder: folder.path, config: { registries }, env });
  const started = await pidsIn(pids, 2);
  const asked = await lookUntil(
    () => Promise.resolve(silent.connections),
    (count) => count >= 2,
    { waitMs: 10_000 },
  );
  expect(asked).toBe(2);
  const startMs = performance.now();
  server.process.signal("SIGTERM");
  expect(await server.process.ended).toEqual({ code: 0, signal: null });
  // Each of them would have had ten seconds.
  expect(performance.now() - startMs).toBeLessThan(4_000);
  expect(await survivors(started)).toEqual([]);
});

test("a second signal ends it at once", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const path = `/v2/up/a/blobs/${upstream.putBlob("a", seededBytes(mebibyte))}`;
  upstream.when({ kind: "blob" }, { holdBody: { atBytes: mebibyte / 2, until: new Promise(() => {}) } });
  await using server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });
  const stuck = startPull({ host: server.host, path });
  await upstream.waitForBytes(mebibyte / 2);
  server.process.signal("SIGTERM");
  await server.process.waitForOutput(/"msg":"draining"/);
  server.process.signal("SIGTERM");
  expect((await server.process.ended).code).not.toBe(0);
  expect((await stuck.done).ending).toBe("cut");
});

test("a busy port is one line on stderr and exit code 1; a misspelt flag is 2", async () => {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path });
  const busy = await runProcess(node, [main, "serve", "--host", "127.0.0.1", "--port", String(server.port), "--image-path", join(folder.path, "other")]);
  expect([busy.code, busy.stdout]).toEqual([1, ""]);
  expect(busy.stderr).toContain(String(server.port));
  const misuse = await runProcess(node, [main, "serve", "--prot", "1"]);
  expect([misuse.code, misuse.stdout]).toEqual([2, ""]);
});

test("what it makes in the store, its group may change too: another user of the same group can take over", async () => {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path, config: { helloWorld: true } });
  expect(await pull({ host: server.host, path: "/v2/library/hello-world/manifests/latest" })).toMatchObject({ status: 200 });
  const entries = await readdir(server.imagePath, { recursive: true, withFileTypes: true });
  // What is a server's own is nobody else's.
  const shared = entries.filter((entry) => entry.isDirectory() && entry.name !== "state");
  const modes = shared.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).mode & 0o070);
  expect(new Set(await Promise.all(modes))).toEqual(new Set([0o070]));
});

test("a store that cannot be written is told of at the start, in one line, and by the probe", async () => {
  await using folder = await temporaryFolder();
  await using server = await startOurServer({ folder: folder.path, config: { helloWorld: true, imagePath: "/proc/none" } });
  await server.process.waitForOutput(/"level":"warn".*\/proc\/none.*cannot be written/);
  expect(await pull({ host: server.host, path: "/v2/library/hello-world/manifests/latest" })).toMatchObject({ status: 200 });
  expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ status: "degraded", store: { writable: false } });
});
